"""One open socket: whose it is, what it looks at, and what waits to be sent to it."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from typing import Any, NamedTuple

from simple_websocket import ConnectionClosed

from crm.permissions import Scope
from crm.realtime.wire import Wire

# A page that has not taken this much is not reading: it is dropped and fetches anew.
OUTBOX_FRAMES = 500
OUTBOX_BYTES = 1_000_000
BATCH_BYTES = 16_384
# What a client may send. A burst of one second's worth is fine.
MESSAGES_PER_SECOND = 20

# Close codes. 4000-4999 are ours; live.js knows the same list.
GOING_AWAY = 1001
BAD_DATA = 1003
POLICY = 1008
INTERNAL_ERROR = 1011
RESTART = 1012
SESSION_OVER = 4401
TOO_MANY = 4409
TOO_SLOW = 4413

_numbers = itertools.count(1)


class Variant(NamedTuple):
    """What a fragment's text depends on; one rendering serves everybody of a variant."""

    locale: str
    phones_visible: bool


class Connection:
    """A socket in the hub's register. What the line does not take at once, its own loop writes."""

    def __init__(
        self, *, ws: Any, wire: Wire, scope: Scope, session_id: int, rights: str, locale: str
    ) -> None:
        self.id = next(_numbers)
        self.ws = ws
        self.wire = wire
        self.session_id = session_id
        self.locale = locale
        self.grant(scope, rights)
        self.chat_id: int | None = None
        self.visible = True
        self.opened_at = time.monotonic()
        self.heard_at = self.opened_at
        self.pinged_at = self.opened_at
        self.ending: tuple[int, str] | None = None
        self._outbox: deque[bytes] = deque()
        self._outbox_bytes = 0
        self._flushing = False
        self._lock = threading.Lock()
        self._budget = float(MESSAGES_PER_SECOND)
        self._budget_at = self.opened_at
        wire.waiting = lambda: len(ws.input_buffer)
        wire.waiting_limit = 2 * MESSAGES_PER_SECOND

    @property
    def user_id(self) -> int:
        return self.scope.user_id

    def grant(self, scope: Scope, rights: str) -> None:
        """Look with these rights from now on; `rights` is their fingerprint."""
        self.rights = rights
        self.variant = Variant(self.locale, scope.can("clients.view_phone"))
        self.scope = scope

    def push(self, frame: bytes) -> None:
        """Send one frame, at once where the line is free; a reader too far behind is cut off."""
        with self._lock:
            if self.ending is not None:
                return
            if not self._outbox and not self._flushing and self.wire.try_send(frame):
                if not self.wire.has_rest:
                    return
                full = False
            else:
                full = (
                    len(self._outbox) >= OUTBOX_FRAMES
                    or self._outbox_bytes + len(frame) > OUTBOX_BYTES
                )
                if not full:
                    self._outbox.append(frame)
                    self._outbox_bytes += len(frame)
        if full:
            self.end(TOO_SLOW, "too slow")
            # A polite close would have to wait behind the frame that this reader does not take.
            self.wire.cut()
        self.ws.event.set()

    def end(self, code: int, reason: str) -> None:
        """Ask the loop to close the socket; the first reason stands."""
        with self._lock:
            if self.ending is None:
                self.ending = (code, reason)
                self._outbox.clear()
                self._outbox_bytes = 0
        self.ws.event.set()

    def flush(self) -> None:
        """Write what waits, several frames to one system call."""
        if self.wire.has_rest:
            self.wire.send(b"")
        while batch := self._take_batch():
            self.wire.send(batch)

    def _take_batch(self) -> bytes:
        with self._lock:
            # While one batch is being written, nothing overtakes it.
            self._flushing = bool(self._outbox) and self.ending is None
            batch: list[bytes] = []
            size = 0
            while self._flushing and self._outbox and (not batch or size < BATCH_BYTES):
                batch.append(self._outbox.popleft())
                size += len(batch[-1])
            self._outbox_bytes -= size
            return b"".join(batch)

    def receive(self, *, timeout: float) -> list[str | bytes]:
        """Messages that have come in, after waiting until there is something to do.

        Raises ConnectionClosed when the other side is gone.
        """
        self.ws.event.wait(timeout)
        messages: list[str | bytes] = []
        # receive(0) clears the event when it finds nothing, so a push that comes later wakes us.
        while (message := self.ws.receive(timeout=0)) is not None:
            messages.append(message)
        return messages

    def within_budget(self) -> bool:
        """Count one message of the client's; False when it sends more than it may."""
        now = time.monotonic()
        refill = (now - self._budget_at) * MESSAGES_PER_SECOND
        self._budget = min(float(MESSAGES_PER_SECOND), self._budget + refill) - 1
        self._budget_at = now
        return self._budget >= 0

    def say_goodbye(self, *, patience: float = 1.0) -> None:
        """Send the close frame, give the client a moment to answer it, and cut the line.

        flask-sock alone would close with 1000, which tells a page to stay away.
        """
        with self._lock:
            # Nothing more is sent, whoever ended it.
            self.ending = self.ending or (GOING_AWAY, "by the client")
            code, reason = self.ending
        if code != TOO_SLOW:
            try:
                self.ws.close(code, reason)
                self.ws.thread.join(patience)
            except (ConnectionClosed, OSError):
                pass  # they were faster
        self.wire.cut()
