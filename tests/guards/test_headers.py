"""Every answer of every route carries the headers that keep a browser from being misled."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from crm.db import atomic
from tests.guards.test_matrix import ENDS_THE_TEST, LAST, path_of
from tests.guards.world import OWN, World, make_world
from tests.people import csrf_of, enter

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def test_every_answer_carries_them_for_strangers_and_for_who_is_in(app: Flask) -> None:
    with atomic():
        world = make_world("super_admin")
    admin = enter(app, world.person)
    admin.environ_base["HTTP_X_CSRFTOKEN"] = csrf_of(admin, "/profile")
    seen = 0
    for client in (app.test_client(), admin):
        for where, answer in answers(app, client, world):
            for name, value in ALWAYS.items():
                assert answer.headers.get(name) == value, f"{where}: {name}"
            policy = answer.headers.get("Content-Security-Policy", "")
            assert "default-src 'none'" in policy, where
            assert "frame-ancestors 'none'" in policy, where
            assert "unsafe" not in policy, where
            kept = answer.headers.get("Cache-Control", "")
            assert "no-store" in kept or answer.headers.get("ETag"), f"{where}: {kept}"
            for cookie in answer.headers.getlist("Set-Cookie"):
                assert "HttpOnly" in cookie, f"{where}: {cookie[:20]}"
                assert "SameSite=Lax" in cookie, f"{where}: {cookie[:20]}"
                assert "Path=/" in cookie, f"{where}: {cookie[:20]}"
                assert "Domain" not in cookie, f"{where}: {cookie[:20]}"
            seen += 1
    assert seen > 200


def answers(app: Flask, client: FlaskClient, world: World) -> Iterator[tuple[str, TestResponse]]:
    for rule in app.url_map.iter_rules():
        if rule.websocket or rule.endpoint == "static" or rule.endpoint in ENDS_THE_TEST | LAST:
            continue
        known = world.ids[OWN]
        path = path_of(rule, {name: known.get(name, 1) for name in rule.arguments})
        path = path.replace("<", "").replace(">", "")
        for method in sorted((rule.methods or set()) & {"GET", "POST"}):
            yield f"{method} {rule.rule}", client.open(path, method=method)
    yield "a page that does not exist", client.get("/no-such-page")
