"""A wrong setting stops the start with one line that says which, why, and an example."""

import base64

import pytest

from crm.config import Config, ConfigError

GOOD = {
    "DATABASE_URL": "postgres://charla:pw@db:5432/charla",
    "REDIS_URL": "redis://redis:6379/0",
    "SECRET_KEY": "s" * 40,
    # Fixed: it stands in the names of tests, which parallel runs must agree on.
    "CRM_ENCRYPTION_KEYS": base64.urlsafe_b64encode(b"k" * 32).decode(),
}


def config(**changes: str) -> Config:
    return Config.from_env(GOOD | changes)


def test_both_spellings_of_postgres_name_the_driver_that_is_installed() -> None:
    assert config().database_url == "postgresql+psycopg2://charla:pw@db:5432/charla"
    assert config(DATABASE_URL="postgresql://h/d").database_url == "postgresql+psycopg2://h/d"


def test_the_redis_of_heroku_may_sign_its_own_certificate_and_no_other() -> None:
    url = "rediss://:pw@host:6380"
    assert config(REDIS_URL=url).redis_url == url
    assert config(REDIS_URL=url, DYNO="web.1").redis_url == f"{url}?ssl_cert_reqs=none"
    plain = "redis://host:6379/0"
    assert config(REDIS_URL=plain, DYNO="web.1").redis_url == plain


def test_open_sockets_are_asked_for_their_rights_every_five_seconds_at_least() -> None:
    assert config().access_check_seconds <= 5


def test_meta_secrets_take_comma_lists() -> None:
    assert config(META_APP_SECRET="new, old ,").meta_app_secrets == ("new", "old")
    assert config().meta_app_secrets == ()


def test_secrets_are_not_shown_when_a_config_is_printed() -> None:
    shown = repr(config(META_APP_SECRET="very-secret", CRM_DEMO_PASSWORD="prueba-charla-1"))
    assert "very-secret" not in shown
    assert "prueba-charla-1" not in shown
    assert GOOD["SECRET_KEY"] not in shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "mysql://x/y"),
        ("DATABASE_URL", "charla"),
        ("REDIS_URL", "  "),
        ("REDIS_URL", "http://x"),
        ("SECRET_KEY", "short"),
        ("CRM_ENCRYPTION_KEYS", "not-a-key"),
        ("CRM_ENCRYPTION_KEYS", GOOD["CRM_ENCRYPTION_KEYS"] + ",nope"),
        ("PORT", "http"),
        ("PORT", "70000"),
        ("META_GRAPH_URL", "graph.facebook.com"),
        ("CRM_HTTPS", "perhaps"),
        ("CRM_LEASE_SECONDS", "0"),
        ("CRM_LEASE_SECONDS", "nan"),
        ("CRM_DEMO_PASSWORD", "1234"),
        ("CRM_SESSION_IDLE_SECONDS", "86400"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line_with_an_example(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**{name: value})
    message = str(caught.value)
    assert name in message
    assert "\n" not in message
    assert "e.g." in message
