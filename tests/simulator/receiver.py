"""The product's end of the wire, as small as it can be: takes webhooks and remembers them."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Row = dict[str, Any]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *arguments: object) -> None:
        """A killed sender resets its connections; that is no news."""


class Receiver:
    """Answers each POST with `status` (0 = close without an answer) and keeps what came."""

    def __init__(self, *, app_secret: str, verify_token: str) -> None:
        self.app_secret, self.verify_token = app_secret, verify_token
        self.status = 200
        self.posts: list[tuple[bytes, str]] = []
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                good = query.get("hub.verify_token") == [receiver.verify_token]
                self._answer(200 if good else 403, query["hub.challenge"][0].encode())

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                # Shorter: the sender was killed in the middle of it.
                if receiver.status == 0 or len(body) < length:
                    self.close_connection = True
                    return
                # Kept before it is answered: who has read the answer finds it here.
                with receiver._changed:
                    if receiver.status == 200:
                        receiver.posts.append((body, self.headers["X-Hub-Signature-256"]))
                    receiver._changed.notify_all()
                self._answer(receiver.status, b"")

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhooks/meta"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def clear(self) -> None:
        self.status = 200
        self.posts = []

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def values(self) -> list[Row]:
        """The `value` of every change of every accepted post."""
        return [
            change["value"]
            for body, _ in self.posts
            for entry in json.loads(body)["entry"]
            for change in entry["changes"]
        ]

    @property
    def messages(self) -> list[Row]:
        return [row for value in self.values for row in value.get("messages", [])]

    @property
    def statuses(self) -> list[Row]:
        return [row for value in self.values for row in value.get("statuses", [])]

    def statuses_of(self, wamid: str) -> list[str]:
        return [row["status"] for row in self.statuses if row["id"] == wamid]

    def signed_right(self, body: bytes, signature: str) -> bool:
        wanted = hmac.new(self.app_secret.encode(), body, hashlib.sha256).hexdigest()
        return signature == f"sha256={wanted}"

    def wait_for(self, ready: Callable[[], Any], *, seconds: float = 20) -> Any:
        """Wait until `ready()` is true; returns its value."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not (value := ready()):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"did not come; here is what came: {self.values}")
                self._changed.wait(min(left, 0.1))
        return value


@contextmanager
def receiver_server(
    *, app_secret: str = "test-app-secret", verify_token: str = "test-verify-token"
) -> Iterator[Receiver]:
    """A receiver for the length of a `with`."""
    receiver = Receiver(app_secret=app_secret, verify_token=verify_token)
    try:
        yield receiver
    finally:
        receiver.close()
