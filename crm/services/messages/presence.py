"""What the customer sees of us beside messages: that we have read, and that we are writing.

Only the chat's owner causes either, never a look by others, and only where the number does it.
Both are a courtesy: nothing is repeated, and a refusal is logged and forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from crm.db import db
from crm.doorbell import ring, ring_on_commit
from crm.extensions import redis_client
from crm.models import (
    Chat,
    Direction,
    Message,
    MessageType,
    NumberStatus,
    Provider,
    WhatsappNumber,
)
from crm.providers.meta.client import MetaChannel
from crm.providers.outbound import ProviderError
from crm.services.messages import window
from crm.services.messages.delivery import Settings
from crm.services.messages.loading import channel_of

__all__ = ["ProviderError", "Sign", "load_sign", "note_read", "note_typing"]

# At Meta the sign goes out by itself after 25 seconds.
TYPING_EVERY_SECONDS = 20
NOT_READABLE = (MessageType.REACTION, MessageType.SYSTEM, MessageType.CALL)


@dataclass(frozen=True)
class Sign:
    """What to tell: through which number, up to which message, and whether we are writing."""

    channel: MetaChannel
    message_id: str
    typing: bool


def note_read(chat: Chat) -> None:
    """The owner has read something new: the blue ticks follow after the commit."""
    if _number(chat).sends_read_receipts:
        ring_on_commit("presence.read", chat.id)


def note_typing(chat: Chat, *, user_id: int) -> bool:
    """The owner is writing. True if a sign will go out: at most one in 20 seconds."""
    number = _number(chat)
    if chat.assigned_agent_id != user_id or not (number.sends_typing and _is_ready(chat, number)):
        return False
    key = f"crm:typing:{chat.id}"
    if not redis_client.set(key, 1, nx=True, ex=TYPING_EVERY_SECONDS):
        return False
    return ring("presence.typing", chat.id)


def load_sign(chat_id: int, *, typing: bool, settings: Settings) -> Sign | None:
    """What to tell now; None where there is nothing to tell any more.

    Raises ProviderError for a number that cannot speak.
    """
    chat = db.session.get(Chat, chat_id)
    if chat is None or chat.assigned_agent_id is None:
        return None
    number = _number(chat)
    wanted = number.sends_typing if typing else number.sends_read_receipts
    if not (wanted and _is_ready(chat, number)):
        return None
    statement = (
        select(Message.whatsapp_message_id)
        .where(
            Message.chat_id == chat.id,
            Message.direction == Direction.INBOUND,
            Message.whatsapp_message_id.is_not(None),
            Message.message_type.not_in(NOT_READABLE),
            Message.read_at.is_not(None),
        )
        .order_by(Message.position.desc(), Message.id.desc())
        .limit(1)
    )
    message_id = db.session.scalar(statement)
    if message_id is None:
        return None
    channel = channel_of(number, settings)
    return Sign(channel, message_id, typing) if isinstance(channel, MetaChannel) else None


def _number(chat: Chat) -> WhatsappNumber:
    return db.session.get_one(WhatsappNumber, chat.whatsapp_number_id)


def _is_ready(chat: Chat, number: WhatsappNumber) -> bool:
    return (
        number.provider is Provider.META
        and number.status is NumberStatus.ACTIVE
        and number.deleted_at is None
        and number.sending_paused_at is None
        and window.is_open(
            client_id=chat.client_id,
            whatsapp_number_id=chat.whatsapp_number_id,
            provider=number.provider,
        )
    )
