"""Who is connected to this process, and the threads that serve them.

Three threads for any number of sockets: one reads the live events, one renders and sends, one
watches (pings, slow readers, rights, presence). They start with the first socket, so that a
process that forks or serves none pays nothing; under gevent they are greenlets.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import structlog

from crm.events import AlarmsChanged, Audience, Event
from crm.realtime.connection import RESTART, TOO_MANY, TOO_SLOW, Connection
from crm.realtime.deliver import Deliverer
from crm.realtime.feed import Feed
from crm.realtime.watch import Watch
from crm.realtime.wire import encode_frame, event_frame

if TYPE_CHECKING:
    from flask import Flask

log = structlog.get_logger(__name__)
SOCKETS_PER_USER = 5
# How long one write may take before its reader counts as gone.
WRITE_SECONDS = 10.0


class Hub:
    """The register of one process. Everything here is safe to call from any thread."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.config = app.config["CRM"]
        self._connections: dict[int, Connection] = {}
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._closing = False
        self.deliverer = Deliverer(self)
        self.watch = Watch(self)
        self.feed = Feed(
            self.config.redis_url,
            on_event=self._take_event,
            on_lost=lambda: self.tell_all("delayed"),
            on_back=self._resync,
        )

    def join(self, connection: Connection) -> None:
        """Put a socket on the register; a person's oldest one makes room for their sixth."""
        with self._lock:
            if self._closing:
                connection.end(RESTART, "restarting")
                return
            self._connections[connection.id] = connection
            own = [
                other
                for other in self._connections.values()
                if other.user_id == connection.user_id and other.ending is None
            ]
            self._start_threads()
        for other in own[: max(0, len(own) - SOCKETS_PER_USER)]:
            other.end(TOO_MANY, "too many pages")
        # From here on nothing passes by unheard: now the page may fetch what came before.
        connection.push(encode_frame({"type": "hello"}))
        if self.feed.lost:
            connection.push(event_frame("delayed"))

    def leave(self, connection: Connection) -> None:
        with self._lock:
            self._connections.pop(connection.id, None)

    def connections(self) -> list[Connection]:
        with self._lock:
            return list(self._connections.values())

    def push(self, connections: Iterable[Connection], frame: bytes) -> None:
        for connection in connections:
            connection.push(frame)

    def tell_all(self, name: str) -> None:
        """Send an event without data to every page."""
        self.push(self.connections(), event_frame(name))

    def close_all(self, *, code: int = RESTART, reason: str = "restarting") -> None:
        """Close every socket politely and accept no more: this process is about to stop."""
        with self._lock:
            self._closing = True
            connections = list(self._connections.values())
        log.info("sockets_closing", count=len(connections), code=code)
        for connection in connections:
            connection.end(code, reason)
        self.stop()

    def stop(self) -> None:
        """Tell the threads to end."""
        self.feed.stop()
        self.deliverer.stop()
        self.watch.stop()

    def wait_stopped(self, patience: float = 5.0) -> None:
        """Wait until the threads have ended, after `stop`."""
        for thread in self._threads:
            thread.join(patience)

    def cut_slow(self) -> None:
        """Drop whoever has kept one write waiting for too long."""
        for connection in self.connections():
            if connection.wire.busy_seconds() > WRITE_SECONDS:
                connection.end(TOO_SLOW, "too slow")
                connection.wire.cut()

    def start(self) -> None:
        """Listen before the first socket comes."""
        with self._lock:
            self._start_threads()

    def _start_threads(self) -> None:
        if not self._threads:
            bodies = (self.feed.run, self.deliverer.run, self.watch.run)
            self._threads = [start_thread(body) for body in bodies]

    def _take_event(self, event: Event, audience: Audience) -> None:
        if not self.deliverer.take(event, audience):
            # Too far behind to catch up one by one.
            self._resync()

    def _resync(self) -> None:
        """What happened is not known piece by piece: every page fetches again."""
        self.deliverer.forget()
        self.tell_all("resync")
        # The pages mend their list and thread; the bell is told to look by its own event.
        self.deliverer.take(AlarmsChanged(), Audience())


def start_thread(body: Callable[[], None]) -> threading.Thread:
    """Run `body` beside the sockets, again if it fails: without it the screens stand still."""
    name = f"live-{body.__self__.__class__.__name__.lower()}"  # type: ignore[attr-defined]

    def run() -> None:
        while True:
            try:
                body()
                return
            except Exception:
                log.exception("live_thread_failed", thread=name)
                time.sleep(1.0)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
