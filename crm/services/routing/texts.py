"""What a waiting customer is told: welcome, place in the line, closed hours, goodbye.

Call these with the client's row locked (`lock_client`): a text is queued like any message, and the
house's order of locks begins with the client. A text that may not leave (window closed, blocked,
opted out) is left out: nothing that happens to the chat depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import func, select

from crm.db import db
from crm.errors import DomainError
from crm.models import (
    Campaign,
    CampaignStatus,
    Chat,
    ChatEvent,
    ChatStatus,
    Client,
    Direction,
    Message,
)
from crm.providers.outbound import Text
from crm.services import hours
from crm.services.messages.outbound import queue_outbound
from crm.services.routing.line import in_order_of_the_line

VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
# The pace of the line is what it was during this time.
PACE = timedelta(minutes=30)
# A message that was on its way for longer gets no automatic answer.
LATE = timedelta(minutes=10)
# Where no opening is in sight, the offline message may be said again after this time.
NO_OPENING = timedelta(days=1)


def lock_client(client_id: int) -> Client:
    """The client before the chat: everybody who writes into a chat takes them in this order."""
    return db.session.scalars(
        select(Client)
        .where(Client.id == client_id)
        .with_for_update(key_share=True, of=Client)
        .execution_options(populate_existing=True)
    ).one()


def say(chat: Chat, text: str | None, values: Mapping[str, str] | None = None) -> bool:
    """Queue one of the campaign's automatic texts; False if there is none or it may not leave."""
    text = fill(text or "", {"case_number": chat.case_number, **(values or {})}).strip()
    if not text:
        return False
    try:
        queue_outbound(chat, Text(text))
    except DomainError:
        return False
    return True


def answer(chat: Chat, text: str | None, values: Mapping[str, str] | None = None) -> bool:
    """`say`, as the answer to what the customer just wrote: not if that reached us late.

    Hours after the word, when a gap was filled or the provider came again, it would be a surprise.
    """
    return not came_late(chat) and say(chat, text, values)


def came_late(chat: Chat) -> bool:
    """The customer's newest message was on its way for longer than LATE."""
    newest = (
        select(Message.created_at - Message.sent_at > LATE)
        .where(Message.chat_id == chat.id, Message.direction == Direction.INBOUND)
        .order_by(Message.id.desc())
        .limit(1)
    )
    return bool(db.session.scalar(newest))


def fill(text: str, values: Mapping[str, str]) -> str:
    """Plain substitution of {{name}}; what is not known is left out."""
    return VARIABLE.sub(lambda found: values.get(found[1], ""), text)


def say_offline(chat: Chat, campaign: Campaign, *, at: datetime) -> bool:
    """`offline_message`, once in a closed period whatever the customer opens in it.

    True if the campaign takes nobody just now, whether it was said or not.
    """
    paused = campaign.status != CampaignStatus.ACTIVE
    if not paused and hours.is_open(campaign.business_hours, campaign.timezone, at):
        return False
    told_until = db.session.scalar(
        select(func.max(Chat.offline_told_until)).where(
            Chat.client_id == chat.client_id, Chat.campaign_id == campaign.id
        )
    )
    if told_until is None or told_until <= at:
        opens = hours.next_opening(campaign.business_hours, campaign.timezone, at)
        chat.offline_told_until = opens if opens and opens > at else at + NO_OPENING
        answer(chat, campaign.offline_message)
    return True


def say_place(chat: Chat, campaign: Campaign, *, at: datetime) -> bool:
    """`queue_message` on entering, and again at most every so often if the place has changed."""
    if not campaign.queue_message:
        return False
    every = campaign.queue_message_interval_seconds
    if chat.queue_told_at is not None:
        if not every or at < chat.queue_told_at + timedelta(seconds=every):
            return False
        if not hours.is_open(campaign.business_hours, campaign.timezone, at):
            return False
    place = find_place(chat)
    if place is None:
        return False
    if chat.queue_told_at is not None and place == chat.queue_told_position:
        # Nothing new to say; the next look is due one interval from now.
        chat.queue_told_at = at
        return False
    tell = answer if chat.queue_told_at is None else say
    chat.queue_told_at, chat.queue_told_position = at, place
    minutes = estimate_wait(campaign, place, at=at) / 60
    wait = "< 1 min" if minutes < 1 else f"{round(minutes)} min"
    return tell(chat, campaign.queue_message, {"position": str(place), "estimated_wait": wait})


def find_place(chat: Chat) -> int | None:
    """The chat's place in the line of its campaign, from 1; None if it does not wait."""
    line = in_order_of_the_line(
        select(Chat.id).where(
            Chat.campaign_id == chat.campaign_id,
            Chat.status == ChatStatus.QUEUED,
            Chat.deleted_at.is_(None),
        )
    )
    waiting = list(db.session.scalars(line))
    return waiting.index(chat.id) + 1 if chat.id in waiting else None


def estimate_wait(campaign: Campaign, place: int, *, at: datetime) -> float:
    """Seconds until the chat at `place` has its turn, by the pace of the last half hour.

    Where nobody was served in that time, half of the campaign's longest wait.
    """
    served = db.session.scalar(
        select(func.count())
        .select_from(ChatEvent)
        .join(Chat, Chat.id == ChatEvent.chat_id)
        .where(
            ChatEvent.created_at > at - PACE,
            ChatEvent.kind == "assigned",
            ChatEvent.from_status == ChatStatus.QUEUED,
            Chat.campaign_id == campaign.id,
        )
    )
    if not served:
        return campaign.max_wait_seconds / 2
    return place * PACE.total_seconds() / served
