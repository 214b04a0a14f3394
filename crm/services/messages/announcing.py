"""Telling browsers that ticks moved, and the lock that all work on messages takes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import text

from crm.db import db, on_commit
from crm.events import Audience, ChatChanged, Event, MessageChanged, publish_all
from crm.services.chats.moves import is_waiting

# In the order of their ids: two transactions that need several chats never wait in a circle.
LOCK_CHATS = text("""
    SELECT id FROM chats WHERE id = ANY(CAST(:ids AS int[])) ORDER BY id FOR NO KEY UPDATE
""")

TOUCH_CHATS = text("""
    UPDATE chats SET version = version + 1, updated_at = now()
    WHERE id = ANY(CAST(:ids AS int[]))
    RETURNING id, campaign_id, assigned_agent_id, offered_agent_id, status, last_message_id
""")


def lock_chats(chat_ids: Iterable[int]) -> None:
    """Lock the chats until the end of the transaction, before any row of their messages."""
    db.session.execute(LOCK_CHATS, {"ids": sorted(set(chat_ids))})


def announce_ticks(chat_of: Mapping[int, int]) -> None:
    """Raise the chats' versions and tell the browsers: the tick, and the row that shows it.

    `chat_of`: message id -> id of its chat, which the caller has locked.
    """
    if not chat_of:
        return
    chats = {
        row.id: row
        for row in db.session.execute(TOUCH_CHATS, {"ids": sorted(set(chat_of.values()))})
    }
    events: list[tuple[Event, Audience]] = []
    for message_id, chat_id in sorted(chat_of.items()):
        chat = chats[chat_id]
        audience = audience_of(chat)
        events.append((MessageChanged(chat_id, message_id), audience))
        if chat.last_message_id == message_id:
            events.append((ChatChanged(chat_id), audience))
    on_commit(lambda: publish_all(events))


def audience_of(chat: Any) -> Audience:
    """Who may know of a chat's messages; `chat` is the model or a row with its columns."""
    agents = {chat.assigned_agent_id, chat.offered_agent_id} - {None}
    return Audience(
        campaign_id=chat.campaign_id,
        agent_ids=tuple(sorted(agents)),
        waiting=is_waiting(chat),
    )
