"""Every role at every door, with what is theirs, near, foreign and missing.

`routes.py` lists the doors, `world.py` who finds what behind them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from crm.db import atomic, db
from crm.permissions import ROLES
from tests.guards.routes import PUBLIC, ROUTES
from tests.guards.world import COLLEAGUES, OWN, REFUSED, RELATIONS, SEES, World, make_world
from tests.people import csrf_of, enter, give_second_factor

# These end sessions that the test goes on with, or asks about: the second ones come last.
ENDS_THE_TEST = {"auth.logout"}
LAST = {"sessions.end_others", "profile.change_password"}


def doors(app: Flask) -> list[Rule]:
    """The routes behind a sign-in that speak HTTP."""
    found = [
        rule for rule in app.url_map.iter_rules() if rule.endpoint in ROUTES and not rule.websocket
    ]
    return sorted(found, key=lambda rule: (rule.endpoint in LAST, rule.rule))


def first_argument(rule: Rule) -> str:
    return min(rule.arguments, key=rule.rule.index)


def test_every_route_is_listed_with_what_it_asks_for(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        if rule.endpoint in PUBLIC | {"static"}:
            continue
        asked = app.view_functions[rule.endpoint].access  # type: ignore[attr-defined]
        line = f'    "{rule.endpoint}": "{" ".join(asked)}",'
        assert rule.endpoint in ROUTES, (
            f"{rule.rule} is listed nowhere. If this is what it shall ask for, add to ROUTES in "
            f"tests/guards/routes.py:\n{line}"
        )
        assert set(ROUTES[rule.endpoint].split()) == set(asked), (
            f"{rule.rule} asks for something else than tests/guards/routes.py says. Meant? Then:"
            f"\n{line}"
        )
        for argument in rule.arguments:
            known = argument in SEES or len(rule.arguments) > 1
            assert known, (
                f"{rule.rule}: who may see which <{argument}>? Add a row of it to make_world and "
                "a line to SEES in tests/guards/world.py"
            )


def test_no_line_of_the_list_is_without_its_route(app: Flask) -> None:
    gone = (ROUTES.keys() | PUBLIC) - {rule.endpoint for rule in app.url_map.iter_rules()}
    assert not gone, f"take these out of tests/guards/routes.py: {sorted(gone)}"


@pytest.mark.parametrize("role", sorted(ROLES))
def test_each_role_finds_exactly_what_it_may(app: Flask, role: str) -> None:
    with atomic():
        world = make_world(role)
    client = enter(app, world.person)
    client.environ_base["HTTP_X_CSRFTOKEN"] = csrf_of(client, "/profile")
    wrong = [line for rule in doors(app) for line in answers(client, rule, role, world)]
    assert not wrong, f"{role}:\n" + "\n".join(wrong)


def answers(client: FlaskClient, rule: Rule, role: str, world: World) -> Iterator[str]:
    """Ask at this door for each thing in turn; a line for each answer that is not the listed."""
    holds = set(ROUTES[rule.endpoint].split()) <= ROLES[role]
    # Without the permission nothing is even looked up: one thing stands for all of them.
    tried = RELATIONS if holds and rule.arguments else RELATIONS[-1:] if rule.arguments else (OWN,)
    for relation in tried:
        arguments = world.arguments(relation, set(rule.arguments))
        if arguments is None:
            continue
        path = path_of(rule, arguments)
        for method in sorted((rule.methods or set()) & {"GET", "POST"}):
            if holds and rule.endpoint in ENDS_THE_TEST:
                continue
            status = client.open(path, method=method).status_code
            expected = expected_at(rule, method, role, relation, holds=holds)
            if not (status == expected if expected else passed(method, status)):
                wanted = expected or "a way in"
                yield f"{method} {path} ({rule.endpoint}), {relation}: {status}, not {wanted}"


def expected_at(rule: Rule, method: str, role: str, relation: str, *, holds: bool) -> int | None:
    """The listed answer; None = let in."""
    if not holds:
        return 403
    if method == "POST" and (rule.endpoint, role, relation) in REFUSED:
        return REFUSED[rule.endpoint, role, relation]
    if rule.arguments and role not in SEES[first_argument(rule)].get(relation, set()):
        return 404
    return None


def passed(method: str, status: int) -> bool:
    """An empty form may be wrong input or simply work; it is neither forbidden nor not found."""
    return status < 400 if method == "GET" else status not in {401, 403, 404, 405} and status < 500


def path_of(rule: Rule, arguments: dict[str, int]) -> str:
    path = rule.rule
    for name, value in arguments.items():
        path = path.replace(f"<int:{name}>", str(value))
    return path


def test_a_part_of_something_else_is_not_found_under_ones_own(app: Flask) -> None:
    with atomic():
        world = make_world("agent")
    client = enter(app, world.person)
    client.environ_base["HTTP_X_CSRFTOKEN"] = csrf_of(client, "/profile")
    tried = 0
    for rule in doors(app):
        if len(rule.arguments) < 2 or not set(ROUTES[rule.endpoint].split()) <= ROLES["agent"]:
            continue
        first = first_argument(rule)
        arguments = {**world.ids[COLLEAGUES], first: world.ids[OWN][first]}
        for method in (rule.methods or set()) & {"GET", "POST"}:
            status = client.open(path_of(rule, arguments), method=method).status_code
            assert status == 404, f"{method} {rule.rule}: {status}"
            tried += 1
    assert tried
    db.session.rollback()


def test_a_session_that_lacks_its_second_factor_opens_no_door(app: Flask) -> None:
    with atomic():
        world = make_world("super_admin")
    give_second_factor(app, world.person)
    client = enter(app, world.person)
    client.environ_base["HTTP_X_CSRFTOKEN"] = csrf_of(client, "/login/two-factor")
    for rule in doors(app):
        arguments = world.arguments(OWN, set(rule.arguments)) or world.arguments(
            "missing", set(rule.arguments)
        )
        if rule.endpoint in ENDS_THE_TEST:
            continue
        for method in (rule.methods or set()) & {"GET", "POST"}:
            answer = client.open(path_of(rule, arguments or {}), method=method)
            where = f"{method} {rule.rule}: {answer.status_code} {answer.location}"
            assert answer.status_code == 302, where
            assert answer.location.startswith("/login/two-factor"), where
