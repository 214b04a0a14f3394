"""The raw socket behind one websocket, made safe to write to from several places.

simple-websocket calls `socket.send`, which may take only a part of a large frame and so break the
stream of a slow reader, and it answers a close from its reader thread while our own writer may be
in the middle of a frame. `Wire` stands in for the socket: whole frames, one writer at a time.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from wsproto.frame_protocol import FrameProtocol

# The names under which the two servers that we run on hand their socket to a WSGI application.
SOCKET_KEYS = ("gunicorn.socket", "werkzeug.socket")


class Backlog(OSError):
    """A client sent faster than it is read; the reader gives up the connection."""


class Wire:
    """Stands in for a connected socket; `raw` is the socket itself."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self._lock = threading.Lock()
        self._busy_since: float | None = None
        # What the system did not take of the last `try_send`; nothing may be written before it.
        self._rest: bytes | memoryview = b""
        # gevent's socket waits by itself; the bare one beneath says at once that it would block.
        self._bare: Any = None if isinstance(raw, ssl.SSLSocket) else getattr(raw, "_sock", raw)
        # Set by the connection: how many messages wait to be read, and how many may.
        self.waiting: Callable[[], int] = lambda: 0
        self.waiting_limit = 0

    def send(self, data: bytes | bytearray) -> int:
        """Write all of `data`; waits for a slow reader, whom the hub's watch cuts off in time."""
        with self._lock:
            self._busy_since = time.monotonic()
            try:
                if self._rest:
                    self.raw.sendall(self._rest)
                    self._rest = b""
                if data:
                    self.raw.sendall(data)
            finally:
                self._busy_since = None
        return len(data)

    def try_send(self, data: bytes) -> bool:
        """Write `data` without waiting; False if nothing of it was taken.

        A thousand pages are served from one loop this way, without waking a thousand greenlets.
        Where the system takes only a part, `has_rest` is true until `send` has written the rest.
        """
        if self._bare is None or self._rest or not self._lock.acquire(blocking=False):
            return False
        try:
            sent = self._bare.send(data, socket.MSG_DONTWAIT)
        except OSError:
            # Full, or broken: whoever waits for this socket will find out.
            return False
        else:
            if sent < len(data):
                self._rest = memoryview(data)[sent:]
            return True
        finally:
            self._lock.release()

    @property
    def has_rest(self) -> bool:
        return bool(self._rest)

    def recv(self, size: int) -> bytes:
        if self.waiting_limit and self.waiting() > self.waiting_limit:
            raise Backlog("the client sends faster than it may")
        return self.raw.recv(size)

    def busy_seconds(self) -> float:
        """How long the present write has been going on; 0 when nobody writes."""
        since = self._busy_since
        return time.monotonic() - since if since is not None else 0.0

    def cut(self) -> None:
        """End both directions at once; wakes a reader or writer that waits on this socket."""
        try:
            self.raw.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is gone already

    def close(self) -> None:
        self.raw.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


def wrap_socket(environ: dict[str, Any]) -> Wire | None:
    """Put a `Wire` in the place of the server's socket; None where there is none (a test client).

    permessage-deflate is declined by hiding the offer: a compressor costs 300 KB per socket, and
    without one the bytes of a frame are the same for everybody and are made once.
    """
    environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
    for key in SOCKET_KEYS:
        if key in environ:
            wire = Wire(environ[key])
            environ[key] = wire
            return wire
    return None


def encode_frame(body: dict[str, Any]) -> bytes:
    """One complete, unmasked text frame with `body` as JSON."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return bytes(FrameProtocol(client=False, extensions=[]).send_data(text))


def event_frame(name: str, **data: Any) -> bytes:
    """An event for the page's modules, `data` beside its name."""
    return encode_frame({"type": "event", "name": name, **data})
