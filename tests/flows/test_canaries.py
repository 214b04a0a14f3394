"""Secrets planted in every place that holds one are found nowhere else."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from sqlalchemy import text

from crm.db import atomic, db
from crm.extensions import redis_client
from crm.lib.crypto import encrypt
from crm.models import LinkPurpose
from crm.services import account_links, audit, two_factor
from tests import factories
from tests.cast import make_cast
from tests.people import enter, give_second_factor, post

CANARY = "canary7secret"


def test_no_secret_reaches_a_page_the_trail_redis_or_the_log(
    app: Flask, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = app.config["CRM"].encryption_keys
    with atomic():
        cast = make_cast()
        before = audit.snapshot(cast.number)
        for column in ("meta_access_token", "meta_app_secret", "wppconnect_api_key"):
            setattr(cast.number, column, encrypt(f"{CANARY}-{column}", keys))
        cast.number.webhook_verify_token = f"{CANARY}-verify"
        audit.record("numbers.update", cast.number, before=before)
        audit.record("numbers.create", cast.number, after=audit.snapshot(cast.number))
        token = account_links.create_link(cast.jhon, LinkPurpose.RESET)
    seed = give_second_factor(app, cast.laura)
    with atomic():
        codes = two_factor.renew_backup_codes(cast.laura)
    admin = enter(app, cast.admin)
    cookie = admin.get_cookie("sid")
    assert cookie
    guest = app.test_client()
    guest.get(f"/account/link/{token}")
    post(guest, "/account/password", password="clave con canary7secret")
    page = f"/settings/users/{cast.laura.id}"
    post(admin, f"{page}/reset-two-factor", page=page)
    secrets = [CANARY, seed, token, cookie.value, factories.PASSWORD, *codes]

    pages = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not rule.arguments and not rule.websocket
    ]
    pages += [page, f"{page}/permissions", f"/settings/numbers/{cast.number.id}"]
    ids = db.session.scalars(text("SELECT id FROM audit_logs")).all()
    pages += [f"/settings/audit/{number}" for number in ids]
    db.session.rollback()
    seen = {path: admin.get(path).get_data(as_text=True) for path in pages}
    seen["audit"] = str(db.session.execute(text("SELECT a::text FROM audit_logs a")).all())
    seen["redis"] = str([(key, redis_client.dump(key)) for key in redis_client.scan_iter("*")])
    captured = capsys.readouterr()
    seen["log"] = captured.out + captured.err
    for place, content in seen.items():
        for secret in secrets:
            # A random letter pair proves nothing; whole secrets do.
            assert len(secret) > 8
            assert secret not in content, f"{secret[:4]}... stands in {place}"

    tables = [
        name
        for (name,) in db.session.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        )
    ]
    for table in tables:
        dump = str(db.session.execute(text(f"SELECT x::text FROM {table} x")).all())
        for secret in secrets:
            if secret == CANARY and table == "whatsapp_numbers":
                dump = re.sub(rf"{CANARY}-verify", "", dump)  # its own column, needed in the open
            assert secret not in dump, f"{secret[:4]}... stands in table {table}"
