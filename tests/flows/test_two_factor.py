"""The second factor over HTTP: what is reachable without it, and that a code counts once."""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text

from crm.db import atomic, db
from crm.models import AuditLog, BackupCode, User, UserSession
from crm.services import sessions, two_factor
from tests import factories
from tests.people import code_of, csrf_of, demanded, enter, give_second_factor, post

FINISH = "/login/two-factor"


@pytest.fixture
def laura(app: Flask) -> User:
    with atomic():
        return factories.make_user(email="laura@example.com")


def reachable(client: FlaskClient) -> set[str]:
    """The pages that answer this browser with 200, of all that take no argument."""
    app = client.application
    rules = [
        rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not rule.arguments and not rule.websocket
    ]
    return {rule.endpoint for rule in rules if client.get(rule.rule).status_code == 200}


def test_before_the_code_nothing_is_reachable_that_a_stranger_could_not_reach(
    app: Flask, laura: User
) -> None:
    stranger = reachable(app.test_client())
    give_second_factor(app, laura)
    client = enter(app, laura)
    assert reachable(client) == stranger | {"two_factor.finish"}
    assert client.get("/inbox").location.startswith(FINISH)
    answer = client.get("/inbox", headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == FINISH
    upgrade = {"Origin": "http://localhost", "Upgrade": "websocket", "Connection": "Upgrade"}
    socket = client.get("/socket", headers=upgrade)
    assert socket.status_code == 401
    assert (
        sessions.find_live_sessions(
            list(db.session.scalars(select(UserSession.id))), idle_seconds=3600
        )
        == set()
    ), "open sockets ask the same question"


def test_the_right_code_opens_the_inbox_with_a_new_token(app: Flask, laura: User) -> None:
    secret = give_second_factor(app, laura)
    client = enter(app, laura)
    before = client.get_cookie("sid")
    answer = post(client, FINISH, code=code_of(secret))
    assert (answer.status_code, answer.location) == (302, "/inbox")
    after = client.get_cookie("sid")
    assert before
    assert after
    assert before.value != after.value
    assert client.get("/inbox").status_code == 200
    thief = app.test_client()
    thief.set_cookie("sid", before.value)
    assert thief.get("/inbox").status_code == 302
    assert thief.get(FINISH).location == "/login"


def test_a_code_of_the_step_before_or_after_counts_and_others_do_not(
    app: Flask, laura: User
) -> None:
    secret = give_second_factor(app, laura)
    assert post(enter(app, laura), FINISH, code=code_of(secret, steps=-3)).status_code == 422
    assert post(enter(app, laura), FINISH, code="").status_code == 422
    assert post(enter(app, laura), FINISH, code="abcdef").status_code == 422
    assert post(enter(app, laura), FINISH, code=code_of(secret)).status_code == 302
    # Never back: a step before one that was used is no longer taken.
    assert post(enter(app, laura), FINISH, code=code_of(secret, steps=-1)).status_code == 422


@pytest.mark.parametrize("kind", ["totp", "backup"])
def test_a_code_works_once_even_for_requests_at_the_same_moment(
    app: Flask, laura: User, kind: str
) -> None:
    keys = app.config["CRM"].encryption_keys
    secret = give_second_factor(app, laura)
    with atomic():
        code = two_factor.renew_backup_codes(laura)[0]
    if kind == "totp":
        code = code_of(secret)
    user_id = laura.id

    def use(_number: int) -> str:
        with app.app_context():
            try:
                with atomic():
                    return two_factor.give_code(db.session.get_one(User, user_id), code, keys=keys)
            except two_factor.WrongCode:
                return "refused"

    with ThreadPoolExecutor(8) as pool:
        assert Counter(pool.map(use, range(16))) == {kind: 1, "refused": 15}


def test_a_written_code_opens_once_and_is_stored_as_a_hash(app: Flask, laura: User) -> None:
    give_second_factor(app, laura)
    with atomic():
        codes = two_factor.renew_backup_codes(laura)
    assert len(set(codes)) == 10
    stored = set(db.session.scalars(select(BackupCode.code)))
    assert not stored & set(codes)
    written = codes[3].upper().replace("-", " ")
    assert post(enter(app, laura), FINISH, code=written).status_code == 302
    assert post(enter(app, laura), FINISH, code=written).status_code == 422
    assert two_factor.count_backup_codes(laura.id) == 9


def test_codes_cannot_be_guessed_by_trying_many(app: Flask, laura: User) -> None:
    give_second_factor(app, laura)
    client = enter(app, laura)
    answers = [post(client, FINISH, code="000000").status_code for _ in range(7)]
    assert answers == [422] * 5 + [429, 429]
    refused = db.session.scalars(select(AuditLog).where(AuditLog.action == "auth.two_factor")).all()
    assert [row.success for row in refused] == [False] * 5


def test_a_role_may_demand_it_and_then_it_is_set_up_before_anything_else(
    app: Flask, laura: User
) -> None:
    with demanded("agent"):
        secret = set_up_what_is_demanded(app, laura)
    db.session.refresh(laura)
    assert laura.two_factor_enabled
    assert laura.two_factor_secret
    assert secret not in laura.two_factor_secret


def set_up_what_is_demanded(app: Flask, laura: User) -> str:
    """Go through it as Laura; the secret that her phone keeps."""
    client = enter(app, laura)
    assert client.get("/inbox").location.startswith(FINISH)
    page = client.get(FINISH).get_data(as_text=True)
    assert "data:image/svg+xml" in page
    found = re.search(r"data-secret>([A-Z2-7 ]+)<", page)
    assert found
    secret = found.group(1).replace(" ", "")
    assert found.group(1) in client.get(FINISH).get_data(as_text=True), "a reload shows the same"
    assert post(client, FINISH, code="000000").status_code == 422
    answer = post(client, FINISH, code=code_of(secret))
    assert answer.status_code == 200
    assert len(re.findall(r"<li><code>", answer.get_data(as_text=True))) == 10
    assert client.get("/inbox").status_code == 200
    return secret


def test_a_role_that_begins_to_demand_it_closes_pages_and_sockets_of_who_has_none(
    app: Flask, laura: User
) -> None:
    client = enter(app, laura)
    assert client.get("/inbox").status_code == 200
    ids = list(db.session.scalars(select(UserSession.id)))
    with demanded("agent"):
        assert client.get("/inbox").location.startswith(FINISH)
        assert sessions.find_live_sessions(ids, idle_seconds=3600) == set()


def test_a_password_without_its_second_factor_is_worth_ten_minutes(app: Flask, laura: User) -> None:
    secret = give_second_factor(app, laura)
    client = enter(app, laura)
    token = csrf_of(client, FINISH)
    with atomic():
        left = db.session.scalar(text("SELECT expires_at - now() FROM user_sessions"))
        db.session.execute(text("UPDATE user_sessions SET expires_at = now()"))
    assert left.total_seconds() <= 600
    answer = client.post(FINISH, data={"csrf_token": token, "code": code_of(secret)})
    assert (answer.status_code, answer.location) == (302, "/login")
