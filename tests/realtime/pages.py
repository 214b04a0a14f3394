"""Real servers and real websocket clients for the tests of the live screen."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import websocket
from flask import Flask
from werkzeug.serving import make_server

from crm import create_app
from crm.config import Config
from crm.db import atomic
from crm.extensions import redis_client
from crm.models import User
from crm.realtime.socket import hub_of
from crm.services import sessions
from tests.simulator.server import free_port

ROOT = Path(__file__).parents[2]
# Longest wait for something that should come; tests never assert how long it took.
PATIENCE = 40.0


class Page:
    """A browser page's socket, as far as the server can tell; greeted by the server already."""

    def __init__(
        self, address: str, token: str | None, *, origin: str | None = "", headers: Any = None
    ) -> None:
        """`origin` "" means the server's own; None sends none at all."""
        self.ws = websocket.WebSocket()
        self.ws.settimeout(PATIENCE)
        self.seen: list[dict[str, Any]] = []
        self._early: list[dict[str, Any]] = []
        self.ws.connect(
            f"ws://{address}/socket",
            origin=f"http://{address}" if origin == "" else origin,
            suppress_origin=origin is None,
            header=[*([f"Cookie: sid={token}"] if token else []), *(headers or [])],
        )
        self.wait_for(lambda m: m["type"] == "hello")
        # What came before the greeting is still to be read.
        self._early, self.seen = [m for m in self.seen if m["type"] != "hello"], []

    def say(self, **message: Any) -> None:
        self.ws.send(json.dumps(message))

    def open(self, chat_id: int) -> dict[str, Any]:
        """Show a chat; returns the server's answer."""
        self.say(type="open", chat_id=chat_id)
        return self.wait_for(lambda m: m.get("chat_id") == chat_id and m["type"] != "html")

    def read(self, timeout: float = PATIENCE) -> dict[str, Any] | None:
        """The next message; None if none comes. Raises when the server has closed."""
        if self._early:
            self.seen.append(self._early.pop(0))
            return self.seen[-1]
        self.ws.settimeout(timeout)
        try:
            text = self.ws.recv()
        except websocket.WebSocketTimeoutException:
            return None
        if not text:
            raise websocket.WebSocketConnectionClosedException("closed")
        message = json.loads(text)
        if message["type"] == "ping":
            self.say(type="pong")
        self.seen.append(message)
        return message

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while (left := deadline - time.monotonic()) > 0:
            message = self.read(left)
            if message is not None and wanted(message):
                return message
        raise AssertionError(f"it did not come; seen: {self.seen}")

    def wait_for_kind(self, kind: str) -> dict[str, Any]:
        """A fragment of this kind, or an event of this name."""
        return self.wait_for(lambda m: kind in (m.get("kind"), m.get("name")))

    def read_all(self, *, quiet: float = 0.7) -> list[dict[str, Any]]:
        """Everything until nothing has come for `quiet` seconds."""
        found = []
        while (message := self.read(quiet)) is not None:
            found.append(message)
        return found

    def wait_closed(self, patience: float = PATIENCE) -> int:
        """The code with which the server closes; 1006 for a cut without a word."""
        self.ws.settimeout(patience)
        while True:
            try:
                opcode, data = self.ws.recv_data()
            except (websocket.WebSocketConnectionClosedException, ConnectionError):
                return 1006
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return int.from_bytes(data[:2], "big")

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.ws.close(timeout=0)


class Server:
    """Where pages connect; remembers them so that they end with the test."""

    def __init__(self, address: str, app: Flask) -> None:
        self.address = address
        self.app = app
        self.pages: list[Page] = []

    def page(self, token: str | None, **options: Any) -> Page:
        page = Page(self.address, token, **options)
        self.pages.append(page)
        return page

    def page_of(self, user: User, **options: Any) -> Page:
        return self.page(token_of(user), **options)


@contextlib.contextmanager
def threaded_server(app: Flask, *, is_listening: bool = True, **settings: Any) -> Iterator[Server]:
    """The development server in a thread of this process, with an application of its own.

    The hub lives as long as its application: a new one for each test keeps their sockets apart.
    `is_listening`: it hears events before the first page comes, so that none is lost to a test that
    publishes at once; in production that page is told to fetch.
    """
    config: Config = dataclasses.replace(app.config["CRM"], **settings)
    try:
        own = create_app(config)
        with serving(own) as server:
            if is_listening:
                hub_of(own).start()
                wait_until(lambda: hub_of(own).feed.heard)
            yield server
    finally:
        # The application that was made last has bound the client.
        redis_client.bind(app.config["CRM"].redis_url)


@contextlib.contextmanager
def serving(own: Flask) -> Iterator[Server]:
    http = make_server("127.0.0.1", 0, own, threaded=True)
    http.daemon_threads = True
    thread = threading.Thread(target=lambda: http.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    server = Server(f"127.0.0.1:{http.server_port}", own)
    try:
        yield server
    finally:
        for page in server.pages:
            page.close()
        hub_of(own).close_all()
        hub_of(own).wait_stopped()
        http.shutdown()
        thread.join()
        http.server_close()


@contextlib.contextmanager
def gunicorn_server(
    app: Flask, environment: dict[str, str], *, port: int | None = None, **settings: str
) -> Iterator[tuple[Server, subprocess.Popen[bytes]]]:
    """The production server (gevent) as a process of its own."""
    port = port or free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"],
        cwd=ROOT,
        env={**os.environ, **environment, "PORT": str(port), "WEB_CONCURRENCY": "1", **settings},
    )
    server = Server(f"127.0.0.1:{port}", app)
    try:
        wait_until(lambda: answers_on(port))
        yield server, process
    finally:
        for page in server.pages:
            page.close()
        process.kill()
        process.wait()


def token_of(user: User) -> str:
    """A sign-in session of this person; the token for its cookie."""
    with atomic():
        return sessions.open_session(user, device="test", address="", absolute_seconds=3600)


def answers_on(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(is_so: Callable[[], bool], *, patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError("it did not become so")
        time.sleep(0.02)
