"""Every role at every door: what each route asks for is listed here, beside the code that says so.

A route that is not listed fails, so nobody opens a door by forgetting a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask
from sqlalchemy import select, text
from werkzeug.routing import Rule

from crm.db import atomic, db
from crm.models import ChatStatus, User
from crm.permissions import ROLES
from tests import factories
from tests.cast import make_cast
from tests.guards.test_access import PUBLIC
from tests.people import enter

# endpoint -> what it asks for; "" = signed in, whatever the role. Areas of others are listed by
# their prefix: every action of theirs asks for a permission of that module.
PEOPLE = {
    "profile.page": "", "profile.save": "", "profile.change_password": "",
    "profile.set_language": "", "profile.begin_two_factor": "", "profile.confirm_two_factor": "",
    "profile.switch_two_factor_off": "", "profile.renew_codes": "",
    "sessions.end_own": "", "sessions.end_others": "", "auth.logout": "",
    "sessions.index": "sessions.read", "sessions.end": "sessions.revoke",
    "users.index": "users.read", "users.edit": "users.read", "users.new": "users.create",
    "users.create": "users.create", "users.save": "users.update", "users.suspend": "users.update",
    "users.deactivate": "users.update", "users.reactivate": "users.update",
    "users.delete": "users.delete", "users.make_link": "users.update",
    "users.reset_two_factor": "users.update", "users.permissions": "users.read roles.read",
    "users.save_permissions": "users.update roles.read",
    "roles.index": "roles.read", "roles.save_matrix": "roles.update", "roles.new": "roles.create",
    "roles.create": "roles.create", "roles.edit": "roles.read", "roles.save": "roles.update",
    "roles.delete": "roles.delete",
    "audit.index": "audit.read", "audit.detail": "audit.read",
    "audit.export": "audit.export audit.read",
    "alarms.bell": "alarms.read", "alarms.index": "alarms.read",
    "alarms.acknowledge": "alarms.acknowledge alarms.read",
    "alarms.acknowledge_all": "alarms.acknowledge alarms.read",
}  # fmt: skip
MODULES = {"campaigns", "queues", "rules", "numbers", "quick_replies", "templates", "tags"}
SIGNED_IN_AREAS = {"settings", "agents", "inbox", "live"}


@contextmanager
def without_csrf(app: Flask) -> Iterator[None]:
    """Forms that are sent without a page of theirs; the CSRF check has tests of its own."""
    app.config["WTF_CSRF_ENABLED"] = False
    try:
        yield
    finally:
        app.config["WTF_CSRF_ENABLED"] = True


def listed(rule: Rule) -> set[str] | None:
    """What this test's own list says; None for an area whose routes another list holds."""
    if rule.endpoint in PEOPLE:
        return set(PEOPLE[rule.endpoint].split())
    return None


