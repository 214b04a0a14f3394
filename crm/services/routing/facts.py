"""What the rules may ask about a chat, read from Postgres."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import exists, func, select
from sqlalchemy.orm import aliased

from crm.db import db
from crm.models import Chat, Client, ClientTag, Direction, Message
from crm.services.messages.threads import HISTORIC, KEPT
from crm.services.routing.conditions import ChatFacts

# The last so many messages of the customer; what a rule asks for stands in the first ones.
MESSAGES = 20
NO_WORDS = ("reaction", "system")


def read_facts(chat: Chat, *, at: datetime, variables: dict[str, Any] | None = None) -> ChatFacts:
    """`variables` only where a bot hands over; None otherwise."""
    return read_facts_of([chat], moments={chat.id: at}, variables={chat.id: variables})[chat.id]


def read_facts_of(
    chats: Collection[Chat],
    *,
    moments: dict[int, datetime],
    variables: dict[int, dict[str, Any] | None] | None = None,
) -> dict[int, ChatFacts]:
    """The facts of each chat as they stood at its moment: messages after it are left out.

    Three queries whatever their number. Tags, segment and lead status are today's: nothing keeps
    their past.
    """
    if not chats:
        return {}
    messages = _read_messages(chats, moments)
    earlier = _read_earlier(chats)
    clients = {
        row.Client.id: row
        for row in db.session.execute(
            select(Client, func.array_agg(ClientTag.tag).label("tags"))
            .outerjoin(ClientTag, ClientTag.client_id == Client.id)
            .where(Client.id.in_({chat.client_id for chat in chats}))
            .group_by(Client.id)
        )
    }
    facts = {}
    for chat in chats:
        row = clients[chat.client_id]
        client: Client = row.Client
        words = messages.get(chat.id, [])
        facts[chat.id] = ChatFacts(
            at=moments[chat.id],
            number_id=chat.whatsapp_number_id,
            texts=tuple(text for _, text in words if text),
            kinds=tuple(kind for kind, _ in words),
            tags=frozenset(tag for tag in row.tags if tag),
            segment=client.segment,
            lead_status=str(client.lead_status),
            country=client.country,
            first_contact=chat.id not in earlier,
            variables=(variables or {}).get(chat.id),
        )
    return facts


def _read_messages(
    chats: Collection[Chat], moments: dict[int, datetime]
) -> dict[int, list[tuple[str, str | None]]]:
    """chat -> (kind, text) of the customer's messages up to its moment, oldest first."""
    rows = db.session.execute(
        select(Message.chat_id, Message.message_type, Message.content, Message.created_at)
        .where(
            Message.chat_id.in_([chat.id for chat in chats]),
            Message.direction == Direction.INBOUND,
            Message.message_type.not_in(NO_WORDS),
        )
        .order_by(Message.chat_id, Message.position, Message.id)
    )
    found: dict[int, list[tuple[str, str | None]]] = {}
    for chat_id, kind, text, created_at in rows:
        if created_at <= moments[chat_id]:
            found.setdefault(chat_id, []).append((str(kind), text))
    return {chat_id: words[-MESSAGES:] for chat_id, words in found.items()}


def _read_earlier(chats: Collection[Chat]) -> set[int]:
    """The chats whose client had spoken with us before, in an older chat."""
    older = aliased(Chat)
    return set(
        db.session.scalars(
            select(Chat.id).where(
                Chat.id.in_([chat.id for chat in chats]),
                exists().where(
                    older.client_id == Chat.client_id,
                    older.id < Chat.id,
                    older.deleted_at.is_(None),
                    # A chat that was never open, or came with the number's past, is no contact.
                    func.coalesce(older.close_reason, "").not_in((KEPT, HISTORIC)),
                ),
            )
        )
    )
