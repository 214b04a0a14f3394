"""Who the open chat is with: the bar above the thread, the composer's state, the client's card."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, String, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by, array
from sqlalchemy.orm import aliased

from crm.db import db
from crm.models import (
    Campaign,
    Chat,
    ChatOwner,
    ChatStatus,
    Client,
    ClientIdentity,
    ClientTag,
    LeadStatus,
    Provider,
    User,
    WhatsappNumber,
)
from crm.services import number_states
from crm.services.inbox.consents import Consent, read_consent, recent_choices
from crm.services.inbox.naming import ClientName, full_name, name_client
from crm.services.messages import window
from crm.services.messages.amending import AMENDABLE
from crm.services.messages.threads import HISTORIC
from crm.services.number_states import NumberState

EARLIER_CHATS = 5


@dataclass(frozen=True)
class ChatHead:
    """What stands above and below the thread."""

    id: int
    case_number: str
    client_id: int
    client: ClientName
    status: ChatStatus
    campaign_id: int
    campaign_name: str
    number: NumberState
    agent_id: int | None
    agent_name: str | None
    offered_agent_id: int | None
    unread: int
    has_window: bool
    window_ends_at: datetime | None
    window_open: bool
    window_seconds_left: int
    is_blocked: bool
    is_group: bool
    is_past: bool
    """What was said on the phone before it was connected here."""
    tells_typing: bool
    amends: bool
    opted_out: bool
    owner: ChatOwner | None
    referral: dict[str, Any] | None
    version: int

    @property
    def is_open(self) -> bool:
        return self.status.is_open

    @property
    def is_waiting(self) -> bool:
        """Stands in a queue: there is an answer to why."""
        return self.status == ChatStatus.QUEUED


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
    consent: Consent


_Agent = aliased(User)


def load_head(chat: Chat, *, phones_visible: bool = True) -> ChatHead:
    """The chat's client, campaign, number and agent in one query."""
    return _head(chat, _read(chat), phones_visible=phones_visible)


def load_head_and_card(
    chat: Chat, visible: ColumnElement[bool], *, phones_visible: bool = True
) -> tuple[ChatHead, ClientCard]:
    """Both in a handful of queries; other chats only where `visible` lets them through."""
    record = _read(chat)
    earlier = tuple(_earlier(chat, visible))
    consent = read_consent(record.Client, record.choices, visible)
    return (
        _head(chat, record, phones_visible=phones_visible),
        _card(chat, record, earlier, consent, phones_visible=phones_visible),
    )


def _read(chat: Chat) -> Any:
    """One row with all that head and card say; the identity is the one seen last."""
    tags = select(func.array_agg(aggregate_order_by(ClientTag.tag, ClientTag.tag))).where(
        ClientTag.client_id == Client.id
    )
    return db.session.execute(
        select(
            func.now().label("now"),
            window.last_word().label("last_word_at"),
            Client,
            ClientIdentity.profile_name,
            ClientIdentity.username,
            func.coalesce(tags.scalar_subquery(), array([], type_=String)).label("tags"),
            recent_choices().label("choices"),
            Campaign.name.label("campaign"),
            *number_states.columns(),
            WhatsappNumber.provider,
            WhatsappNumber.sends_typing,
            _Agent.first_name.label("agent_first"),
            _Agent.last_name.label("agent_last"),
        )
        .select_from(Chat)
        .join(Client, Client.id == Chat.client_id)
        .join(Campaign, Campaign.id == Chat.campaign_id)
        .join(WhatsappNumber, WhatsappNumber.id == Chat.whatsapp_number_id)
        .outerjoin(ClientIdentity, ClientIdentity.client_id == Client.id)
        .outerjoin(_Agent, _Agent.id == Chat.assigned_agent_id)
        .where(Chat.id == chat.id)
        .order_by(ClientIdentity.last_seen_at.desc().nulls_last())
        .limit(1)
    ).one()


def _name(record: Any, *, phones_visible: bool) -> ClientName:
    client: Client = record.Client
    return name_client(
        client_id=client.id,
        first_name=client.first_name,
        last_name=client.last_name,
        phone_number=client.phone_number,
        fallback=record.username,
        phones_visible=phones_visible,
    )


def _head(chat: Chat, record: Any, *, phones_visible: bool) -> ChatHead:
    ends_at = window.window_end(record.last_word_at, record.provider)
    left = (ends_at - record.now).total_seconds() if ends_at else 0
    return ChatHead(
        id=chat.id,
        case_number=chat.case_number,
        client_id=chat.client_id,
        client=_name(record, phones_visible=phones_visible),
        status=chat.status,
        campaign_id=chat.campaign_id,
        campaign_name=record.campaign,
        number=number_states.state_in(record),
        agent_id=chat.assigned_agent_id,
        agent_name=full_name(record.agent_first, record.agent_last),
        offered_agent_id=chat.offered_agent_id,
        unread=chat.unread_count,
        has_window=record.provider == Provider.META,
        window_ends_at=ends_at,
        window_open=window.is_open_at(
            record.now, last_word_at=record.last_word_at, provider=record.provider
        ),
        window_seconds_left=max(0, int(left)),
        is_blocked=record.Client.is_blocked,
        is_group=record.Client.is_group,
        is_past=chat.close_reason == HISTORIC,
        tells_typing=record.sends_typing,
        amends=record.provider in AMENDABLE,
        opted_out=not record.Client.opt_in,
        owner=chat.owner,
        referral=chat.referral,
        version=chat.version,
    )


def _card(
    chat: Chat,
    record: Any,
    earlier: tuple[EarlierChat, ...],
    consent: Consent,
    *,
    phones_visible: bool,
) -> ClientCard:
    client: Client = record.Client
    return ClientCard(
        client_id=client.id,
        name=_name(record, phones_visible=phones_visible),
        profile_name=record.profile_name,
        username=record.username,
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
        tags=tuple(record.tags),
        bot_answers=tuple(_answers(chat.bot_context)),
        earlier=earlier,
        consent=consent,
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
