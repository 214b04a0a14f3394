"""Conversations, from opening to closing, and everything that hangs on them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from crm.db import Model, Timestamp
from crm.models.columns import NOW, JsonB, Money, between, choice, one_of

if TYPE_CHECKING:
    from crm.models.campaigns import Campaign
    from crm.models.clients import Client
    from crm.models.messages import Message
    from crm.models.numbers import WhatsappNumber
    from crm.models.queues import Queue
    from crm.models.tags import ChatTag
    from crm.models.users import User


class ChatStatus(StrEnum):
    """Where a chat stands. `CHAT_MOVES` says where it may go."""

    NEW = "new"
    BOT = "bot"
    QUEUED = "queued"
    ASSIGNED = "assigned"
    ACTIVE = "active"
    PENDING = "pending"
    CLOSED = "closed"
    TRANSFERRED = "transferred"
    ABANDONED = "abandoned"

    @property
    def is_open(self) -> bool:
        return not self.is_final

    @property
    def is_final(self) -> bool:
        """Over. Only reopening leads out of it."""
        return self in FINAL_STATUSES

    def may_become(self, status: ChatStatus) -> bool:
        return status in CHAT_MOVES[self]


FINAL_STATUSES = frozenset({ChatStatus.CLOSED, ChatStatus.ABANDONED})
OPEN_STATUSES = frozenset(set(ChatStatus) - FINAL_STATUSES)
# Automatic assignment counts these (and what is offered) as an agent's load; pending is shown only.
LOAD_STATUSES = frozenset({ChatStatus.ASSIGNED, ChatStatus.ACTIVE})

# From -> to. Everything else is refused; `services/chats.py` is the only place that moves a chat.
CHAT_MOVES: dict[ChatStatus, frozenset[ChatStatus]] = {
    ChatStatus.NEW: frozenset(
        {
            ChatStatus.BOT,
            ChatStatus.QUEUED,
            ChatStatus.ASSIGNED,
            ChatStatus.PENDING,
            ChatStatus.ACTIVE,
            ChatStatus.CLOSED,
        }
    ),
    ChatStatus.BOT: frozenset(
        {
            ChatStatus.BOT,
            ChatStatus.QUEUED,
            ChatStatus.ASSIGNED,
            ChatStatus.ACTIVE,
            ChatStatus.CLOSED,
            ChatStatus.ABANDONED,
        }
    ),
    ChatStatus.QUEUED: frozenset(
        {
            ChatStatus.QUEUED,
            ChatStatus.ASSIGNED,
            ChatStatus.ACTIVE,
            ChatStatus.PENDING,
            ChatStatus.BOT,
            ChatStatus.CLOSED,
            ChatStatus.ABANDONED,
        }
    ),
    ChatStatus.ASSIGNED: frozenset(
        {
            ChatStatus.ACTIVE,
            ChatStatus.ASSIGNED,
            ChatStatus.TRANSFERRED,
            ChatStatus.QUEUED,
            ChatStatus.PENDING,
            ChatStatus.CLOSED,
        }
    ),
    ChatStatus.ACTIVE: frozenset(
        {
            ChatStatus.PENDING,
            ChatStatus.ASSIGNED,
            ChatStatus.TRANSFERRED,
            ChatStatus.QUEUED,
            ChatStatus.CLOSED,
        }
    ),
    ChatStatus.PENDING: frozenset(
        {
            ChatStatus.ACTIVE,
            ChatStatus.ASSIGNED,
            ChatStatus.TRANSFERRED,
            ChatStatus.QUEUED,
            ChatStatus.CLOSED,
        }
    ),
    ChatStatus.TRANSFERRED: frozenset(
        {ChatStatus.ASSIGNED, ChatStatus.ACTIVE, ChatStatus.QUEUED, ChatStatus.CLOSED}
    ),
    ChatStatus.CLOSED: frozenset({ChatStatus.QUEUED, ChatStatus.ASSIGNED}),
    ChatStatus.ABANDONED: frozenset({ChatStatus.QUEUED, ChatStatus.ASSIGNED}),
}


class ChatPriority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"

    @property
    def rank(self) -> int:
        """Greater = sooner. Never compare the words: they sort by the alphabet."""
        return list(ChatPriority).index(self)


class ChatOwner(StrEnum):
    """Who speaks for us now: one at a time, so that a bot never talks over a person."""

    BOT = "bot"
    HUMAN = "human"
    PHONE = "phone"


class PendingReason(StrEnum):
    CUSTOMER = "customer"
    SNOOZED = "snoozed"
    CALLBACK = "callback"


class ActorKind(StrEnum):
    """Who did it: a person here, a bot, the phone itself, a rule or job, or the customer."""

    USER = "user"
    BOT = "bot"
    PHONE = "phone"
    SYSTEM = "system"
    CLIENT = "client"


# The predicate of the partial unique index, for `ON CONFLICT (client_id, whatsapp_number_id)`.
OPEN_CHAT_SQL = "status NOT IN ('closed', 'abandoned') AND deleted_at IS NULL"


def next_case_number(code: Any, time_zone: Any) -> ColumnElement[str]:
    """`CODE-2026-000123` as an SQL expression: in an ORM assignment or an INSERT ... SELECT.

    `code` and `time_zone` are the campaign's, as values or as columns. The number comes from one
    sequence of the installation. A counter per campaign and year would make every opening chat of a
    campaign wait for the row of the one before it; a sequence waits for nobody, and the price is
    only that numbers have gaps and do not begin anew each year.
    """
    return func.chat_case_number(code, time_zone)


class Chat(Model):
    """One conversation. One stays open per client and number (`uq_chats_open`)."""

    __tablename__ = "chats"
    __table_args__ = (
        one_of("status", ChatStatus),
        one_of("priority", ChatPriority),
        between("satisfaction_rating", 1, 5),
        one_of("owner", ChatOwner),
        one_of("pending_reason", PendingReason),
        UniqueConstraint("case_number", name="uq_chats_case_number"),
        # No index holds last_message_at, last_inbound_at, unread_count, version or updated_at:
        # these change with every message, and unindexed they change in place (HOT). Open chats
        # are few, so they are found by agent or campaign and sorted in memory.
        #
        # The client's chats on a number: window, reopening, history.
        Index("idx_chats_client_id", "client_id", "whatsapp_number_id"),
        # One open chat per client and number, whoever races.
        Index(
            "uq_chats_open",
            "client_id",
            "whatsapp_number_id",
            unique=True,
            postgresql_where=text(OPEN_CHAT_SQL),
        ),
        Index("idx_chats_open_agent", "assigned_agent_id", postgresql_where=text(OPEN_CHAT_SQL)),
        Index(
            "idx_chats_open_campaign", "campaign_id", "status", postgresql_where=text(OPEN_CHAT_SQL)
        ),
        Index(
            "idx_chats_offered",
            "offered_agent_id",
            postgresql_where=text("offered_agent_id IS NOT NULL"),
        ),
        Index("idx_chats_snoozed", "snoozed_until", postgresql_where=text("status = 'pending'")),
        # The history of a campaign, newest first.
        Index(
            "idx_chats_closed_campaign",
            "campaign_id",
            text("closed_at DESC"),
            postgresql_where=text("status IN ('closed', 'abandoned')"),
        ),
        Index("idx_chats_campaign_id", "campaign_id"),
        Index("idx_chats_assigned_agent_id", "assigned_agent_id"),
        Index("idx_chats_status", "status"),
        Index("idx_chats_created_at", "created_at"),
        Index("idx_chats_closed_at", "closed_at"),
        Index("idx_chats_priority", "priority"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"))
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id", ondelete="RESTRICT"))
    whatsapp_number_id: Mapped[int] = mapped_column(
        ForeignKey("whatsapp_numbers.id", ondelete="RESTRICT")
    )
    assigned_agent_id: Mapped[int | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL")
    )
    queue_id: Mapped[int | None] = mapped_column(ForeignKey("queues.id", ondelete="SET NULL"))
    status: Mapped[ChatStatus] = mapped_column(choice(ChatStatus, 30), server_default="new")
    priority: Mapped[ChatPriority] = mapped_column(
        choice(ChatPriority, 20), server_default="normal"
    )
    bot_started_at: Mapped[datetime | None] = mapped_column(Timestamp)
    bot_ended_at: Mapped[datetime | None] = mapped_column(Timestamp)
    queued_at: Mapped[datetime | None] = mapped_column(Timestamp)
    assigned_at: Mapped[datetime | None] = mapped_column(Timestamp)
    first_response_at: Mapped[datetime | None] = mapped_column(Timestamp)
    closed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    wait_time_seconds: Mapped[int | None]
    first_response_time_seconds: Mapped[int | None]
    handling_time_seconds: Mapped[int | None]
    close_reason: Mapped[str | None] = mapped_column(String(50))
    close_notes: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[str | None] = mapped_column(String(50))
    outcome_value: Mapped[Decimal | None] = mapped_column(Money)
    satisfaction_rating: Mapped[int | None]
    satisfaction_comment: Mapped[str | None] = mapped_column(Text)
    transferred_from_agent_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    transfer_reason: Mapped[str | None] = mapped_column(Text)
    transfer_count: Mapped[int] = mapped_column(server_default=text("0"))
    # NULL = nobody yet.
    owner: Mapped[ChatOwner | None] = mapped_column(choice(ChatOwner, 10))
    pending_reason: Mapped[PendingReason | None] = mapped_column(choice(PendingReason, 20))
    snoozed_until: Mapped[datetime | None] = mapped_column(Timestamp)
    # An offered transfer: the sender stays the owner until it is accepted.
    offered_agent_id: Mapped[int | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL")
    )
    offered_at: Mapped[datetime | None] = mapped_column(Timestamp)
    # Taken back from an agent: served before those who wait for the first time.
    queue_ahead: Mapped[bool] = mapped_column(server_default=text("false"))
    # When the longest wait had passed and its consequences were drawn; once in a spell.
    overdue_at: Mapped[datetime | None] = mapped_column(Timestamp)
    # What the customer was told of their place in the line, and when.
    queue_told_at: Mapped[datetime | None] = mapped_column(Timestamp)
    queue_told_position: Mapped[int | None]
    # The offline message was said; not again before this moment, the next opening.
    offline_told_until: Mapped[datetime | None] = mapped_column(Timestamp)
    # When a silent customer was reminded.
    reminded_at: Mapped[datetime | None] = mapped_column(Timestamp)
    # user id -> when the chat was taken back from them unanswered, as ISO text.
    lapses: Mapped[dict[str, str] | None] = mapped_column(JsonB)
    # Set by a routing rule, read by the `skills` strategy.
    required_skills: Mapped[list[str] | None] = mapped_column(JsonB)
    case_number: Mapped[str] = mapped_column(String(80))
    # The advertisement or post that brought the customer, as the provider tells it, and `at`.
    referral: Mapped[dict[str, Any] | None] = mapped_column(JsonB)
    bot_context: Mapped[dict[str, Any] | None] = mapped_column(JsonB)
    message_count: Mapped[int] = mapped_column(server_default=text("0"))
    # Inbound messages that the owner has not opened.
    unread_count: Mapped[int] = mapped_column(server_default=text("0"))
    last_message_id: Mapped[int | None] = mapped_column(
        # A circle with messages.chat_id: added by ALTER TABLE once both tables are there.
        ForeignKey("messages.id", ondelete="SET NULL", use_alter=True)
    )
    # The provider's time of the last message of the customer: the 24-hour window follows it.
    last_inbound_at: Mapped[datetime | None] = mapped_column(Timestamp)
    # Since when the customer waits for a human word: their first unanswered message.
    waiting_since: Mapped[datetime | None] = mapped_column(Timestamp)
    # Raised by each visible change, so that a browser notices what it missed.
    version: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)
    last_message_at: Mapped[datetime | None] = mapped_column(Timestamp)
    deleted_at: Mapped[datetime | None] = mapped_column(Timestamp)

    client: Mapped[Client] = relationship()
    campaign: Mapped[Campaign] = relationship()
    whatsapp_number: Mapped[WhatsappNumber] = relationship()
    queue: Mapped[Queue | None] = relationship()
    assigned_agent: Mapped[User | None] = relationship(foreign_keys=[assigned_agent_id])
    offered_agent: Mapped[User | None] = relationship(foreign_keys=[offered_agent_id])
    last_message: Mapped[Message | None] = relationship(
        foreign_keys=[last_message_id], post_update=True
    )
    tags: Mapped[list[ChatTag]] = relationship(order_by="ChatTag.tag", viewonly=True)


class ChatEvent(Model):
    """Every move of a chat: the timeline, the metrics and the routing receipts read it."""

    __tablename__ = "chat_events"
    __table_args__ = (
        one_of("from_status", ChatStatus),
        one_of("to_status", ChatStatus),
        one_of("actor_kind", ActorKind),
        Index("idx_chat_events_chat_id", "chat_id", "id"),
        Index("idx_chat_events_created_at", "created_at"),
        Index(
            "idx_chat_events_actor",
            "actor_user_id",
            "created_at",
            postgresql_where=text("actor_user_id IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    chat_id: Mapped[int] = mapped_column(ForeignKey("chats.id", ondelete="CASCADE"))
    # opened, queued, assigned, ... : what happened, in one word.
    kind: Mapped[str] = mapped_column(String(40))
    from_status: Mapped[ChatStatus | None] = mapped_column(choice(ChatStatus, 30))
    to_status: Mapped[ChatStatus | None] = mapped_column(choice(ChatStatus, 30))
    actor_kind: Mapped[ActorKind] = mapped_column(choice(ActorKind, 10))
    actor_user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    reason: Mapped[str | None] = mapped_column(Text)
    # SLA targets and hours in force, the routing receipt, the queue, ...
    data: Mapped[dict[str, Any] | None] = mapped_column(JsonB)
    # The moment itself, not the transaction's start: moves of one transaction keep their order.
    created_at: Mapped[datetime] = mapped_column(
        Timestamp, server_default=text("clock_timestamp()")
    )

    actor_user: Mapped[User | None] = relationship()
