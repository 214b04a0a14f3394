"""What a form does not show cannot be written by adding it: tried at every route that takes one."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.datastructures import MultiDict
from werkzeug.routing import Rule

from crm.db import Base, atomic, db
from tests import factories
from tests.blueprints.admin_desk import FRAGMENT, FormReader
from tests.guards.test_matrix import ENDS_THE_TEST, LAST, doors, path_of
from tests.guards.world import OWN, World, make_world
from tests.people import csrf_of, enter

MARK = "987654321"
PLANTED_DAY = "1987-06-05"
PLANTED_TEXT = "planted-by-a-stranger"


def hostile(*, role_id: int, user_id: int) -> dict[str, str]:
    """Fields that no form of ours has under these names, with values that are found again."""
    return {
        "id": MARK, "number_id": MARK, "usage_count": MARK, "level": MARK, "message_count": MARK,
        "failed_login_attempts": MARK, "position": MARK,
        "role_id": str(role_id), "user_id": str(user_id), "created_by": str(user_id),
        "assigned_agent_id": str(user_id), "agent_id": str(user_id),
        "created_at": PLANTED_DAY, "updated_at": PLANTED_DAY, "deleted_at": PLANTED_DAY,
        "last_login_at": PLANTED_DAY, "two_factor_at": PLANTED_DAY, "opt_in_date": PLANTED_DAY,
        "password_hash": PLANTED_TEXT, "token": PLANTED_TEXT, "two_factor_secret": PLANTED_TEXT,
        "status_reason": PLANTED_TEXT, "email": f"{PLANTED_TEXT}@example.com",
        "is_admin": "1", "is_system": "1", "two_factor_enabled": "1",
        "requires_two_factor": "1",
    }  # fmt: skip


@pytest.mark.parametrize("role", ["super_admin", "agent"])
def test_extra_fields_change_nothing_on_any_route(app: Flask, role: str) -> None:
    with atomic():
        world = make_world(role)
        nobody = factories.make_user(role="audit")
        lure = factories.save(factories.Role(name="lure", display_name="Señuelo"))
    client = enter(app, world.person)
    client.environ_base["HTTP_X_CSRFTOKEN"] = csrf_of(client, "/profile")
    extra = hostile(role_id=lure.id, user_id=nobody.id)
    tried = [attempt(client, rule, world, extra) for rule in doors(app)]
    assert len(list(filter(None, tried))) > 15
    assert not traces(lure_id=lure.id, nobody_id=nobody.id)


def test_the_search_sees_what_it_looks_for(app: Flask) -> None:
    with atomic():
        lure = factories.save(factories.Role(name="lure", display_name="Señuelo"))
        nobody, victim = factories.make_user(), factories.make_user()
    for column, value in {
        "role_id": lure.id, "two_factor_enabled": True, "password_hash": PLANTED_TEXT,
        "created_at": PLANTED_DAY, "failed_login_attempts": int(MARK), "is_system": True,
    }.items():  # fmt: skip
        change = text(f"UPDATE users SET {column} = :value WHERE id = :id")
        db.session.execute(change, {"value": value, "id": victim.id})
        found = traces(lure_id=lure.id, nobody_id=nobody.id, keep=True)
        assert found, column
        db.session.rollback()


def attempt(client: FlaskClient, rule: Rule, world: World, extra: dict[str, str]) -> bool:
    """Send the form of this route as its page shows it, and the hostile fields along with it."""
    if "POST" not in (rule.methods or ()) or rule.endpoint in ENDS_THE_TEST | LAST:
        return False
    arguments = world.arguments(OWN, set(rule.arguments))
    if arguments is None:
        return False
    path = path_of(rule, arguments)
    page = client.get(path).get_data(as_text=True)
    own = set(re.findall(r'name="([^"]+)"', page))
    sent = MultiDict([(name, value) for name, value in extra.items() if name not in own])
    reader = FormReader()
    reader.feed(page)
    sent.update(reader.values)
    answer = client.post(path, data=sent, headers=FRAGMENT)
    assert answer.status_code < 500, f"{path}: {answer.status_code}"
    return True


def traces(*, lure_id: int, nobody_id: int, keep: bool = False) -> list[str]:
    """Rows in which a planted value has arrived."""
    if not keep:
        db.session.rollback()
    found = []
    for table in Base.metadata.sorted_tables:
        rows = db.session.execute(text(f"SELECT x::text FROM {table.name} x")).scalars()
        planted = (MARK, PLANTED_DAY, PLANTED_TEXT)
        found += [f"{table.name}: {row}" for row in rows if any(mark in row for mark in planted)]
    flags = text(
        "SELECT email FROM users WHERE email <> 'system@localhost' AND "
        "(two_factor_enabled OR role_id = :lure OR is_system) UNION ALL "
        "SELECT name FROM roles WHERE name LIKE 'lure%' AND (is_system OR requires_two_factor)"
    )
    found += db.session.execute(flags, {"lure": lure_id}).scalars()
    for table in Base.metadata.sorted_tables:
        owners = {"user_id", "created_by", "assigned_agent_id", "agent_id"} & set(table.c.keys())
        for column in owners if table.name not in {"agent_states"} else ():
            count = db.session.execute(
                text(f"SELECT count(*) FROM {table.name} WHERE {column} = :id"), {"id": nobody_id}
            ).scalar_one()
            if count:
                found.append(f"{table.name}.{column} = somebody else")
    return found
