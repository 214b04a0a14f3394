"""From an event to the sockets that may see it: load once, render once per variant, send.

What may be seen is decided at the moment of sending, from the chat as it stands in the database,
never from the event: the chat may have moved since. The event's audience says who could see it
before, so that their list can drop the row.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import structlog

from crm.db import db
from crm.events import (
    AccessChanged,
    AgentChanged,
    Audience,
    ChatChanged,
    Event,
    MessageAdded,
    MessageChanged,
)
from crm.permissions import Scope
from crm.realtime import render
from crm.realtime.access import Placement, find_placements
from crm.realtime.connection import Connection
from crm.realtime.pending import Pending
from crm.realtime.wire import encode_frame, event_frame

if TYPE_CHECKING:
    from crm.realtime.hub import Hub

log = structlog.get_logger(__name__)

# A row is sent at once and then at most this often; a burst of messages is one row.
ROW_SPACING = 0.05
# Counts cost a query for each page that asks: they follow within this time.
COUNTS_SPACING = 1.0
BATCH = 100
BACKLOG = 5_000
# How many chats' last known placement is kept, to know who has just lost sight of one.
PLACES = 20_000


class Key(NamedTuple):
    """One thing to be sent: a row, a bubble, ticks, an agent, the counts."""

    kind: str
    chat_id: int = 0
    id: int = 0


Audiences = frozenset[Audience]


class Deliverer:
    """The body of one thread, fed by `take`."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._pending: Pending[Key, Audiences] = Pending(
            merge=lambda old, new: old | new, limit=BACKLOG
        )
        self._places: dict[int, Placement] = {}
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def take(self, event: Event, audience: Audience) -> bool:
        """Note an event; False when there is more than can be sent."""
        audiences = frozenset((audience,))
        match event:
            case MessageAdded(chat_id=chat_id, message_id=message_id):
                return self._pending.put(Key("bubble", chat_id, message_id), audiences)
            case MessageChanged(chat_id=chat_id, message_id=message_id):
                return self._pending.put(Key("ticks", chat_id, message_id), audiences)
            case ChatChanged(chat_id=chat_id):
                return self._pending.put(Key("row", chat_id), audiences, spacing=ROW_SPACING)
            case AgentChanged(user_id=user_id):
                return self._pending.put(Key("agent", id=user_id), audiences, spacing=ROW_SPACING)
            case AccessChanged():
                self.hub.watch.check_soon()
        return True

    def forget(self) -> None:
        """Everybody fetches anew: what waited is old."""
        self._pending.clear()

    def tidy(self) -> None:
        self._pending.forget_before(time.monotonic() - 10)
        if len(self._places) > PLACES:
            for chat_id in list(self._places)[: len(self._places) - PLACES // 2]:
                del self._places[chat_id]

    def run(self) -> None:
        while not self._stopped.is_set():
            batch = self._pending.take(timeout=1.0, limit=BATCH)
            if not batch:
                continue
            try:
                with self.hub.app.test_request_context():
                    try:
                        self.send(batch)
                    finally:
                        db.session.remove()
            except Exception:
                # The pages cannot be told what; they can be told to look.
                log.exception("delivery_failed", events=len(batch))
                self.hub.tell_all("resync")

    def send(self, batch: Iterable[tuple[Key, Audiences]]) -> None:
        """Send everything of one batch."""
        work: dict[str, dict[Key, Audiences]] = defaultdict(dict)
        for key, audiences in batch:
            work[key.kind][key] = audiences
        connections = self.hub.connections()
        if not connections:
            return
        places = find_placements(
            key.chat_id for keys in work.values() for key in keys if key.chat_id
        )
        audience = Seers(connections, places)
        self._send_bubbles("bubble", list(work["bubble"]), audience)
        self._send_bubbles("ticks", list(work["ticks"]), audience)
        self._send_rows(work["row"], audience)
        self._send_agents(work["agent"], connections)
        if work["counts"]:
            self._send_counts(work["counts"], connections)

    def _send_rows(self, rows: dict[Key, Audiences], seers: Seers) -> None:
        receivers = {key.chat_id: seers.of(key.chat_id) for key in rows}
        wanted = {
            (chat_id, connection.variant)
            for chat_id, connections in receivers.items()
            for connection in connections
        }
        html = render.render_rows(wanted)
        for key, audiences in rows.items():
            chat_id = key.chat_id
            place = seers.places.get(chat_id)
            frames = {
                variant: encode_frame(
                    {
                        "type": "html",
                        "kind": "row",
                        "chat_id": chat_id,
                        "version": place.version if place else 0,
                        "html": text,
                    }
                )
                for (of_chat, variant), text in html.items()
                if of_chat == chat_id
            }
            for connection in receivers[chat_id]:
                if connection.variant in frames:
                    connection.push(frames[connection.variant])
            self._send_gone(chat_id, audiences, seers)

    def _send_gone(self, chat_id: int, audiences: Audiences, seers: Seers) -> None:
        """Tell those who could see the chat and no longer can to drop its row.

        Who could: by its placement when last sent from here, or by what the event says.
        """
        before, now = self._places.get(chat_id), seers.places.get(chat_id)
        if now is not None:
            self._places[chat_id] = now
        else:
            self._places.pop(chat_id, None)
        frame = event_frame("gone", chat_id=chat_id)
        for connection in seers.connections:
            scope = connection.scope
            if now is not None and now.visible_to(scope):
                continue
            could = before is not None and before.visible_to(scope)
            if could or any(may_see(scope, audience) for audience in audiences):
                if connection.chat_id == chat_id:
                    connection.chat_id = None
                connection.push(frame)
        if before != now and not same_place(before, now):
            campaigns = frozenset(
                Audience(campaign_id=place.campaign_id, agent_ids=place.agent_ids, waiting=True)
                for place in (before, now)
                if place is not None
            )
            self._pending.put(Key("counts"), campaigns | audiences, spacing=COUNTS_SPACING)

    def _send_bubbles(self, kind: str, keys: list[Key], seers: Seers) -> None:
        """Bubbles and ticks go only to the pages that show this chat."""
        receivers = {
            key: [c for c in seers.of(key.chat_id) if c.chat_id == key.chat_id] for key in keys
        }
        wanted = {
            (key.id, connection.variant)
            for key, connections in receivers.items()
            for connection in connections
        }
        html = render.render_bubbles(wanted) if kind == "bubble" else render.render_ticks(wanted)
        for key, connections in receivers.items():
            place = seers.places.get(key.chat_id)
            frames: dict[str, bytes] = {}
            for connection in connections:
                text = html.get((key.id, connection.variant))
                if text is None or place is None:
                    continue
                if text not in frames:
                    frames[text] = encode_frame(
                        {
                            "type": "html",
                            "kind": kind,
                            "chat_id": key.chat_id,
                            "message_id": key.id,
                            "version": place.version,
                            "html": text,
                        }
                    )
                connection.push(frames[text])

    def _send_agents(self, keys: dict[Key, Audiences], connections: list[Connection]) -> None:
        """An agent's status: to themselves, to whom the event names, to who steers agents."""
        for key, audiences in keys.items():
            frame = event_frame("agent", user_id=key.id)
            named = {user_id for audience in audiences for user_id in audience.user_ids}
            campaigns = {audience.campaign_id for audience in audiences} - {None}
            for connection in connections:
                scope = connection.scope
                steers = scope.can("agents.set_status") and (
                    scope.sees_everything or bool(campaigns & scope.campaign_ids)
                )
                if steers or scope.user_id == key.id or scope.user_id in named:
                    connection.push(frame)

    def _send_counts(self, keys: dict[Key, Audiences], connections: list[Connection]) -> None:
        audiences = frozenset().union(*keys.values())
        frame = event_frame("counts")
        for connection in connections:
            if any(may_see(connection.scope, audience) for audience in audiences):
                connection.push(frame)


class Seers:
    """Who may see which chat now; asked once per person and chat in a batch."""

    def __init__(self, connections: list[Connection], places: dict[int, Placement]) -> None:
        self.connections = connections
        self.places = places
        self._of: dict[int, list[Connection]] = {}

    def of(self, chat_id: int) -> list[Connection]:
        if chat_id not in self._of:
            place = self.places.get(chat_id)
            if place is None:
                self._of[chat_id] = []
            else:
                self._of[chat_id] = [c for c in self.connections if place.visible_to(c.scope)]
        return self._of[chat_id]


def may_see(scope: Scope, audience: Audience) -> bool:
    return scope.user_id in audience.user_ids or scope.sees_chat(
        campaign_id=audience.campaign_id, agent_ids=audience.agent_ids, waiting=audience.waiting
    )


def same_place(one: Placement | None, other: Placement | None) -> bool:
    """Whether nobody's counts moved: same campaign, same owner, waiting as before."""
    if one is None or other is None:
        return one is other
    return (one.campaign_id, one.agent_ids, one.waiting) == (
        other.campaign_id,
        other.agent_ids,
        other.waiting,
    )
