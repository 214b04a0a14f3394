"""Reading for the composer: where a message may be forwarded, and what was sent lately."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from crm.db import db
from crm.models import OPEN_STATUSES, Chat, Client, Direction, Message, MessageType, WhatsappNumber
from crm.services.inbox.naming import ClientName, name_client
from crm.services.inbox.searching import matches
from crm.services.messages import window

MOST_TARGETS = 30
MOST_RECENT = 4
SEARCHED = 60


@dataclass(frozen=True)
class Target:
    """A chat of one's own to which a message may be passed on."""

    chat_id: int
    client: ClientName
    window_open: bool


def find_forward_targets(
    user_id: int, *, text: str, leave_out: int, phones_visible: bool
) -> list[Target]:
    """One's own open chats, the last written first; with `text` those that match it."""
    statement = (
        select(
            Chat.id,
            Chat.client_id,
            Client.first_name,
            Client.last_name,
            Client.phone_number,
            WhatsappNumber.provider,
            func.now().label("now"),
            window.last_word().label("last_word_at"),
        )
        .join(Client, Client.id == Chat.client_id)
        .join(WhatsappNumber, WhatsappNumber.id == Chat.whatsapp_number_id)
        .where(
            Chat.assigned_agent_id == user_id,
            Chat.status.in_(OPEN_STATUSES),
            Chat.deleted_at.is_(None),
            Chat.id != leave_out,
        )
        .order_by(Chat.last_message_at.desc().nulls_last(), Chat.id.desc())
        .limit(MOST_TARGETS)
    )
    if text:
        statement = statement.where(matches(text, phones_visible=phones_visible))
    return [_target(record, phones_visible) for record in db.session.execute(statement)]


def _target(record: Any, phones_visible: bool) -> Target:
    name = name_client(
        client_id=record.client_id,
        first_name=record.first_name,
        last_name=record.last_name,
        phone_number=record.phone_number,
        phones_visible=phones_visible,
    )
    is_open = window.is_open_at(
        record.now, last_word_at=record.last_word_at, provider=record.provider
    )
    return Target(record.id, name, is_open)


def find_recent_contents(chat: Chat, kind: str) -> list[dict[str, Any]]:
    """Places or cards that were sent from this number lately, each once, the newest first."""
    key = {"location": "location", "contact": "contacts"}[kind]
    rows = db.session.scalars(
        select(Message.meta[key])
        .where(
            Message.whatsapp_number_id == chat.whatsapp_number_id,
            Message.direction == Direction.OUTBOUND,
            Message.message_type == MessageType(kind),
        )
        .order_by(Message.created_at.desc(), Message.id.desc())
        .limit(SEARCHED)
    )
    found: list[dict[str, Any]] = []
    for row in rows:
        value = row[0] if isinstance(row, list) and row else row
        if isinstance(value, dict) and value not in found:
            found.append(value)
    return found[:MOST_RECENT]
