"""Signing in and out, over HTTP."""

import re

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, text
from werkzeug.test import TestResponse

from crm import create_app
from crm.blueprints.auth import safe_target
from crm.config import Config
from crm.db import atomic, db
from crm.lib.crypto import hash_token
from crm.lib.passwords import hash_password
from crm.models import User, UserSession, UserStatus
from tests import factories
from tests.people import post

EMAIL, PASSWORD = "laura@example.com", "una-clave-larga"
PASSWORD_HASH = hash_password(PASSWORD)


@pytest.fixture
def laura(app: Flask) -> User:
    with atomic():
        return factories.make_user(role="agent", email=EMAIL, password_hash=PASSWORD_HASH)


def csrf_of(client: FlaskClient, path: str = "/login") -> str:
    page = client.get(path).get_data(as_text=True)
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert found, page
    return found.group(1)


def sign_in(client: FlaskClient, email: str = EMAIL, password: str = PASSWORD, **more: str):  # type: ignore[no-untyped-def]
    form = {"csrf_token": csrf_of(client), "email": email, "password": password, **more}
    return client.post("/login", data=form)


def sid(response: TestResponse) -> str:
    for header in response.headers.getlist("Set-Cookie"):
        if header.startswith("sid="):
            return header.removeprefix("sid=").split(";")[0]
    raise AssertionError("no session cookie")


def test_the_right_password_opens_the_inbox(client: FlaskClient, laura: User) -> None:
    answer = sign_in(client, email=" LAURA@example.com ")
    assert (answer.status_code, answer.location) == (302, "/inbox")
    cookie = next(h for h in answer.headers.getlist("Set-Cookie") if h.startswith("sid="))
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert client.get("/inbox").status_code == 200


def test_the_token_is_stored_only_as_a_hash(client: FlaskClient, laura: User) -> None:
    token = sid(sign_in(client))
    assert db.session.scalars(select(UserSession.token)).all() == [hash_token(token)]


@pytest.mark.parametrize("case", ["wrong password", "unknown", "suspended", "deleted", "system"])
def test_every_refusal_reads_the_same(client: FlaskClient, laura: User, case: str) -> None:
    reference = sign_in(client, password="equivocada-1234")
    email, password = EMAIL, PASSWORD
    if case == "wrong password":
        password = "otra-equivocada"
    elif case == "unknown":
        email = "nadie@example.com"
    elif case == "system":
        email = db.session.scalars(select(User.email).where(User.is_system)).one()
    else:
        with atomic():
            if case == "suspended":
                laura.status = UserStatus.SUSPENDED
            else:
                laura.deleted_at = func.now()
    answer = sign_in(client, email=email, password=password)
    assert answer.status_code == reference.status_code == 422

    def neutral(page: TestResponse) -> str:
        without_tokens = re.sub(r'value="[^"]*"', "", page.get_data(as_text=True))
        return re.sub(r'content="[^"]*"', "", without_tokens)

    assert neutral(answer) == neutral(reference)


def test_a_refusal_is_counted_and_a_success_clears_the_count(
    client: FlaskClient, laura: User
) -> None:
    sign_in(client, password="equivocada-1234")
    sign_in(client, password="equivocada-1234")
    db.session.refresh(laura)
    assert laura.failed_login_attempts == 2
    sign_in(client)
    db.session.refresh(laura)
    assert laura.failed_login_attempts == 0
    assert laura.last_login_at is not None


def test_an_old_hash_is_raised_to_the_settings_of_today(client: FlaskClient, laura: User) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with atomic():
        laura.password_hash = weak
    assert sign_in(client).status_code == 302
    db.session.refresh(laura)
    assert "m=19456" in laura.password_hash


def test_signing_out_ends_the_session_for_copies_of_its_cookie(
    app: Flask, client: FlaskClient, laura: User
) -> None:
    token = sid(sign_in(client))
    thief = app.test_client()
    thief.set_cookie("sid", token)
    assert thief.get("/inbox").status_code == 200
    page = client.get("/inbox").get_data(as_text=True)
    csrf = re.search(r"X-CSRFToken[^0-9A-Za-z]+([\w.\-]+)", page)
    assert csrf, "the page carries the CSRF token for htmx"
    answer = client.post("/logout", headers={"X-CSRFToken": csrf.group(1)})
    assert (answer.status_code, answer.location) == (302, "/login")
    assert thief.get("/inbox").location == "/login?next=/inbox"


