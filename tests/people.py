"""For tests about accounts: signing somebody in over HTTP, and a mail server that listens."""

from __future__ import annotations

import re
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

import pyotp
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from crm.db import atomic, db
from crm.models import User
from crm.services import two_factor
from tests import factories
from tests.factories import PASSWORD


def csrf_of(client: FlaskClient, path: str = "/login") -> str:
    page = client.get(path).get_data(as_text=True)
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert found, page[:2000]
    return found.group(1)


def post(
    client: FlaskClient, path: str, *, page: str | None = None, **form: object
) -> TestResponse:
    """Send a form as the page that holds it would."""
    return client.post(path, data={"csrf_token": csrf_of(client, page or path), **form})


def enter(app: Flask, user: User, *, password: str = PASSWORD) -> FlaskClient:
    """A browser in which `user` has given their password."""
    client = app.test_client()
    answer = post(client, "/login", email=user.email, password=password)
    assert answer.status_code == 302, answer.get_data(as_text=True)
    return client


def give_second_factor(app: Flask, user: User) -> str:
    """Switch it on for `user`, as if long ago; returns the secret."""
    keys = app.config["CRM"].encryption_keys
    with atomic():
        user.two_factor_secret = None
        secret = two_factor.begin_setup(user, keys=keys)
        user.two_factor_enabled = True
    return secret


@contextmanager
def demanded(role: str) -> Iterator[None]:
    """While it lasts, this role asks for a second factor."""
    with atomic():
        factories.find_role(role).requires_two_factor = True
    try:
        yield
    finally:
        db.session.rollback()
        with atomic():
            factories.find_role(role).requires_two_factor = False


def code_of(secret: str, *, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(int(time.time()) + 30 * steps)


@contextmanager
def mail_server() -> Iterator[tuple[int, list[EmailMessage]]]:
    """A real SMTP server on a free port: the port, and the messages as they come in."""
    letters: list[EmailMessage] = []

    class Talk(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 test")
            while line := self.rfile.readline():
                word = line[:4].upper()
                if word == b"DATA":
                    self.say("354 go on")
                    letters.append(self.read_letter())
                    self.say("250 taken")
                elif word == b"QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 fine")

        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def read_letter(self) -> EmailMessage:
            lines = []
            while (line := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(line)
            return message_from_bytes(b"".join(lines), policy=policy.default)  # type: ignore[return-value]

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Talk) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1], letters
        server.shutdown()
        thread.join()
