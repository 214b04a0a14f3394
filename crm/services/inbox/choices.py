"""What the filter panel of the list offers: numbers, campaigns, people and tags in one's reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select

from crm.db import db
from crm.models import Campaign, Chat, ChatTag, Tag, User, WhatsappNumber
from crm.models.chats import FINAL_STATUSES


@dataclass(frozen=True)
class Choices:
    """(value, words) pairs, in the order of the words."""

    numbers: list[tuple[int, str]]
    campaigns: list[tuple[int, str]]
    agents: list[tuple[int, str]]
    tags: list[tuple[str, str]]


def list_choices(visible: ColumnElement[bool]) -> Choices:
    """Only what stands on an open chat that this person may see, so that no choice is empty."""
    open_ = Chat.status.not_in(FINAL_STATUSES)
    name = func.coalesce(WhatsappNumber.display_name, WhatsappNumber.phone_number)
    people = func.concat_ws(" ", User.first_name, User.last_name)
    numbers = (
        select(WhatsappNumber.id, name)
        .join(Chat, Chat.whatsapp_number_id == WhatsappNumber.id)
        .where(visible, open_)
        .distinct()
    )
    campaigns = (
        select(Campaign.id, Campaign.name)
        .join(Chat, Chat.campaign_id == Campaign.id)
        .where(visible, open_)
        .distinct()
    )
    agents = (
        select(User.id, people)
        .join(Chat, Chat.assigned_agent_id == User.id)
        .where(visible, open_)
        .distinct()
    )
    tags = (
        select(ChatTag.tag, func.coalesce(Tag.label, ChatTag.tag))
        .join(Chat, Chat.id == ChatTag.chat_id)
        .outerjoin(Tag, Tag.name == ChatTag.tag)
        .where(visible, open_)
        .distinct()
    )
    return Choices(*(_sorted(statement) for statement in (numbers, campaigns, agents, tags)))


def _sorted(statement: Any) -> list[tuple[Any, str]]:
    rows = [(row[0], row[1]) for row in db.session.execute(statement)]
    return sorted(rows, key=lambda pair: str(pair[1]).casefold())
