"""Calls: one event in the chat for each, however many steps tell of it and in whatever order.

A customer's call is a word of theirs: it opens a chat and starts the 24 hours. Ours is silent.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import text

from crm.db import db
from crm.models import Direction
from crm.providers.base import CallEvent, InboundMessage
from crm.services.messages.announcing import announce_ticks, lock_chats
from crm.services.messages.echoes import settle_spoken_on_phone
from crm.services.messages.keeping import announce, find_entry, is_stored, keep
from crm.services.messages.ledger import Post
from crm.services.messages.ringing import ring_for_route
from crm.services.messages.threads import Number

FIND = text("SELECT id, chat_id, direction, metadata FROM messages WHERE whatsapp_message_id = :id")
WRITE = text("""
    UPDATE messages SET metadata = metadata || jsonb_build_object('call', CAST(:call AS jsonb)),
                        updated_at = now()
    WHERE id = :id
""")
# How far along a call is; of two steps the further one is its state.
RANKS = {
    "ringing": 1, "connect": 1, "pre_accept": 2, "accept": 2, "accepted": 2,
    "rejected": 3, "declined": 3, "missed": 3, "failed": 3, "completed": 4,
}  # fmt: skip


def record_call(event: CallEvent, number: Number, post: Post) -> None:
    """Note one step of a call. Inside `atomic()`."""
    if is_stored(event.call_id):
        _note_step(event)
        return
    if not event.person.identities:
        post.note("no_recipient", event, "the call does not say with whom")
        return
    outbound = bool(event.outbound)
    message = InboundMessage(
        provider=event.provider,
        phone_number_id=event.phone_number_id,
        whatsapp_message_id=event.call_id,
        kind="call",
        provider_kind=event.event,
        sender=event.person,
        timestamp=int(event.occurred_at.timestamp()) if event.occurred_at else None,
        sent_at=event.occurred_at,
        content=None,
        is_utterance=event.outbound is False,
        renews_window=event.outbound is False,
    )
    entry = find_entry(message, event.person, number, post)
    if entry is None:
        return
    direction = Direction.OUTBOUND if outbound else Direction.INBOUND
    call = fold({"direction": direction.value}, event)
    kept = keep(entry, direction=direction, metadata={"call": call, "raw": event.raw})
    if kept is not None:
        if number.uses_phone and entry.calls:
            settle_spoken_on_phone({kept.thread.id})
        announce(kept)
        ring_for_route(entry)


def _note_step(event: CallEvent) -> None:
    row = db.session.execute(FIND, {"id": event.call_id}).one()
    before = (row.metadata or {}).get("call") or {"direction": row.direction}
    after = fold(before, event)
    if after == before:
        return
    lock_chats([row.chat_id])
    db.session.execute(WRITE, {"id": row.id, "call": json.dumps(after)})
    announce_ticks({row.id: row.chat_id})


def fold(call: dict[str, Any], event: CallEvent) -> dict[str, Any]:
    """The call after one more step; the same where the step says nothing new."""
    told = event.outcome or event.event
    known = call.get("state")
    further = RANKS.get(told, 0) > RANKS.get(known or "", 0)
    seconds = [value for value in (call.get("duration"), event.duration) if value]
    steps = {*call.get("steps", []), event.event}
    return {
        **call,
        "state": told if further or known is None else known,
        "duration": max(seconds, default=None),
        "steps": sorted(step for step in steps if step),
    }
