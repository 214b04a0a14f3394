"""First start, invitations and forgotten passwords, over HTTP."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text

from crm.config import Config, MailServer
from crm.db import atomic, db
from crm.jobs.emails import send
from crm.models import (
    AccountLink,
    AuditLog,
    EmailStatus,
    LinkPurpose,
    OutgoingEmail,
    Role,
    User,
    UserStatus,
)
from crm.services import account_links, first_start
from tests import factories
from tests.people import csrf_of, enter, give_second_factor, mail_server, post

GOOD = "caballo grapa batería"
SECRET_KEY = "test-secret-key-of-more-than-32-characters"
PERSON = {
    "setup_token": first_start.setup_token(SECRET_KEY),
    "first_name": "Ana", "last_name": "Duarte", "email": "Ana@Example.com", "password": GOOD,
}  # fmt: skip


@pytest.fixture
def letters(app: Flask) -> Iterator[list[EmailMessage]]:
    """With a mail server that listens; what it got."""
    plain: Config = app.config["CRM"]
    with mail_server() as (port, received):
        server = MailServer(host="127.0.0.1", port=port, sender="crm@example.com", security="none")
        app.config["CRM"] = dataclasses.replace(
            plain, mail_server=server, public_url="https://crm.example.com"
        )
        yield received
    app.config["CRM"] = plain


def send_all() -> None:
    for email_id in db.session.scalars(select(OutgoingEmail.id)).all():
        send(email_id)


def link_in(letter: EmailMessage) -> str:
    found = re.search(r"https://crm\.example\.com(/account/link/\S+)", letter.get_content())
    assert found, letter.get_content()
    return found.group(1)


def test_the_first_who_comes_becomes_super_admin_and_is_in(client: FlaskClient) -> None:
    assert client.get("/login").location == "/setup"
    answer = post(client, "/setup", **PERSON)
    assert (answer.status_code, answer.location) == (302, "/settings")
    assert client.get("/inbox").status_code == 200
    user, role = db.session.execute(select(User, Role).join(Role).where(~User.is_system)).one()
    assert (user.email, role.name) == ("ana@example.com", "super_admin")
    row = db.session.scalars(select(AuditLog).where(AuditLog.action == "users.create")).one()
    assert GOOD not in str(row.changes)


@pytest.mark.parametrize("password", ["corta", "Password123!", "colombia2026", "duarte.ana.99"])
def test_a_weak_password_is_refused_with_the_reason(client: FlaskClient, password: str) -> None:
    person = PERSON | {"email": "duarte.ana@example.com", "password": password}
    answer = post(client, "/setup", **person)
    assert answer.status_code == 422
    assert first_start.is_first_start()


@pytest.mark.parametrize("code", ["", "AAAA-BBBB-CCCC-DDDD", "ñ", "\x00", "M" * 41])
def test_without_the_installation_code_nobody_comes_first(client: FlaskClient, code: str) -> None:
    answer = post(client, "/setup", **PERSON | {"setup_token": code})
    assert answer.status_code == 422
    assert "Ana@Example.com" in answer.get_data(as_text=True), "what was typed is kept"
    assert first_start.is_first_start()


def test_the_code_may_be_typed_sloppily_or_come_in_the_address(client: FlaskClient) -> None:
    code = PERSON["setup_token"]
    page = client.get(f"/setup?code={code}").get_data(as_text=True)
    assert f'value="{code}"' in page
    sloppy = f" {code.lower().replace('-', ' ')} "
    assert post(client, "/setup", **PERSON | {"setup_token": sloppy}).location == "/settings"


def test_the_operator_sees_the_code_until_there_is_an_account(app: Flask) -> None:
    run = app.test_cli_runner().invoke
    shown = run(args=["admin", "setup-token"])
    assert (shown.exit_code, shown.output.strip()) == (0, PERSON["setup_token"])
    with atomic():
        factories.make_user()
    closed = run(args=["admin", "setup-token"])
    assert closed.exit_code == 1
    assert PERSON["setup_token"] not in closed.output


def test_with_people_the_first_page_is_closed(app: Flask, client: FlaskClient) -> None:
    token = csrf_of(client, "/setup")
    with atomic():
        factories.make_user()
    assert client.get("/setup").location == "/login"
    answer = client.post("/setup", data={"csrf_token": token, **PERSON})
    assert answer.location == "/login"
    assert db.session.scalar(select(User.id).where(User.email == "ana@example.com")) is None


def test_of_many_who_come_first_at_once_one_gets_in(app: Flask) -> None:
    def come(number: int) -> str:
        with app.app_context():
            try:
                with atomic():
                    first_start.create_first_admin(
                        email=f"p{number}@example.com",
                        first_name="P",
                        last_name="Q",
                        password=GOOD,
                    )
            except first_start.NotTheFirst:
                return "late"
            return "first"

    with ThreadPoolExecutor(6) as pool:
        assert Counter(pool.map(come, range(6))) == {"first": 1, "late": 5}


def test_the_operator_makes_an_admin_by_command(app: Flask) -> None:
    run = app.test_cli_runner().invoke
    made = run(
        args=["admin", "create", "ops@example.com", "--name", "Olga Ops"], input=f"{GOOD}\n{GOOD}\n"
    )
    assert made.exit_code == 0, made.output
    user = db.session.scalars(select(User).where(User.email == "ops@example.com")).one()
    assert (user.first_name, user.last_name, user.role.name) == ("Olga", "Ops", "super_admin")
    again = run(
        args=["admin", "create", "ops@example.com", "--name", "X Y"], input=f"{GOOD}\n{GOOD}\n"
    )
    assert again.exit_code == 1
    assert "Traceback" not in again.output


def test_an_invitation_sets_the_password_once(app: Flask, client: FlaskClient) -> None:
    with atomic():
        user = factories.make_user(email="nueva@example.com", password_hash="!")
        token = account_links.create_link(user, LinkPurpose.INVITE)
    stored = db.session.scalars(select(AccountLink.token)).one()
    assert token not in stored
    answer = client.get(f"/account/link/{token}")
    assert answer.location == "/account/password", "the token leaves the address"
    assert client.get("/account/password").status_code == 200
    assert post(client, "/account/password", password="corta").status_code == 422
    answer = post(client, "/account/password", password=GOOD)
    assert answer.location == "/login?done=password"
    enter(app, user, password=GOOD)
    other = app.test_client()
    other.get(f"/account/link/{token}")
    assert other.get("/account/password").status_code == 404


@pytest.mark.parametrize("end", ["expired", "suspended", "newer", "unknown"])
def test_a_link_that_is_over_opens_nothing(app: Flask, client: FlaskClient, end: str) -> None:
    with atomic():
        user = factories.make_user()
        token = account_links.create_link(user, LinkPurpose.RESET)
    with atomic():
        if end == "expired":
            db.session.execute(text("UPDATE account_links SET expires_at = now()"))
        elif end == "suspended":
            user.status = UserStatus.SUSPENDED
        elif end == "newer":
            account_links.create_link(user, LinkPurpose.RESET)
        else:
            token = "unknown"
    client.get(f"/account/link/{token}")
    assert client.get("/account/password").status_code == 404


def test_a_forgotten_password_comes_by_mail_and_ends_the_open_sessions(
    app: Flask, client: FlaskClient, letters: list[EmailMessage]
) -> None:
    with atomic():
        user = factories.make_user(email="laura@example.com", first_name="Laura")
    inside = enter(app, user)
    assert post(client, "/forgot", email=" LAURA@example.com").status_code == 200
    rows = str(db.session.execute(text("SELECT outgoing_emails::text FROM outgoing_emails")).all())
    assert "/account/link" not in rows
    send_all()
    assert letters[0]["To"] == "laura@example.com"
    assert "Laura" in letters[0].get_content()
    client.get(link_in(letters[0]))
    assert post(client, "/account/password", password=GOOD).status_code == 302
    assert inside.get("/inbox").status_code == 302
    enter(app, user, password=GOOD)


def test_a_reset_does_not_skip_the_second_factor(
    app: Flask, client: FlaskClient, letters: list[EmailMessage]
) -> None:
    with atomic():
        user = factories.make_user(email="laura@example.com")
    give_second_factor(app, user)
    post(client, "/forgot", email=user.email)
    send_all()
    client.get(link_in(letters[0]))
    post(client, "/account/password", password=GOOD)
    assert enter(app, user, password=GOOD).get("/inbox").location.startswith("/login/two-factor")


def test_asking_tells_nothing_about_who_has_an_account(
    app: Flask, client: FlaskClient, letters: list[EmailMessage]
) -> None:
    with atomic():
        factories.make_user(email="laura@example.com")
        factories.make_user(email="fuera@example.com", status=UserStatus.SUSPENDED)
    pages = set()
    for email in ("laura@example.com", "fuera@example.com", "nadie@example.com"):
        answer = post(client, "/forgot", email=email)
        page = re.sub(r'value="[^"]*"|content="[^"]*"', "", answer.get_data(as_text=True))
        pages.add((answer.status_code, page))
    assert len(pages) == 1
    send_all()
    assert [letter["To"] for letter in letters] == ["laura@example.com"]
    states = db.session.scalars(select(OutgoingEmail.status).order_by(OutgoingEmail.id)).all()
    assert states == [EmailStatus.SENT, EmailStatus.DROPPED, EmailStatus.DROPPED]


def test_nobody_floods_a_mailbox_with_resets(
    client: FlaskClient, letters: list[EmailMessage]
) -> None:
    answers = [post(client, "/forgot", email="laura@example.com").status_code for _ in range(5)]
    assert answers == [200, 200, 200, 429, 429]


def test_a_mail_server_that_is_away_is_tried_again_and_the_error_is_shown(
    app: Flask, letters: list[EmailMessage]
) -> None:
    config: Config = app.config["CRM"]
    assert config.mail_server
    away = dataclasses.replace(config.mail_server, port=9)
    app.config["CRM"] = dataclasses.replace(config, mail_server=away)
    with atomic():
        user = factories.make_user(email="laura@example.com")
        email = OutgoingEmail(kind="invite", recipient=user.email, user_id=user.id)
        db.session.add(email)
        db.session.flush()
        email_id = email.id
    send(email_id)
    email = db.session.get_one(OutgoingEmail, email_id)
    assert (email.status, email.attempts, email.error) == ("pending", 1, "ConnectionRefusedError")
    assert db.session.scalar(text("SELECT due_at > now() FROM outgoing_emails"))
    app.config["CRM"] = config
    with atomic():
        db.session.execute(text("UPDATE outgoing_emails SET due_at = now()"))
    send(email_id)
    assert db.session.get_one(OutgoingEmail, email_id).status == EmailStatus.SENT
    assert len(letters) == 1
    send(email_id)
    assert len(letters) == 1, "a second ring sends nothing"


def test_without_a_mail_server_the_page_says_whom_to_ask(client: FlaskClient) -> None:
    assert client.get("/forgot").status_code == 200
    assert post(client, "/forgot", page="/forgot", email="x@example.com").status_code == 422
