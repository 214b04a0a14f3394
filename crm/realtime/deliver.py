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
    AlarmsChanged,
    Audience,
    ChatChanged,
    Event,
    Mentioned,
    MessageAdded,
    MessageChanged,
    NoteAdded,
)
from crm.permissions import Scope
from crm.realtime import render
from crm.realtime.access import Placement, find_campaigns, find_placements
from crm.realtime.connection import Connection, Variant
from crm.realtime.counts import as_data, count_open_chats
from crm.realtime.pending import Pending
from crm.realtime.wire import encode_frame, event_frame
from crm.services.inbox import Counts

if TYPE_CHECKING:
    from crm.realtime.hub import Hub

log = structlog.get_logger(__name__)

# A row is sent at once and then at most this often; a burst of messages is one row.
ROW_SPACING = 0.05
# Counts cost one query over all open chats: they follow within this time.
COUNTS_SPACING = 1.0
# With the database away every batch fails; the pages need not hear of each.
RESYNC_SPACING = 5.0
BATCH = 100
BACKLOG = 5_000


class Key(NamedTuple):
    """One thing to be sent: a row, a bubble, ticks, an agent, alarms, the counts, "fetch anew"."""

    kind: str
    chat_id: int = 0
    id: int = 0


Audiences = frozenset[Audience]
ByVariant = dict[Variant, list[Connection]]


class Deliverer:
    """The body of one thread, fed by `take`."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._pending: Pending[Key, Audiences] = Pending(
            merge=lambda old, new: old | new, limit=BACKLOG
        )
        self._told: dict[int, Counts] = {}
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
            case NoteAdded(chat_id=chat_id, note_id=note_id):
                return self._pending.put(Key("note", chat_id, note_id), audiences)
            case Mentioned(chat_id=chat_id, note_id=note_id):
                return self._pending.put(Key("mention", chat_id, note_id), audiences)
            case AlarmsChanged():
                return self._pending.put(Key("alarms"), audiences, spacing=COUNTS_SPACING)
            case AccessChanged():
                self.hub.watch.check_soon()
        return True

    def forget(self) -> None:
        """Everybody fetches anew: what waited is old."""
        self._pending.clear()

    def tidy(self) -> None:
        self._pending.forget_before(time.monotonic() - 10)

    def run(self) -> None:
        while not self._stopped.is_set():
            batch = self._pending.take(timeout=1.0, limit=BATCH)
            if not batch:
                continue
            try:
                with self.hub.app.test_request_context():
                    try:
                        # We only read, each statement by itself: no BEGIN and ROLLBACK to wait for.
                        db.session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
                        self.send(batch)
                    finally:
                        db.session.remove()
            except Exception:
                # The pages cannot be told what; they can be told to look.
                log.exception("delivery_failed", events=len(batch))
                self._pending.put(Key("resync"), frozenset(), spacing=RESYNC_SPACING)

    def send(self, batch: Iterable[tuple[Key, Audiences]]) -> None:
        """Send everything of one batch."""
        work: dict[str, dict[Key, Audiences]] = defaultdict(dict)
        for key, audiences in batch:
            work[key.kind][key] = audiences
        if work["resync"]:
            self.hub.tell_all("resync")
        connections = self.hub.connections()
        if not connections:
            return
        places = find_placements(
            key.chat_id for keys in work.values() for key in keys if key.chat_id
        )
        seers = Seers(connections, places)
        self._send_bubbles("bubble", list(work["bubble"]), seers)
        self._send_bubbles("ticks", list(work["ticks"]), seers)
        self._send_bubbles("note", list(work["note"]), seers)
        self._send_mentions(work["mention"], seers)
        self._send_rows(work["row"], seers)
        self._send_agents(work["agent"], connections)
        if work["alarms"]:
            frame = event_frame("alarms")
            self.hub.push((c for c in connections if c.scope.can("alarms.read")), frame)
        if work["counts"]:
            self._send_counts(connections)

    def _send_rows(self, rows: dict[Key, Audiences], seers: Seers) -> None:
        seen = {key.chat_id: seers.of(key.chat_id) for key in rows}
        html = render.render_rows(wanted(seen))
        for chat_id, by_variant in seen.items():
            place = seers.places.get(chat_id)
            envelope = {"kind": "row", "chat_id": chat_id, "version": place.version if place else 0}
            push_html(chat_id, by_variant, html, envelope)
        for key, audiences in rows.items():
            self._send_gone(key.chat_id, audiences, seers)

    def _send_gone(self, chat_id: int, audiences: Audiences, seers: Seers) -> None:
        """Tell those who could see the chat before, by the event, and cannot now, to drop it."""
        frame = event_frame("gone", chat_id=chat_id)
        for connection in seers.others(chat_id):
            if any(may_see(connection.scope, audience) for audience in audiences):
                if connection.chat_id == chat_id:
                    connection.chat_id = None
                connection.push(frame)
        self._pending.put(Key("counts"), frozenset(), spacing=COUNTS_SPACING)

    def _send_bubbles(self, kind: str, keys: list[Key], seers: Seers) -> None:
        """Bubbles and ticks go only to the pages that show this chat."""
        seen = {key.id: seers.of(key.chat_id, open_only=True) for key in keys}
        draw = render.render_notes if kind == "note" else render.render_bubbles
        html = draw(wanted(seen))
        for key in keys:
            place = seers.places.get(key.chat_id)
            envelope = {
                "kind": kind,
                "chat_id": key.chat_id,
                "message_id": key.id,
                "version": place.version if place else 0,
            }
            push_html(key.id, seen[key.id], html, envelope)

    def _send_mentions(self, keys: dict[Key, Audiences], seers: Seers) -> None:
        """To the pages of the colleagues whom a note names, where they may see the chat."""
        for key, audiences in keys.items():
            named = {user_id for audience in audiences for user_id in audience.user_ids}
            frame = event_frame("mention", chat_id=key.chat_id, note_id=key.id)
            for connections in seers.of(key.chat_id).values():
                for connection in connections:
                    if connection.user_id in named:
                        connection.push(frame)

    def _send_agents(self, keys: dict[Key, Audiences], connections: list[Connection]) -> None:
        """An agent's status: to themselves, to whom the event names, to who steers their team."""
        if not keys:
            return
        teams = find_campaigns(key.id for key in keys)
        for key, audiences in keys.items():
            frame = event_frame("agent", user_id=key.id)
            named = {user_id for audience in audiences for user_id in audience.user_ids}
            for connection in connections:
                scope = connection.scope
                steers = scope.can("agents.set_status") and (
                    scope.sees_everything or not teams[key.id].isdisjoint(scope.campaign_ids)
                )
                if steers or scope.user_id == key.id or scope.user_id in named:
                    connection.push(frame)

    def _send_counts(self, connections: list[Connection]) -> None:
        """The tabs' numbers, to each person for whom they have moved."""
        book = count_open_chats()
        told: dict[int, Counts] = {}
        frames: dict[int, bytes] = {}
        for connection in connections:
            user_id = connection.user_id
            if user_id not in told:
                told[user_id] = book.counts_for(connection.scope)
                if told[user_id] != self._told.get(user_id):
                    frames[user_id] = event_frame("counts", counts=as_data(told[user_id]))
            if user_id in frames:
                connection.push(frames[user_id])
        self._told = told