def test_every_route_is_listed_with_what_it_asks_for(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        if rule.endpoint in PUBLIC | {"static"}:
            continue
        access = set(app.view_functions[rule.endpoint].access)  # type: ignore[attr-defined]
        area = rule.endpoint.partition(".")[0]
        if (wanted := listed(rule)) is not None:
            assert access == wanted, rule.endpoint
        elif area in MODULES:
            assert access, f"{rule.endpoint} asks for nothing"
            assert {name.partition(".")[0] for name in access} <= {area}, rule.endpoint
        else:
            assert area in SIGNED_IN_AREAS, f"{rule.endpoint} is listed nowhere: add it here"


@pytest.mark.parametrize("role", sorted(ROLES))
def test_each_role_passes_exactly_the_doors_it_holds_the_keys_of(app: Flask, role: str) -> None:
    with atomic():
        user = factories.make_user(role=role)
    client = enter(app, user)
    tried = 0
    for rule in app.url_map.iter_rules():
        if rule.endpoint in PUBLIC | {"static"} or rule.websocket:
            continue
        access = set(app.view_functions[rule.endpoint].access)  # type: ignore[attr-defined]
        path = rule.rule
        for argument in rule.arguments:
            path = path.replace(f"<int:{argument}>", "999").replace(f"<{argument}>", "x")
        allowed = access <= ROLES[role]
        for method in sorted((rule.methods or set()) & {"GET", "POST"}):
            if method == "POST" and allowed:
                continue  # what it does to whom is held by the tests of its area
            if method == "GET":
                status = client.get(path).status_code
            else:
                with without_csrf(app):
                    status = client.post(path).status_code
            assert (status == 403) != allowed, f"{role}: {method} {path} answered {status}"
            tried += 1
    assert tried > 30


# chat -> role -> what its page answers.
CHATS = {
    "own": {"agent": 200, "supervisor": 200, "super_admin": 200, "audit": 403},
    "waiting, same campaign": {"agent": 200, "supervisor": 200, "super_admin": 200, "audit": 403},
    "colleague's": {"agent": 404, "supervisor": 200, "super_admin": 200, "audit": 403},
    "other campaign": {"agent": 404, "supervisor": 404, "super_admin": 200, "audit": 403},
    "missing": {"agent": 404, "supervisor": 404, "super_admin": 404, "audit": 403},
}


def test_a_chat_that_is_not_ones_own_looks_like_one_that_does_not_exist(app: Flask) -> None:
    with atomic():
        cast = make_cast()
        audit = factories.make_user(role="audit")
        other = factories.make_campaign(number=cast.number)

        def chat(**fields: object) -> int:
            given = {"campaign": cast.sales, "number": cast.number, **fields}
            return factories.make_chat(**given).id  # type: ignore[arg-type]

        shared = {
            "waiting, same campaign": chat(status=ChatStatus.QUEUED),
            "colleague's": chat(agent=cast.jhon),
            "other campaign": chat(campaign=other, agent=cast.jhon),
            "missing": 999,
        }
        people = {
            "agent": cast.laura, "supervisor": cast.marta, "super_admin": cast.admin, "audit": audit
        }  # fmt: skip
        own = {role: chat(agent=person) for role, person in people.items()}
    for role, person in people.items():
        client = enter(app, person)
        for name, answers in CHATS.items():
            number = own[role] if name == "own" else shared[name]
            status = client.get(f"/inbox/{number}").status_code
            assert status == answers[role], f"{role}, {name}: {status}"


EXTRA = {
    "role_id": "1", "is_admin": "1", "id": "1", "created_at": "2020-01-01", "password_hash": "x",
    "two_factor_enabled": "1", "status": "suspended", "email": "otra@example.com",
    "max_concurrent_chats": "99", "deleted_at": "2020-01-01", "is_system": "1",
}  # fmt: skip


@pytest.mark.parametrize("path", ["/profile", "/profile/language", "/agents/status"])
def test_fields_that_a_form_does_not_have_change_nothing(app: Flask, path: str) -> None:
    with atomic():
        user = factories.make_user(language="es")
    client = enter(app, user)
    columns = text(
        "SELECT id, email, role_id, password_hash, two_factor_enabled, created_at, deleted_at, "
        "is_system, max_concurrent_chats, users.status FROM users WHERE id = :id"
    )
    before = db.session.execute(columns, {"id": user.id}).one()
    db.session.rollback()
    own = {"first_name": "Laura", "last_name": "G", "language": "en", "time_zone": ""}
    with without_csrf(app):
        client.post(path, data={**EXTRA, **own, **({"status": "busy"} if "agents" in path else {})})
    assert db.session.execute(columns, {"id": user.id}).one() == before


def test_extra_fields_change_nothing_about_an_account_that_one_edits(app: Flask) -> None:
    with atomic():
        boss, user = factories.make_user(role="super_admin"), factories.make_user()
    client = enter(app, boss)
    form = {
        "first_name": "Otra", "last_name": "G", "language": "es", "time_zone": "",
        "email": user.email, "role_id": user.role_id, "max_concurrent_chats": "5",
    }  # fmt: skip
    page = client.get(f"/settings/users/{user.id}").get_data(as_text=True)
    version = page.partition('name="version"')[2].partition('value="')[2].partition('"')[0]
    hostile = {name: value for name, value in EXTRA.items() if name not in form}
    form["version"] = version
    with without_csrf(app):
        answer = client.post(f"/settings/users/{user.id}", data={**hostile, **form})
    assert answer.status_code == 302
    fresh = db.session.scalars(
        select(User).where(User.id == user.id).execution_options(populate_existing=True)
    ).one()
    assert fresh.first_name == "Otra"
    assert (fresh.status, fresh.two_factor_enabled, fresh.is_system) == ("active", False, False)
    assert fresh.deleted_at is None
    assert fresh.password_hash.startswith("$argon2id$")
