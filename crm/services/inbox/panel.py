"""The client's card beside the thread."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, String, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by, array

from crm.db import db
from crm.models import Campaign, Chat, ChatStatus, Client, ClientIdentity, ClientTag, LeadStatus
from crm.services.inbox.naming import ClientName, name_client

EARLIER_CHATS = 5


@dataclass(frozen=True)
class EarlierChat:
    id: int
    campaign_name: str
    case_number: str
    status: ChatStatus
    outcome: str | None
    rating: int | None
    at: datetime


@dataclass(frozen=True)
class ClientCard:
    """What we know of the customer, and what they told the bot in this chat."""

    client_id: int
    name: ClientName
    profile_name: str | None
    username: str | None
    email: str | None
    company: str | None
    city: str | None
    country: str | None
    segment: str | None
    lead_status: LeadStatus
    notes: str | None
    is_blocked: bool
    block_reason: str | None
    opted_out: bool
    since: datetime
    total_purchases: int
    tags: tuple[str, ...]
    bot_answers: tuple[tuple[str, str], ...]
    earlier: tuple[EarlierChat, ...]


def load_card(
    chat: Chat, visible: ColumnElement[bool], *, phones_visible: bool = True
) -> ClientCard:
    """The card of a chat's client; earlier chats only where `visible` lets them through."""
    client, profile_name, username, tags = db.session.execute(_card(chat.client_id)).one()
    return ClientCard(
        client_id=client.id,
        name=name_client(
            client_id=client.id,
            first_name=client.first_name,
            last_name=client.last_name,
            phone_number=client.phone_number,
            fallback=username,
            phones_visible=phones_visible,
        ),
        profile_name=profile_name,
        username=username,
        email=client.email,
        company=client.company,
        city=client.city,
        country=client.country,
        segment=client.segment,
        lead_status=client.lead_status,
        notes=client.notes,
        is_blocked=client.is_blocked,
        block_reason=client.block_reason,
        opted_out=not client.opt_in,
        since=client.created_at,
        total_purchases=client.total_purchases,
        tags=tuple(tags),
        bot_answers=tuple(_answers(chat.bot_context)),
        earlier=tuple(_earlier(chat, visible)),
    )


def _card(client_id: int) -> Select[*tuple[Any, ...]]:
    """The client, the identity seen last, and the tags, in one row."""
    tags = select(func.array_agg(aggregate_order_by(ClientTag.tag, ClientTag.tag))).where(
        ClientTag.client_id == Client.id
    )
    return (
        select(
            Client,
            ClientIdentity.profile_name,
            ClientIdentity.username,
            func.coalesce(tags.scalar_subquery(), array([], type_=String)),
        )
        .outerjoin(ClientIdentity, ClientIdentity.client_id == Client.id)
        .where(Client.id == client_id)
        .order_by(ClientIdentity.last_seen_at.desc().nulls_last())
        .limit(1)
    )


def _answers(context: dict[str, Any] | None) -> list[tuple[str, str]]:
    """What the bot captured, as words; structures and empty values are for machines."""
    return [
        (str(name), str(value))
        for name, value in (context or {}).items()
        if isinstance(value, str | int | float) and str(value).strip()
    ]


def _earlier(chat: Chat, visible: ColumnElement[bool]) -> list[EarlierChat]:
    query = (
        select(Chat, Campaign.name)
        .join(Campaign, Campaign.id == Chat.campaign_id)
        .where(Chat.client_id == chat.client_id, Chat.id != chat.id, visible)
        .order_by(Chat.created_at.desc())
        .limit(EARLIER_CHATS)
    )
    return [
        EarlierChat(
            id=earlier.id,
            campaign_name=campaign,
            case_number=earlier.case_number,
            status=earlier.status,
            outcome=earlier.outcome,
            rating=earlier.satisfaction_rating,
            at=earlier.closed_at or earlier.last_message_at or earlier.created_at,
        )
        for earlier, campaign in db.session.execute(query)
    ]
