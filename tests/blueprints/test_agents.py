"""The agent's own status switch, through HTTP."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from crm.db import atomic, db
from crm.models import AgentState, AgentStatus, User
from crm.services import sessions
from tests.factories import make_user


@pytest.fixture
def no_csrf(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token has tests of its own."""
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", False)


def sign_in(client: FlaskClient, app: Flask, **user: object) -> int:
    with atomic():
        person = make_user(**user)
        token = sessions.open_session(
            person, device="test", address="127.0.0.1", absolute_seconds=600
        )
    client.set_cookie(app.config["CRM"].session_cookie_name, token)
    return person.id


def status_of(user_id: int) -> tuple[AgentStatus, str | None]:
    db.session.expire_all()
    user = db.session.get_one(User, user_id)
    return user.agent_status, user.agent_status_reason


HTMX = {"HX-Request": "true"}


@pytest.mark.usefixtures("no_csrf")
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("busy", (AgentStatus.BUSY, None)),
        ("offline", (AgentStatus.OFFLINE, None)),
        ("paused", (AgentStatus.PAUSED, None)),
        ("paused:Almuerzo", (AgentStatus.PAUSED, "Almuerzo")),
    ],
)
def test_the_switch_answers_with_itself_turned(
    client: FlaskClient, app: Flask, sent: str, kept: tuple[AgentStatus, str | None]
):
    user_id = sign_in(client, app)
    response = client.post("/agents/status", data={"status": sent}, headers=HTMX)
    assert response.status_code == 200
    assert status_of(user_id) == kept
    html = response.get_data(as_text=True)
    assert f'data-status="{kept[0]}"' in html
    assert html.count('aria-pressed="true"') == 1
    spells = select(AgentState.status).where(AgentState.user_id == user_id).order_by(AgentState.id)
    assert list(db.session.scalars(spells)) == [AgentStatus.AVAILABLE, kept[0]]


@pytest.mark.usefixtures("no_csrf")
@pytest.mark.parametrize("sent", ["", "away", "paused:<script>", "available:Almuerzo"])
def test_an_unknown_status_is_refused_and_changes_nothing(
    client: FlaskClient, app: Flask, sent: str
):
    user_id = sign_in(client, app)
    response = client.post("/agents/status", data={"status": sent}, headers=HTMX)
    assert response.status_code == 422
    assert status_of(user_id) == (AgentStatus.AVAILABLE, None)


@pytest.mark.usefixtures("no_csrf")
def test_without_scripts_the_page_comes_back(client: FlaskClient, app: Flask):
    sign_in(client, app)
    response = client.post("/agents/status", data={"status": "busy"})
    assert response.status_code == 302
    assert response.headers["Location"].endswith("/inbox")


def test_the_fragment_shows_the_present_state(client: FlaskClient, app: Flask):
    sign_in(client, app, agent_status=AgentStatus.PAUSED, agent_status_reason="meeting")
    html = client.get("/agents/status", headers=HTMX).get_data(as_text=True)
    assert 'data-status="paused"' in html


@pytest.mark.parametrize("role", ["quality", "audit"])
def test_who_is_no_agent_has_no_switch(client: FlaskClient, app: Flask, role: str):
    sign_in(client, app, role=role)
    assert client.get("/agents/status", headers=HTMX).status_code == 403


def test_a_stranger_is_sent_to_sign_in(client: FlaskClient):
    assert client.get("/agents/status").status_code == 302


def test_a_post_without_the_token_is_refused(client: FlaskClient, app: Flask):
    user_id = sign_in(client, app)
    response = client.post("/agents/status", data={"status": "busy"}, headers=HTMX)
    assert response.status_code == 400
    assert status_of(user_id) == (AgentStatus.AVAILABLE, None)