@pytest.mark.parametrize(
    "change",
    [
        "expires_at = now() - interval '1 second'",
        "last_activity_at = now() - interval '8 hours 1 minute'",
        "revoked_at = now()",
    ],
)
def test_a_session_ends_by_time_and_by_revocation(
    client: FlaskClient, laura: User, change: str
) -> None:
    sign_in(client)
    with atomic():
        db.session.execute(text(f"UPDATE user_sessions SET {change}"))
    assert client.get("/inbox").status_code == 302


def test_a_suspended_person_is_out_at_once(client: FlaskClient, laura: User) -> None:
    sign_in(client)
    with atomic():
        laura.status = UserStatus.SUSPENDED
    assert client.get("/inbox").status_code == 302


def test_use_keeps_a_session_from_idling_out(client: FlaskClient, laura: User) -> None:
    sign_in(client)
    with atomic():
        db.session.execute(
            text("UPDATE user_sessions SET last_activity_at = now() - interval '7 hours'")
        )
    client.get("/inbox")
    age = db.session.scalar(text("SELECT now() - last_activity_at FROM user_sessions"))
    assert age.total_seconds() < 60


def test_a_fragment_of_a_lost_session_sends_the_whole_page_to_the_login(
    client: FlaskClient, app: Flask
) -> None:
    answer = client.get("/inbox", headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/login"


def test_a_form_token_from_before_the_sign_in_is_worth_nothing_after_it(
    client: FlaskClient, laura: User
) -> None:
    before = csrf_of(client)
    sign_in(client)
    assert client.post("/logout", headers={"X-CSRFToken": before}).status_code == 400


def test_a_form_sent_from_another_site_is_refused(client: FlaskClient, laura: User) -> None:
    form = {"csrf_token": csrf_of(client), "email": EMAIL, "password": PASSWORD}
    answer = client.post("/login", data=form, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


def test_after_signing_in_one_is_where_one_wanted_to_go(client: FlaskClient, laura: User) -> None:
    assert client.get("/inbox?tab=all").location == "/login?next=/inbox?tab%3Dall"
    assert sign_in(client, next="/inbox?tab=all").location == "/inbox?tab=all"


@pytest.mark.parametrize(
    "evil",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/\n/evil.example",
        "/%5cevil\\x",
        "evil.example",
        "",
    ],
)
def test_the_way_back_never_leads_to_another_site(app: Flask, evil: str) -> None:
    with app.test_request_context():
        assert safe_target(evil) == "/inbox"


def test_broken_input_is_an_answer_not_a_crash(client: FlaskClient, laura: User) -> None:
    for email, password in (
        ("", ""),
        ("x" * 300, "y"),
        ("a\x00b@example.com", "z\x00"),
        ("ñ", "ñ"),
    ):
        assert sign_in(client, email=email, password=password).status_code == 422


def test_a_session_that_somebody_planted_before_is_not_taken_over(
    app: Flask, client: FlaskClient, laura: User
) -> None:
    planted = "planted-by-a-stranger-planted-by-a-stranger"
    client.set_cookie("sid", planted)
    assert post(client, "/login", email=laura.email, password=PASSWORD).status_code == 302
    own = client.get_cookie("sid")
    assert own
    assert own.value != planted
    thief = app.test_client()
    thief.set_cookie("sid", planted)
    assert thief.get("/inbox").status_code == 302


def test_behind_https_every_cookie_is_bound_to_this_host_and_to_https(
    environment: dict[str, str], laura: User
) -> None:
    secure = create_app(Config.from_env(environment | {"CRM_HTTPS": "true"}))
    browser = secure.test_client()
    page = browser.get("/login", base_url="https://crm.example.com")
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
    assert token
    answer = browser.post(
        "/login",
        base_url="https://crm.example.com",
        headers={"Referer": "https://crm.example.com/login"},
        data={"csrf_token": token[1], "email": laura.email, "password": PASSWORD},
    )
    assert answer.status_code == 302
    cookies = page.headers.getlist("Set-Cookie") + answer.headers.getlist("Set-Cookie")
    names = {cookie.partition("=")[0] for cookie in cookies}
    assert names == {"__Host-session", "__Host-sid", "__Host-device"}
    for cookie in cookies:
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
        assert "Domain" not in cookie
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")
