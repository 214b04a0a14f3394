"""Stores one message of the rarer ways in: what the phone wrote, calls.

The common way in (inbound.py) does the same for sets; these come seldom enough for a statement
each.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from crm.db import db
from crm.doorbell import ring_on_commit
from crm.events import ChatChanged, MessageAdded, publish_on_commit
from crm.models import Chat, Direction
from crm.providers.base import EchoedMessage, InboundMessage, Sender
from crm.services.messages.announcing import audience_of
from crm.services.messages.ledger import Post
from crm.services.messages.senders import claim_clients
from crm.services.messages.threads import Entry, Number, Thread, place

# Neither counts as a message of the chat, nor is it shown as its last.
UNCOUNTED = frozenset({"reaction", "system"})

STORED = text("SELECT id FROM messages WHERE whatsapp_message_id = :wamid")

QUEUE_UP = text("SELECT pg_advisory_xact_lock(hashtextextended('message:' || :wamid, 0))")

KEEP = text("""
    WITH stored AS (
        INSERT INTO messages (chat_id, client_id, whatsapp_number_id, direction, message_type,
                              content, media_mime_type, metadata, whatsapp_message_id,
                              whatsapp_timestamp, target_whatsapp_id, status, sent_at,
                              delivered_at, read_at, position)
        SELECT :chat_id, :client_id, :number_id, :direction, :kind, :content, :mime,
               CAST(:metadata AS jsonb), :wamid, :stamp, :target, :status, at.place,
               CASE WHEN :direction = 'inbound' THEN now() END,
               CASE WHEN :direction = 'inbound' AND NOT :calls THEN now() END, at.place
        FROM (SELECT LEAST(CAST(:sent_at AS timestamptz), clock_timestamp()) AS place) AS at
        ON CONFLICT (whatsapp_message_id) DO NOTHING
        RETURNING id, position
    ), moved AS (
        UPDATE chats SET
            message_count = message_count + CASE WHEN :counts THEN 1 ELSE 0 END,
            unread_count = unread_count + CASE WHEN :calls THEN 1 ELSE 0 END,
            last_message_id = CASE
                WHEN :counts AND s.position >= COALESCE(last_message_at, '-infinity') THEN s.id
                ELSE last_message_id END,
            last_message_at = CASE
                WHEN :counts THEN GREATEST(last_message_at, s.position) ELSE last_message_at END,
            last_inbound_at = CASE
                WHEN :renews THEN GREATEST(last_inbound_at, s.position) ELSE last_inbound_at END,
            waiting_since = CASE
                WHEN :calls THEN LEAST(waiting_since, s.position) ELSE waiting_since END,
            version = version + 1, updated_at = now()
        FROM stored s WHERE chats.id = :chat_id
    ), contacted AS (
        UPDATE clients SET last_contact_at = GREATEST(last_contact_at, s.position)
        FROM stored s WHERE clients.id = :client_id AND :counts
    ), fetches AS (
        INSERT INTO media_fetches (message_id, whatsapp_number_id)
        SELECT id, :number_id FROM stored WHERE CAST(:metadata AS jsonb) -> 'media' ? 'id'
    )
    SELECT id FROM stored
""")


@dataclass(frozen=True, slots=True)
class Kept:
    """A message that is new in our books, and the chat in which it stands."""

    message_id: int
    thread: Thread
    client_id: int


def is_stored(wamid: str) -> bool:
    """Whether the message is here; what comes at the same time with the same id waits for us."""
    db.session.execute(QUEUE_UP, {"wamid": wamid})
    return db.session.scalar(STORED, {"wamid": wamid}) is not None


def find_entry(
    event: EchoedMessage | InboundMessage, person: Sender, number: Number, post: Post
) -> Entry | None:
    """The event with its client, locked, and the chat it belongs to; None where no campaign is."""
    message = event if isinstance(event, InboundMessage) else _as_inbound(event)
    is_ours = isinstance(event, EchoedMessage) and event.target_id is None
    entry = Entry(message, number, claim_clients([person], {})[0], post, is_ours=is_ours)
    place([entry], {})
    if entry.thread is None:
        post.note("no_campaign", event, "no campaign takes its new chats")
        return None
    return entry


def _as_inbound(echo: EchoedMessage) -> InboundMessage:
    """The shape in which chats are found: silent, so that it opens nothing."""
    return InboundMessage(
        provider=echo.provider,
        phone_number_id=echo.phone_number_id,
        whatsapp_message_id=echo.whatsapp_message_id,
        kind=echo.kind,
        provider_kind=echo.provider_kind,
        sender=echo.recipient,
        timestamp=echo.timestamp,
        sent_at=echo.sent_at,
        content=echo.content,
        metadata=echo.metadata,
        mime_type=echo.mime_type,
        target_id=echo.target_id,
        is_utterance=False,
        renews_window=False,
    )


def keep(entry: Entry, *, direction: Direction, metadata: dict[str, Any] | None) -> Kept | None:
    """Write the entry's message; None if its id is here already. Rings for its file."""
    message, thread = entry.message, entry.thread
    assert thread is not None
    message_id = db.session.scalar(
        KEEP,
        {
            "chat_id": thread.id,
            "client_id": entry.person.id,
            "number_id": entry.number.id,
            "direction": direction.value,
            "kind": message.kind,
            "content": message.content,
            "mime": message.mime_type,
            "metadata": json.dumps(metadata) if metadata is not None else None,
            "wamid": message.whatsapp_message_id,
            "stamp": message.timestamp,
            "target": message.target_id,
            "status": "delivered" if direction is Direction.INBOUND else "sent",
            "sent_at": message.sent_at.isoformat() if message.sent_at else None,
            "counts": message.kind not in UNCOUNTED,
            "calls": entry.calls,
            "renews": message.renews_window and direction is Direction.INBOUND,
        },
    )
    if message_id is None:
        return None
    if "id" in ((metadata or {}).get("media") or {}):
        ring_on_commit("media.fetch", entry.number.id)
    return Kept(message_id, thread, entry.person.id)


def announce(kept: Kept, *, is_new_line: bool = True) -> None:
    """Tell the browsers of a message that was kept, and of its chat."""
    chat = db.session.get_one(Chat, kept.thread.id, populate_existing=True)
    audience = audience_of(chat)
    if is_new_line:
        publish_on_commit(MessageAdded(chat.id, kept.message_id), audience)
    publish_on_commit(ChatChanged(chat.id), audience)
