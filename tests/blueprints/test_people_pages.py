"""The pages about people: they answer, and their deeds do what the services promise."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from crm.db import atomic, db
from crm.models import AgentStatus, AuditLog, ChatStatus, Role, User, UserSession, UserStatus
from crm.permissions import scope_of
from crm.services import audit, roles
from crm.services.kit import find_last_changes
from tests import factories
from tests.blueprints.admin_desk import form_of
from tests.cast import Cast, make_cast
from tests.people import code_of, enter, give_second_factor, post

GOOD = "caballo grapa batería"


@pytest.fixture
def cast(app: Flask) -> Cast:
    with atomic():
        return make_cast()


@pytest.fixture
def ana(app: Flask, cast: Cast) -> FlaskClient:
    """The browser of the super_admin."""
    return enter(app, cast.admin)


def new_person(**fields: object) -> dict[str, object]:
    return {
        "first_name": "Nueva",
        "last_name": "Persona",
        "email": "Nueva@example.com",
        "role_id": factories.find_role("agent").id,
        "language": "es",
        "time_zone": "",
        "max_concurrent_chats": "7",
        "auto_assign_enabled": "y",
        **fields,
    }


def latest(action: str) -> AuditLog:
    found = select(AuditLog).where(AuditLog.action == action).order_by(AuditLog.id.desc()).limit(1)
    return db.session.scalars(found).one()


@pytest.mark.parametrize(
    "path",
    ["/profile", "/settings/users", "/settings/users?q=laura&status=active&sort=-name",
     "/settings/users/new", "/settings/roles", "/settings/roles/new", "/settings/sessions",
     "/settings/audit", "/settings/audit?failed=1&since=2026-01-01&until=x&user=1&entity=users",
     "/settings/audit/export"],
)  # fmt: skip
def test_every_page_answers(ana: FlaskClient, path: str) -> None:
    answer = ana.get(path)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert ana.get(path, headers={"HX-Request": "true"}).status_code == 200


def test_the_pages_of_single_things_answer(ana: FlaskClient, cast: Cast) -> None:
    paths = [f"/settings/users/{cast.laura.id}", f"/settings/users/{cast.laura.id}/permissions"]
    paths += [f"/settings/roles/{cast.laura.role_id}", f"/settings/audit/{latest('auth.login').id}"]
    for path in paths:
        assert ana.get(path).status_code == 200, path
    for path in ("/settings/users/999", "/settings/roles/999", "/settings/audit/999"):
        assert ana.get(path).status_code == 404, path


def test_a_new_person_is_invited_by_a_link_that_is_shown_once(app: Flask, ana: FlaskClient) -> None:
    answer = post(ana, "/settings/users/new", **new_person())
    assert answer.status_code == 302, answer.get_data(as_text=True)
    page = ana.get(answer.location).get_data(as_text=True)
    found = re.search(r'value="http://localhost(/account/link/[^"]+)"', page)
    assert found
    assert "/account/link/" not in ana.get(answer.location).get_data(as_text=True)
    guest = app.test_client()
    guest.get(found.group(1))
    assert post(guest, "/account/password", password=GOOD).status_code == 302
    user = db.session.scalars(select(User).where(User.email == "nueva@example.com")).one()
    assert (user.max_concurrent_chats, user.role.name) == (7, "agent")
    enter(app, user, password=GOOD)
    assert latest("users.create").entity_id == user.id


def test_an_address_that_somebody_has_is_said_beside_the_field(ana: FlaskClient) -> None:
    answer = post(ana, "/settings/users/new", **new_person(email="LAURA@example.com"))
    assert answer.status_code == 422
    assert "Otra persona ya tiene este correo" in answer.get_data(as_text=True)


def test_suspending_signs_out_and_gives_the_chats_back(
    app: Flask, ana: FlaskClient, cast: Cast
) -> None:
    laura = enter(app, cast.laura)
    states = (ChatStatus.ASSIGNED, ChatStatus.ACTIVE, ChatStatus.PENDING)
    with atomic():
        chats = [
            factories.make_chat(
                campaign=cast.sales, number=cast.number, agent=cast.laura, status=status
            )
            for status in states
        ]
    page = f"/settings/users/{cast.laura.id}"
    answer = post(ana, f"{page}/suspend", page=page, reason="Se fue con la lista de clientes")
    assert answer.status_code == 302, answer.get_data(as_text=True)
    assert laura.get("/inbox").status_code == 302
    for chat in chats:
        db.session.refresh(chat)
        assert (chat.status, chat.assigned_agent_id) == (ChatStatus.QUEUED, None)
    db.session.refresh(cast.laura)
    assert cast.laura.status == UserStatus.SUSPENDED
    assert cast.laura.agent_status == AgentStatus.OFFLINE
    row = latest("users.suspend")
    assert row.meta
    assert row.meta["reason"].startswith("Se fue")
    post(ana, f"{page}/reactivate", page=page)
    enter(app, cast.laura)


def test_suspending_needs_a_reason(ana: FlaskClient, cast: Cast) -> None:
    page = f"/settings/users/{cast.laura.id}"
    assert post(ana, f"{page}/suspend", page=page, reason=" ").status_code == 422


def test_a_deleted_account_is_gone_and_its_address_is_free(
    app: Flask, ana: FlaskClient, cast: Cast
) -> None:
    page = f"/settings/users/{cast.laura.id}"
    assert post(ana, f"{page}/delete", page=page, confirm_name="Otra").status_code == 422
    assert post(ana, f"{page}/delete", page=page, confirm_name="laura gómez").status_code == 302
    assert ana.get(page).status_code == 404
    answer = post(ana, "/settings/users/new", **new_person(email="laura@example.com"))
    assert answer.status_code == 302
    assert db.session.scalar(select(func.count()).where(User.id == cast.laura.id)) == 1


def test_the_matrix_changes_only_what_was_ticked(ana: FlaskClient) -> None:
    with atomic():
        role = factories.save(Role(name="prueba", display_name="Prueba", level=5))
    page = ana.get("/settings/roles").get_data(as_text=True)
    version = re.search(rf'name="version-{role.id}" value="([^"]+)"', page)
    assert version
    form = {f"version-{role.id}": version.group(1), f"role-{role.id}": ["chats.read", "tags.use"]}
    assert post(ana, "/settings/roles", **form).status_code == 302
    assert roles.holdings()[role.id] == {"chats.read", "tags.use"}
    row = latest("roles.set_permissions")
    assert row.changes == {"permissions": {"before": [], "after": ["chats.read", "tags.use"]}}
    # Somebody with the old page does not undo it.
    assert post(ana, "/settings/roles", **form).status_code == 409


def test_a_role_of_the_product_speaks_the_readers_language_until_it_is_renamed(
    ana: FlaskClient, cast: Cast
) -> None:
    with atomic():
        cast.admin.language = "en"
    path = f"/settings/roles/{cast.laura.role_id}"
    values = form_of(ana, path)
    assert (values["display_name"], values["description"]) == ("Agent", "Attends chats")
    # In the order of the product, not of the words in the code.
    matrix = ana.get("/settings/roles").text
    groups = re.findall(r'scope="rowgroup" colspan="\d+">([^<]+)<', matrix)
    assert (groups[:3], groups[-1]) == (["Chats", "Messages", "Notes"], "Settings")

    def stored(**changes: str) -> tuple[str, str | None]:
        assert post(ana, path, page=path, **{**form_of(ana, path), **changes}).status_code == 302
        role = db.session.get_one(Role, cast.laura.role_id, populate_existing=True)
        return role.display_name, role.description

    assert stored(level="3") == ("Agente", "Atención de chats"), "what was translated stays"
    assert stored(description="Asesores de tienda") == ("Agente", "Asesores de tienda")
    assert form_of(ana, path)["description"] == "Asesores de tienda"


def test_a_denial_for_one_person_wins_and_shows(app: Flask, ana: FlaskClient, cast: Cast) -> None:
    page = f"/settings/users/{cast.laura.id}/permissions"
    form = {"clients.view_phone": "revoke", "reports.read": "grant"}
    assert post(ana, page, **form).status_code == 302
    scope = scope_of(db.session.get_one(User, cast.laura.id))
    assert not scope.can("clients.view_phone")
    assert scope.can("reports.read")
    assert post(ana, page, **{"reports.read": ""}).status_code == 302
    scope = scope_of(db.session.get_one(User, cast.laura.id))
    assert not scope.can("reports.read")
    assert not scope.can("clients.view_phone"), "what was not sent stays"


def test_a_role_of_ones_own_is_made_and_deleted_and_a_system_role_is_not(
    app: Flask, ana: FlaskClient, cast: Cast
) -> None:
    form = {"display_name": "Líder de turno", "level": "2", "is_active": "y"}
    assert post(ana, "/settings/roles/new", **form).status_code == 302
    role = db.session.scalars(select(Role).where(Role.name == "lider_de_turno")).one()
    page = f"/settings/roles/{role.id}"
    answer = post(ana, f"{page}/delete", page=page, confirm_name="Líder de turno")
    assert answer.status_code == 302
    system = f"/settings/roles/{cast.laura.role_id}"
    assert post(ana, f"{system}/delete", page=system, confirm_name="Agente").status_code == 403


def test_sessions_are_listed_and_ended(app: Flask, ana: FlaskClient, cast: Cast) -> None:
    laura = enter(app, cast.laura)
    found = select(UserSession.id).where(UserSession.user_id == cast.laura.id)
    session_id = db.session.scalars(found).one()
    page = ana.get("/settings/sessions").get_data(as_text=True)
    assert "Laura Gómez" in page
    path = f"/settings/sessions/{session_id}/end"
    assert post(ana, path, page="/settings/sessions").status_code == 302
    assert laura.get("/inbox").status_code == 302


def test_people_end_their_own_sessions_and_nobody_elses(app: Flask, cast: Cast) -> None:
    first, second, jhon = (enter(app, u) for u in (cast.laura, cast.laura, cast.jhon))
    found = select(UserSession.id).where(UserSession.user_id == cast.jhon.id)
    foreign = f"/profile/sessions/{db.session.scalars(found).one()}/end"
    assert post(first, foreign, page="/profile").status_code == 404
    assert post(first, "/profile/sessions/end-others", page="/profile").status_code == 302
    assert second.get("/inbox").status_code == 302
    assert first.get("/inbox").status_code == 200
    assert jhon.get("/inbox").status_code == 200


def test_the_profile_changes_what_is_ones_own(app: Flask, cast: Cast) -> None:
    laura = enter(app, cast.laura)
    form = {"first_name": "Laura", "last_name": "Gómez Ruiz", "language": "en"}
    answer = post(laura, "/profile", **form, time_zone="America/Lima", phone="+57 300 1112233")
    assert answer.status_code == 302
    db.session.refresh(cast.laura)
    assert (cast.laura.last_name, cast.laura.time_zone) == ("Gómez Ruiz", "America/Lima")
    assert post(laura, "/profile", **form, time_zone="Mars/Base").status_code == 422


def test_a_new_password_asks_for_the_old_one(app: Flask, cast: Cast) -> None:
    laura, other = enter(app, cast.laura), enter(app, cast.laura)
    path, page = "/profile/password", "/profile"
    assert post(laura, path, page=page, current="no es esta", password=GOOD).status_code == 422
    form = {"current": factories.PASSWORD, "password": "password123"}
    assert post(laura, path, page=page, **form).status_code == 422
    assert post(laura, path, page=page, **form | {"password": GOOD}).status_code == 302
    assert laura.get("/inbox").status_code == 200
    assert other.get("/inbox").status_code == 302
    enter(app, cast.laura, password=GOOD)


def test_somebody_sets_their_second_factor_up_and_switches_it_off(app: Flask, cast: Cast) -> None:
    laura, other = enter(app, cast.laura), enter(app, cast.laura)
    begin = {"page": "/profile", "current": factories.PASSWORD}
    assert post(laura, "/profile/two-factor/begin", page="/profile", current="x").status_code == 422
    page = post(laura, "/profile/two-factor/begin", **begin).get_data(as_text=True)
    found = re.search(r"data-secret>([A-Z2-7 ]+)<", page)
    assert found
    secret = found.group(1).replace(" ", "")
    answer = post(laura, "/profile/two-factor/confirm", page="/profile", code=code_of(secret))
    codes = re.findall(r"<li><code>([^<]+)", answer.get_data(as_text=True))
    assert len(codes) == 10
    assert laura.get("/inbox").status_code == 200
    assert other.get("/inbox").status_code == 302
    off = "/profile/two-factor/off"
    assert post(laura, off, **begin, code="000000").status_code == 422
    assert post(laura, off, **begin, code=codes[0]).status_code == 302
    db.session.refresh(cast.laura)
    assert not cast.laura.two_factor_enabled
    assert cast.laura.two_factor_secret is None


def test_an_admin_takes_a_lost_second_factor_away(app: Flask, ana: FlaskClient, cast: Cast) -> None:
    give_second_factor(app, cast.laura)
    page = f"/settings/users/{cast.laura.id}"
    # The button opens a dialog that asks; it does nothing by itself.
    assert 'data-dialog="two-factor"' in ana.get(page).text
    assert "¿Quitar el segundo factor de Laura?" in ana.get(page).text
    assert post(ana, f"{page}/reset-two-factor", page=page).status_code == 302
    assert latest("users.two_factor_reset").entity_id == cast.laura.id
    assert enter(app, cast.laura).get("/inbox").status_code == 200


def test_a_refusal_is_in_the_trail(app: Flask, cast: Cast) -> None:
    laura = enter(app, cast.laura)
    assert laura.get("/settings/audit").status_code == 403
    row = latest("access.denied")
    assert (row.user_id, row.success, row.request_url) == (cast.laura.id, False, "/settings/audit")


def test_the_list_of_people_does_not_ask_more_for_more_people(app: Flask, ana: FlaskClient) -> None:
    from sqlalchemy import event

    def count() -> int:
        seen: list[str] = []

        def note(_c: object, _cur: object, statement: str, *_rest: object) -> None:
            seen.append(statement)

        event.listen(db.engine, "before_cursor_execute", note)
        try:
            assert ana.get("/settings/users").status_code == 200
        finally:
            event.remove(db.engine, "before_cursor_execute", note)
        return len(seen)

    before = count()
    with atomic():
        for _ in range(10):
            factories.make_user()
    assert count() == before


def test_the_trail_shows_a_difference_without_the_secret(ana: FlaskClient, cast: Cast) -> None:
    with atomic():
        before = audit.snapshot(cast.number)
        cast.number.display_name = "Otra línea"
        cast.number.meta_access_token = "canary-token"
        row = audit.record("numbers.update", cast.number, before=before)
        db.session.flush()
        assert row
        audit_id = row.id
    page = ana.get(f"/settings/audit/{audit_id}").get_data(as_text=True)
    assert "<del>Línea Ventas</del>" in page
    assert "<ins>Otra línea</ins>" in page
    assert "canary" not in page
    assert "Números: Otra línea" in ana.get("/settings/audit").text


def test_signing_in_changes_nobody(ana: FlaskClient, cast: Cast) -> None:
    assert latest("auth.login").entity_id == cast.admin.id
    assert find_last_changes("users", [cast.admin.id]) == {}
    person = {"first_name": "Anita", "last_name": "Duarte", "language": "es", "time_zone": ""}
    assert post(ana, "/profile", **person).status_code == 302
    assert find_last_changes("users", [cast.admin.id])[cast.admin.id].name == "Anita Duarte"
