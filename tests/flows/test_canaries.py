"""Secrets planted in every place that holds one are found nowhere else."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from crm.config import Config, MailServer
from crm.db import Base, atomic, db
from crm.extensions import redis_client
from crm.lib.crypto import encrypt
from crm.models import LinkPurpose
from crm.models.wppconnect import WppconnectSession
from crm.services import account_links, audit, first_start, two_factor
from tests import factories
from tests.cast import Cast, make_cast
from tests.guards.routes import PUBLIC
from tests.guards.test_matrix import doors, path_of
from tests.guards.world import OWN, World, make_world
from tests.people import enter, give_second_factor, post

CANARY = "canary7secret"
SECRET_WORDS = ("password", "secret", "token", "api_key", "backup_codes.code")
# Every column that holds a secret, or what was made of one. A new one fails the test below until
# it is planted here.
ENCRYPTED = (
    "meta_access_token", "meta_app_secret", "wppconnect_api_key",
)  # fmt: skip
# The step of adding a number in which the word is copied into Meta's form, by who connects numbers.
SHOWS_THE_VERIFY_WORD = "/webhook"
PLANTED = {
    "users.password_hash", "users.two_factor_secret", "backup_codes.code", "account_links.token",
    "known_devices.token", "user_sessions.token", "whatsapp_numbers.webhook_verify_token",
    "wppconnect_sessions.token", "wppconnect_sessions.webhook_secret",
    "wppconnect_sessions.webhook_secret_hash",
    "roles.requires_two_factor",
    *(f"whatsapp_numbers.{column}" for column in ENCRYPTED),
}  # fmt: skip


def test_every_column_that_holds_a_secret_is_planted_here() -> None:
    columns = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.sorted_tables
        for column in table.c
        if any(word in f"{table.name}.{column.name}" for word in SECRET_WORDS)
    }
    assert columns <= PLANTED, f"plant a canary in {sorted(columns - PLANTED)}"


def test_no_secret_reaches_a_page_the_trail_redis_a_job_or_the_log(
    app: Flask, capsys: pytest.CaptureFixture[str]
) -> None:
    with atomic():
        cast, world = make_cast(), make_world("super_admin")
        secrets = plant(app, cast, world)
    seed = give_second_factor(app, cast.laura)
    with atomic():
        codes = two_factor.renew_backup_codes(cast.laura)
        token = account_links.create_link(cast.jhon, LinkPurpose.RESET)
    admin = enter(app, world.person)
    cookies = [cookie.value for name in ("sid", "device") if (cookie := admin.get_cookie(name))]
    assert len(cookies) == 2
    do_what_touches_secrets(app, admin, cast, token)
    secrets |= {
        "seed": seed, "link": token, "password": factories.PASSWORD,
        **{f"cookie {n}": value for n, value in enumerate(cookies)},
        **{f"code {n}": code for n, code in enumerate(codes)},
        **settings_of(app.config["CRM"]),
    }  # fmt: skip
    seen = dict(places(app, admin, world, cast))
    captured = capsys.readouterr()
    seen["log"] = captured.out + captured.err
    for place, content in seen.items():
        if place.endswith(SHOWS_THE_VERIFY_WORD):
            content = content.replace(f"{CANARY}-verify", "")
        for name, secret in secrets.items():
            assert len(secret) > 8, f"{name}: a random letter pair proves nothing"
            assert secret not in content, f"{name} stands in {place}"
    open_columns = {"whatsapp_numbers": [f"{CANARY}-verify"]}  # needed in the open by Meta's check
    for table in Base.metadata.sorted_tables:
        dump = str(db.session.execute(text(f"SELECT x::text FROM {table.name} x")).all())
        for known in open_columns.get(table.name, ()):
            dump = dump.replace(known, "")
        for name, secret in secrets.items():
            assert secret not in dump, f"{name} stands in table {table.name}"


def plant(app: Flask, cast: Cast, world: World) -> dict[str, str]:
    """Into every column that the forms or the providers fill; name -> secret."""
    keys = app.config["CRM"].encryption_keys
    numbers = [cast.number, db.session.get_one(type(cast.number), world.ids[OWN]["number_id"])]
    before = audit.snapshot(cast.number)
    for number in numbers:
        for column in ENCRYPTED:
            setattr(number, column, encrypt(f"{CANARY}-{column}", keys))
        number.webhook_verify_token = f"{CANARY}-verify"
    factories.save(
        WppconnectSession(
            whatsapp_number_id=cast.number.id,
            token=encrypt(f"{CANARY}-wpp-token", keys),
            webhook_secret=encrypt(f"{CANARY}-wpp-webhook", keys),
            webhook_secret_hash="f" * 64,
        )
    )
    audit.record("numbers.update", cast.number, before=before)
    audit.record("numbers.create", cast.number, after=audit.snapshot(cast.number))
    return {"planted": CANARY}


def do_what_touches_secrets(app: Flask, admin: FlaskClient, cast: Cast, token: str) -> None:
    """A link that is used with a bad password, a failed login, a reset, an invitation by e-mail."""
    guest = app.test_client()
    guest.get(f"/account/link/{token}")
    post(guest, "/account/password", password="clave con canary7secret")
    post(guest, "/login", email=cast.jhon.email, password=f"{CANARY}-tecleada")
    page = f"/settings/users/{cast.laura.id}"
    post(admin, f"{page}/reset-two-factor", page=page)
    number = f"/settings/numbers/{cast.number.id}"
    post(admin, number, meta_access_token=f"{CANARY}-new", meta_app_secret="", name="x")
    with with_mail(app):
        post(admin, f"{page}/link", page=page)


class with_mail:  # noqa: N801 - reads as a sentence
    """While it lasts, a mail server is set, with a password."""

    def __init__(self, app: Flask) -> None:
        self.app, self.plain = app, app.config["CRM"]

    def __enter__(self) -> None:
        server = MailServer(host="127.0.0.1", port=9, user="crm",
            password=f"{CANARY}-smtp", sender="crm@example.com",
        )  # fmt: skip
        self.app.config["CRM"] = dataclasses.replace(
            self.plain, mail_server=server, public_url="https://crm.example.com"
        )

    def __exit__(self, *_args: object) -> None:
        self.app.config["CRM"] = self.plain


def settings_of(config: Config) -> dict[str, str]:
    return {
        "database password": urlsplit(config.database_url).password or "-" * 9,
        "SECRET_KEY": config.secret_key,
        "encryption key": config.encryption_keys[0],
        "app secret": config.meta_app_secrets[0],
        "verify token": config.meta_verify_tokens[0],
        "audit key": config.audit_key.hex() if isinstance(config.audit_key, bytes) else "-" * 9,
        "installation code": first_start.setup_token(config.secret_key),
    }


def places(app: Flask, admin: FlaskClient, world: World, cast: Cast) -> Iterator[tuple[str, str]]:
    """Every page and fragment, the trail, Redis with its jobs, and the settings when printed."""
    own = {**world.ids[OWN], "number_id": cast.number.id, "user_id": cast.laura.id}
    for rule in doors(app):
        if "GET" in (rule.methods or ()) and rule.arguments <= own.keys():
            path = path_of(rule, {name: own[name] for name in rule.arguments})
            yield path, admin.get(path).get_data(as_text=True)
    for (audit_id,) in db.session.execute(text("SELECT id FROM audit_logs")).all():
        path = f"/settings/audit/{audit_id}"
        yield path, admin.get(path).get_data(as_text=True)
    for rule in app.url_map.iter_rules():
        if rule.endpoint in PUBLIC and "GET" in (rule.methods or ()) and not rule.arguments:
            yield rule.rule, app.test_client().get(rule.rule).get_data(as_text=True)
    db.session.rollback()
    yield "audit", str(db.session.execute(text("SELECT a::text FROM audit_logs a")).all())
    yield "redis", str([(key, redis_client.dump(key)) for key in redis_client.scan_iter("*")])
    # RQ packs what it is given, so that a look at the bytes alone would find nothing.
    jobs = [redis_client.hgetall(key) for key in redis_client.scan_iter("rq:job:*")]
    unpacked = [zlib.decompress(job[b"data"]).decode() for job in jobs]
    assert any(json.loads(data)[0].startswith("crm.jobs.emails") for data in unpacked)
    yield "jobs", str(jobs) + str(unpacked)
    yield "settings", repr(app.config["CRM"])
