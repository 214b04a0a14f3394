"""A signed-in admin for the tests of the settings, and posting a form as a browser would."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from crm.db import db
from crm.models import User
from crm.services import sessions

FRAGMENT = {"HX-Request": "true", "HX-Request-Type": "partial"}
# What nobody may write by adding it to a form.
SMUGGLED = {
    "id": "999",
    "role_id": "1",
    "is_admin": "true",
    "is_system": "true",
    "created_at": "1999-01-01",
    "updated_at": "1999-01-01",
    "created_by": "1",
    "deleted_at": "1999-01-01",
    "password_hash": "x",
    "two_factor_enabled": "true",
    "usage_count": "999",
    "user_id": "1",
}


def browser_of(app: Flask, user: User, *, language: str = "en") -> FlaskClient:
    """A browser in which this person is signed in; the CSRF token has tests of its own."""
    user.language = language
    token = sessions.open_session(user, device="test", address="127.0.0.1", absolute_seconds=600)
    db.session.commit()
    client = app.test_client()
    client.set_cookie(app.config["CRM"].session_cookie_name, token)
    return client


# What a browser with scripts does not show, and so does not send.
UNSEEN = {"template", "noscript"}


class FormReader(HTMLParser):
    """The values a browser would send for the form with the id `editor`."""

    def __init__(self) -> None:
        super().__init__()
        self.values: MultiDict[str, str] = MultiDict()
        self.inside = False
        self.template = 0
        self.text_of: str | None = None
        self.select: str | None = None
        self.chosen: str | None = None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "form":
            self.inside = given.get("id") == "editor"
        if tag in UNSEEN:
            self.template += 1
        if not self.inside or self.template:
            return
        name = given.get("name")
        if tag == "input" and name:
            kind = given.get("type") or "text"
            if kind not in {"checkbox", "radio"} or "checked" in given:
                self.values.add(name, given.get("value") or "")
        elif tag == "textarea" and name:
            self.text_of = name
            self.values.add(name, "")
        elif tag == "select" and name:
            self.select, self.chosen = name, None
        elif tag == "option" and self.select and (self.chosen is None or "selected" in given):
            self.chosen = given.get("value") or ""

    def handle_data(self, data: str) -> None:
        if self.text_of:
            self.values[self.text_of] = self.values[self.text_of] + data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.inside = False
        if tag in UNSEEN:
            self.template -= 1
        if tag == "textarea":
            self.text_of = None
        if tag == "select" and self.select:
            if not self.template:
                self.values.add(self.select, self.chosen or "")
            self.select = None


def form_of(client: FlaskClient, path: str) -> MultiDict[str, str]:
    """What the form at `path` would send if somebody pressed Save at once."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.status_code
    reader = FormReader()
    reader.feed(answer.text)
    assert reader.values, f"{path} has no form"
    return reader.values


def post_form(
    client: FlaskClient, path: str, changes: dict[str, Any] | None = None, **options: Any
) -> TestResponse:
    """Open the form, change some fields (None takes one out), send it."""
    values = form_of(client, path)
    for name, value in (changes or {}).items():
        values.poplist(name)
        if value is not None:
            values.setlist(name, value if isinstance(value, list) else [str(value)])
    return client.post(path, data=values, headers=FRAGMENT, **options)


def errors_in(answer: TestResponse) -> dict[str, str]:
    """Field -> sentence, as the summary lists them."""
    found = re.findall(r'<li><a href="#([\w-]+)">.*?</a>: (.*?)</li>', answer.text)
    return {name: html.unescape(sentence) for name, sentence in found}


Browse = Callable[..., FlaskClient]