class Seers:
    """Who may see which chat now; asked once per person and chat in a batch."""

    def __init__(self, connections: list[Connection], places: dict[int, Placement]) -> None:
        self.connections = connections
        self.places = places
        self._of: dict[int, tuple[list[Connection], list[Connection]]] = {}

    def of(self, chat_id: int, *, open_only: bool = False) -> ByVariant:
        """The sockets that may see this chat; with `open_only` those that show it."""
        by_variant: ByVariant = defaultdict(list)
        for connection in self._split(chat_id)[0]:
            if not open_only or connection.chat_id == chat_id:
                by_variant[connection.variant].append(connection)
        return by_variant

    def others(self, chat_id: int) -> list[Connection]:
        """The sockets that may not see it."""
        return self._split(chat_id)[1]

    def _split(self, chat_id: int) -> tuple[list[Connection], list[Connection]]:
        if chat_id not in self._of:
            place = self.places.get(chat_id)
            sees: list[Connection] = []
            not_theirs: list[Connection] = []
            for connection in self.connections:
                may = place is not None and place.visible_to(connection.scope)
                (sees if may else not_theirs).append(connection)
            self._of[chat_id] = sees, not_theirs
        return self._of[chat_id]


def wanted(seen: dict[int, ByVariant]) -> list[tuple[int, Variant]]:
    """What has to be rendered: each thing once per variant that looks at it."""
    return [(number, variant) for number, by_variant in seen.items() for variant in by_variant]


def push_html(
    number: int, by_variant: ByVariant, html: render.Fragments, envelope: dict[str, object]
) -> None:
    """Send a thing's fragments; the frame is made once per variant, whoever reads it."""
    for variant, connections in by_variant.items():
        text = html.get((number, variant))
        if text is not None:
            frame = encode_frame({"type": "html", **envelope, "html": text})
            for connection in connections:
                connection.push(frame)


def may_see(scope: Scope, audience: Audience) -> bool:
    return scope.user_id in audience.user_ids or scope.sees_chat(
        campaign_id=audience.campaign_id, agent_ids=audience.agent_ids, waiting=audience.waiting
    )
