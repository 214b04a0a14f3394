"""Every door says who may come in."""

import pytest
from flask import Flask

from crm.permissions import PERMISSIONS
from tests.guards.routes import PUBLIC


def test_every_route_names_its_permission_or_is_marked_public(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "static":
            continue  # whitenoise answers these; they hold nothing of anybody
        view = app.view_functions[rule.endpoint]
        access = getattr(view, "access", None)
        assert access is not None, (
            f"{rule.rule} ({rule.endpoint}) says nothing about access: put @requires(...), "
            "@signed_in or @public from crm.permissions on it, below the route"
        )
        assert access == "public" or set(access) <= set(PERMISSIONS)


def test_only_the_known_few_routes_are_public(app: Flask) -> None:
    public = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if getattr(app.view_functions[rule.endpoint], "access", None) == "public"
    }
    assert public <= PUBLIC, f"{public - PUBLIC} became public; is that meant?"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_a_stranger_reaches_nothing_but_public_routes(app: Flask, method: str) -> None:
    client = app.test_client()
    tried = 0
    for rule in app.url_map.iter_rules():
        if method not in (rule.methods or ()) or rule.endpoint in PUBLIC | {"static"}:
            continue
        if rule.websocket:
            continue  # tests/realtime asks this door
        path = rule.rule
        for argument in rule.arguments:
            path = path.replace(f"<int:{argument}>", "1").replace(f"<{argument}>", "x")
        app.config["WTF_CSRF_ENABLED"] = False
        try:
            answer = client.open(path, method=method)
        finally:
            app.config["WTF_CSRF_ENABLED"] = True
        assert answer.status_code in {302, 401, 403}, f"{method} {path}: {answer.status_code}"
        if answer.status_code == 302:
            assert answer.location.startswith("/login")
        tried += 1
    assert tried or method in {"PUT", "DELETE", "PATCH"}


# Machines post here: a signature, or a secret in the address, takes the place of the form's token.
FROM_MACHINES = {"webhooks.receive_meta", "wppconnect.receive"}


def test_every_change_without_a_csrf_token_is_refused(app: Flask) -> None:
    client = app.test_client()
    for rule in app.url_map.iter_rules():
        if "POST" not in (rule.methods or ()) or rule.endpoint in FROM_MACHINES:
            continue
        if rule.websocket:
            continue
        path = rule.rule
        for argument in rule.arguments:
            path = path.replace(f"<int:{argument}>", "1")
        assert client.post(path).status_code == 400, f"POST {path} works without a CSRF token"
