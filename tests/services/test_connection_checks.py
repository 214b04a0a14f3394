"""*Test connection* against the simulated WhatsApp: what is wrong is named, with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests
from flask import Flask

from crm.db import db
from crm.errors import Invalid
from crm.lib.crypto import encrypt
from crm.models import WhatsappNumber
from crm.providers.meta.management import Account
from crm.services import check_words, connection_checks
from crm.services.connection_checks import Subject, prepare, run_checks
from tests.factories import make_number
from tests.simulator.server import NUMBER, WABA, SimulatorServer, simulator_server


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorServer]:
    with simulator_server(webhook_url="http://127.0.0.1:9/webhooks/meta") as running:
        yield running


@pytest.fixture
def subject(sim: SimulatorServer) -> Subject:
    return Subject(
        number_id=1,
        phone_number="+576015550101",
        phone_number_id=NUMBER,
        account=Account(WABA, sim.token, sim.graph_url),
        secrets=(sim.app_secret,),
        is_secure=True,
        last_arrival=None,
    )


def outcomes(subject: Subject) -> dict[str, str]:
    return {check.name: check.outcome.value for check in run_checks(subject)}


def said(subject: Subject, name: str) -> dict[str, str]:
    [check] = [check for check in run_checks(subject) if check.name == name]
    return check_words.say(check.as_row(), translate=lambda text: text)


def test_all_that_can_be_asked_is_right(subject):
    found = outcomes(subject)
    assert found.pop("arrival") == "unsure"
    assert set(found.values()) == {"good"}
    assert said(subject, "number")["line"] == "It is +57 601 555 0101, Línea Ventas."


def test_a_wrong_token_is_the_only_thing_that_is_asked(subject):
    wrong = replace(subject, account=replace(subject.account, access_token="nonsense"))
    found = outcomes(wrong)
    assert found["token"] == "bad"
    assert {found[name] for name in ("scopes", "number", "secret", "subscription")} == {"skipped"}
    assert "does not expire" in said(wrong, "token")["cure"]


def test_a_token_that_lacks_a_permission_or_expires_is_named(subject, sim):
    sim.set_fault("token_scopes", count=1)
    assert "whatsapp_business_messaging" in said(subject, "scopes")["line"]
    sim.set_fault("token_expires", count=1)
    assert "expires in 4 days" in said(subject, "token")["line"]


def test_a_wrong_number_id_and_a_wrong_phone_are_named(subject):
    assert outcomes(replace(subject, phone_number_id="999"))["number"] == "bad"
    other = replace(subject, phone_number="+573001112233")
    assert "but here +573001112233 is written" in said(other, "number")["line"]


def test_another_account_is_named(subject):
    found = outcomes(replace(subject, account=replace(subject.account, account_id="12345")))
    assert (found["account"], found["subscription"]) == ("bad", "skipped")


def test_the_secret_of_another_app_is_found_out_and_one_of_several_is_enough(subject, sim):
    wrong = said(replace(subject, secrets=("wrong",)), "secret")
    assert wrong["line"].endswith("Meta's deliveries would be refused.")
    assert "appsecret_proof" in wrong["told"]
    assert outcomes(replace(subject, secrets=("wrong", sim.app_secret)))["secret"] == "good"
    assert outcomes(replace(subject, secrets=()))["secret"] == "bad"


def test_a_missing_subscription_is_found_and_made(subject, sim):
    headers = {"Authorization": f"Bearer {sim.token}"}
    path = f"{sim.graph_url}/{WABA}/subscribed_apps"
    assert requests.delete(path, headers=headers, timeout=10).ok
    assert outcomes(subject)["subscription"] == "bad"
    connection_checks.subscribe(subject)
    assert outcomes(subject)["subscription"] == "good"


def test_a_provider_that_is_away_is_said_and_not_raised(subject):
    away = replace(subject, account=replace(subject.account, graph_url="http://127.0.0.1:9"))
    assert outcomes(away)["token"] == "bad"
    # Nothing is said against a token that nobody has looked at.
    assert said(away, "token")["line"] == "Meta could not be asked. WhatsApp could not be reached."
    assert "test again" in said(away, "token")["cure"]


def test_an_address_without_https_is_named(subject):
    assert outcomes(replace(subject, is_secure=False))["address"] == "bad"


@pytest.fixture
def number(database: Flask) -> WhatsappNumber:
    number = make_number(meta_business_account_id=WABA)
    db.session.commit()
    return number


def prepared(app: Flask, number: WhatsappNumber, **changes: object) -> Subject:
    config = app.config["CRM"]
    values = {"keys": config.encryption_keys, "graph_url": "x", "shared_secrets": ("a", "b")}
    return prepare(number, is_secure=True, **{**values, **changes})  # type: ignore[arg-type]


def test_a_numbers_own_secret_wins_over_the_installations(app, number):
    assert prepared(app, number).secrets == ("a", "b")
    number.meta_app_secret = encrypt("own", app.config["CRM"].encryption_keys)
    assert prepared(app, number).secrets == ("own",)
    assert "own" not in repr(prepared(app, number))


@pytest.mark.parametrize(
    "missing", ["meta_phone_number_id", "meta_business_account_id", "meta_access_token"]
)
def test_what_is_not_written_yet_is_asked_for(app, number, missing):
    setattr(number, missing, None)
    with pytest.raises(Invalid, match="first"):
        prepared(app, number)


def test_what_no_key_opens_is_asked_for_again(app, number):
    number.meta_access_token = "gAAAAA-not-ours"
    with pytest.raises(Invalid, match="cannot be opened"):
        prepared(app, number)


def test_a_phones_session_is_tested_elsewhere(app, number):
    number.provider = "wppconnect"
    with pytest.raises(Invalid, match="own page"):
        prepared(app, number)
