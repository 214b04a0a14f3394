"""What the hub does by the clock: pings, slow readers, rights, presence."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from crm.db import atomic, db
from crm.realtime import access
from crm.realtime.connection import GOING_AWAY, SESSION_OVER, Connection
from crm.realtime.wire import encode_frame, event_frame
from crm.services import agents, sessions

if TYPE_CHECKING:
    from crm.realtime.hub import Hub

log = structlog.get_logger(__name__)

TICK_SECONDS = 1.0
PING_SECONDS = 25.0
# Two pings without a word: the other end is gone, whatever TCP believes.
SILENCE_SECONDS = 2 * PING_SECONDS + 5
PRESENCE_SECONDS = 20.0
TOUCH_SECONDS = 60.0


class Watch:
    """The body of one thread; `check_soon` makes it look at a person's rights at once."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._wake = threading.Event()
        self._stopped = False
        self._due: dict[str, float] = {}

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()

    def check_soon(self) -> None:
        """Look at everybody's rights now: somebody's have just changed."""
        self._due.pop("access", None)
        self._wake.set()

    def run(self) -> None:
        every = self.hub.config.access_check_seconds
        while not self._stopped:
            self._wake.wait(min(TICK_SECONDS, every))
            self._wake.clear()
            self._step("slow", 0, self.hub.cut_slow)
            self._step("access", every, self.check_access)
            self._step("ping", 0, self.ping)
            self._step("presence", PRESENCE_SECONDS, self.record_presence)
            self._step("touch", TOUCH_SECONDS, self.touch_sessions)
            self._step("tidy", 60, self.hub.deliverer.tidy)

    def _step(self, name: str, every: float, work: Callable[[], None]) -> None:
        """Run one duty when it is due; one that fails (database away) is tried again next time."""
        now = time.monotonic()
        if self._stopped or now < self._due.get(name, 0):
            return
        self._due[name] = now + every
        try:
            with self.hub.app.app_context():
                try:
                    work()
                finally:
                    db.session.remove()
        except Exception as error:
            log.warning("watch_step_failed", step=name, error=type(error).__name__)

    def check_access(self) -> None:
        """Close what belongs to an ended session; give changed rights to those that stay."""
        connections = self.hub.connections()
        if not connections:
            return
        live = access.find_live(
            {connection.session_id for connection in connections},
            idle_seconds=self.hub.config.session_idle_seconds,
        )
        rights = access.find_rights({connection.user_id for connection in connections})
        changed: dict[int, list[Connection]] = defaultdict(list)
        for connection in connections:
            if connection.session_id not in live:
                connection.end(SESSION_OVER, "session over")
            elif rights.get(connection.user_id) != connection.rights:
                changed[connection.user_id].append(connection)
        for user_id, theirs in changed.items():
            scope = access.load_scope(user_id)
            for connection in theirs:
                connection.grant(scope, rights[user_id])
                connection.push(event_frame("resync"))
            log.info("rights_changed", user_id=user_id, sockets=len(theirs))

    def ping(self) -> None:
        """Ask each page for a sign of life, and tell it how far the open chat is.

        A page that has missed something (its event was never published) notices by the version.
        """
        now = time.monotonic()
        due = [c for c in self.hub.connections() if now - c.pinged_at >= PING_SECONDS]
        if not due:
            return
        placements = access.find_placements(c.chat_id for c in due if c.chat_id is not None)
        for connection in due:
            if now - connection.heard_at > SILENCE_SECONDS:
                connection.end(GOING_AWAY, "no sign of life")
                connection.wire.cut()
                continue
            connection.pinged_at = now
            body: dict[str, object] = {"type": "ping"}
            place = placements.get(connection.chat_id or 0)
            if place is not None and place.visible_to(connection.scope):
                body |= {
                    "chat_id": connection.chat_id,
                    "version": place.version,
                    "count": place.message_count,
                }
            connection.push(encode_frame(body))

    def record_presence(self) -> None:
        present = {connection.user_id for connection in self.hub.connections()}
        if present:
            with atomic():
                agents.record_presence(sorted(present))

    def touch_sessions(self) -> None:
        """A shift spent reading is a shift: a visible page keeps its session from idling out."""
        visible = {c.session_id for c in self.hub.connections() if c.visible}
        if visible:
            with atomic():
                sessions.touch_sessions(sorted(visible))
