"""What the customer sees of us beside messages: that we have read, and that we are writing.

Only the chat's owner causes either, never a look by others, and only where the number does it.
Both are a courtesy: nothing is repeated, and a refusal is logged and forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import structlog
from redis.exceptions import RedisError
from sqlalchemy import select

from crm.db import db
from crm.doorbell import ring, ring_on_commit
from crm.extensions import redis_client
from crm.models import (
    Chat,
    Client,
    Direction,
    Message,
    MessageType,
    NumberStatus,
    Provider,
    User,
    WhatsappNumber,
)
from crm.providers.outbound import Gesture, ProviderError, Sign
from crm.services import chats
from crm.services.messages import window
from crm.services.messages.claims import Settings
from crm.services.messages.loading import Channel, channel_of, find_recipient

__all__ = [
    "Gesture", "Leaving", "ProviderError", "find_paused", "load_sign", "note_typing", "see_chat",
    "take_pause",
]  # fmt: skip

log = structlog.get_logger(__name__)

# At Meta the sign goes out by itself after 25 seconds.
TYPING_EVERY_SECONDS = 20
# WhatsApp Web keeps saying it until it is told to stop: so long after the last word.
PAUSE_AFTER_SECONDS = 30
PAUSES = "crm:typing:pauses"
NOT_READABLE = (MessageType.REACTION, MessageType.SYSTEM, MessageType.CALL)


@dataclass(frozen=True)
class Leaving:
    """A sign and the way that it takes."""

    channel: Channel
    sign: Sign


def see_chat(chat: Chat, user: User) -> None:
    """This person has the chat before their eyes. A look by anybody but its owner is none.

    What the owner has read anew gets its blue ticks after the commit.
    """
    if chats.mark_read(chat, user) and _number(chat).sends_read_receipts:
        ring_on_commit("presence.read", chat.id)


def note_typing(chat: Chat, *, user_id: int) -> bool:
    """The owner is writing. True if a sign will go out: at most one in 20 seconds."""
    number = _number(chat)
    if chat.assigned_agent_id != user_id or not (number.sends_typing and _is_ready(chat, number)):
        return False
    if not redis_client.set(f"crm:typing:{chat.id}", 1, nx=True, ex=TYPING_EVERY_SECONDS):
        return False
    if number.provider is Provider.WPPCONNECT:
        redis_client.zadd(PAUSES, {str(chat.id): time.time() + PAUSE_AFTER_SECONDS})
    return ring("presence.typing", chat.id)


def find_paused() -> Iterable[int]:
    """Chats whose "typing..." is to be taken back: their owner has stopped."""
    try:
        due = redis_client.zrangebyscore(PAUSES, 0, time.time(), start=0, num=200)
    except RedisError as error:
        log.warning("pauses_not_read", error=type(error).__name__)
        return []
    return [int(chat_id) for chat_id in due]


def take_pause(chat_id: int) -> bool:
    """True if the chat's sign is still to be taken back; this call takes that upon itself."""
    due = redis_client.zscore(PAUSES, str(chat_id))
    if due is None or due > time.time():
        return False
    return bool(redis_client.zrem(PAUSES, str(chat_id)))


def load_sign(chat_id: int, gesture: Gesture, *, settings: Settings) -> Leaving | None:
    """What to tell now; None where there is nothing to tell any more.

    Raises ProviderError for a number that cannot speak.
    """
    chat = db.session.get(Chat, chat_id)
    if chat is None or (chat.assigned_agent_id is None and gesture is not Gesture.PAUSED):
        return None
    number = _number(chat)
    wanted = number.sends_read_receipts if gesture is Gesture.READ else number.sends_typing
    is_group = db.session.get_one(Client, chat.client_id).is_group
    if is_group or not (wanted and _is_ready(chat, number)):
        return None
    if number.provider is Provider.WPPCONNECT and gesture is Gesture.READ and chat.unread_count:
        # There only a whole chat can be read, and something new has come: the next look tells.
        return None
    message_id = db.session.scalar(
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
    if message_id is None:
        return None
    sign = Sign(gesture, find_recipient(chat.client_id), message_id)
    return Leaving(channel_of(number, settings), sign)


def _number(chat: Chat) -> WhatsappNumber:
    return db.session.get_one(WhatsappNumber, chat.whatsapp_number_id)


def _is_ready(chat: Chat, number: WhatsappNumber) -> bool:
    return (
        number.status is NumberStatus.ACTIVE
        and number.deleted_at is None
        and number.sending_paused_at is None
        and window.is_open(
            client_id=chat.client_id,
            whatsapp_number_id=chat.whatsapp_number_id,
            provider=number.provider,
        )
    )
