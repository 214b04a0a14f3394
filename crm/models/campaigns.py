"""Campaigns (service lines, not mass mailings), their numbers and their agents."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from crm.db import Model, Timestamp
from crm.models.columns import NOW, JsonB, choice, one_of

if TYPE_CHECKING:
    from crm.models.numbers import WhatsappNumber
    from crm.models.queues import Queue
    from crm.models.users import User


class CampaignStatus(StrEnum):
    """Paused = new chats get `offline_message` and wait; ended = takes none."""

    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


class RoutingStrategy(StrEnum):
    ROUND_ROBIN = "round_robin"
    LEAST_BUSY = "least_busy"
    SKILLS = "skills"
    PRIORITY = "priority"
    LAST_AGENT = "last_agent"
    MANUAL = "manual"


class Campaign(Model):
    """A service line: hours, SLA, bot, routing, texts. `code` is fixed after the first chat."""

    __tablename__ = "campaigns"
    __table_args__ = (
        one_of("status", CampaignStatus),
        one_of("routing_strategy", RoutingStrategy),
        UniqueConstraint("code", name="uq_campaigns_code"),
        Index("idx_campaigns_status", "status"),
        Index("idx_campaigns_deleted_at", "deleted_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(150))
    description: Mapped[str | None] = mapped_column(Text)
    code: Mapped[str] = mapped_column(String(50))
    status: Mapped[CampaignStatus] = mapped_column(
        choice(CampaignStatus, 20), server_default="active"
    )
    priority: Mapped[int] = mapped_column(server_default=text("0"))
    business_hours: Mapped[dict[str, Any] | None] = mapped_column(JsonB)
    timezone: Mapped[str] = mapped_column(String(50), server_default="America/Bogota")
    sla_first_response_seconds: Mapped[int | None] = mapped_column(server_default=text("60"))
    sla_resolution_seconds: Mapped[int | None] = mapped_column(server_default=text("3600"))
    bot_enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    bot_flow_id: Mapped[int | None] = mapped_column(ForeignKey("bot_flows.id", ondelete="SET NULL"))
    routing_strategy: Mapped[RoutingStrategy] = mapped_column(
        choice(RoutingStrategy, 30), server_default="round_robin"
    )
    max_queue_size: Mapped[int] = mapped_column(server_default=text("100"))
    max_wait_seconds: Mapped[int] = mapped_column(server_default=text("600"))
    welcome_message: Mapped[str | None] = mapped_column(Text)
    queue_message: Mapped[str | None] = mapped_column(Text)
    offline_message: Mapped[str | None] = mapped_column(Text)
    closed_message: Mapped[str | None] = mapped_column(Text)
    # Said again at most this often while the place in the queue changes. NULL = once only.
    queue_message_interval_seconds: Mapped[int | None]
    wait_message: Mapped[str | None] = mapped_column(Text)
    # Reopens a closed chat instead of opening a new one. NULL = off.
    reopen_window_seconds: Mapped[int | None]
    # Business seconds without an answer after which an assigned chat is taken back. NULL = off.
    take_back_seconds: Mapped[int | None] = mapped_column(server_default=text("300"))
    # Of the customer's silence, in a pending chat. NULL = never.
    inactivity_reminder_seconds: Mapped[int | None]
    inactivity_reminder_message: Mapped[str | None] = mapped_column(Text)
    inactivity_close_seconds: Mapped[int | None]
    # After the longest wait: off = the chat stays queued for good.
    abandon_enabled: Mapped[bool] = mapped_column(server_default=text("false"))
    abandon_message: Mapped[str | None] = mapped_column(Text)
    csat_enabled: Mapped[bool] = mapped_column(server_default=text("false"))
    csat_question: Mapped[str | None] = mapped_column(Text)
    # The admin's lists; NULL = the installation's. Codes or words, in the order of the picker.
    close_reasons: Mapped[list[Any] | None] = mapped_column(JsonB)
    outcomes: Mapped[list[Any] | None] = mapped_column(JsonB)
    outcome_required: Mapped[bool] = mapped_column(server_default=text("false"))
    currency: Mapped[str] = mapped_column(String(3), server_default="COP")
    language: Mapped[str] = mapped_column(String(10), server_default="es-CO")
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    deleted_at: Mapped[datetime | None] = mapped_column(Timestamp)

    number_links: Mapped[list[CampaignNumber]] = relationship(back_populates="campaign")
    agent_links: Mapped[list[CampaignAgent]] = relationship(back_populates="campaign")
    queues: Mapped[list[Queue]] = relationship(back_populates="campaign")


class CampaignNumber(Model):
    """A number serves a campaign. The highest `priority` of the active ones takes new chats."""

    __tablename__ = "campaign_numbers"
    __table_args__ = (
        UniqueConstraint(
            "campaign_id",
            "whatsapp_number_id",
            name="uq_campaign_numbers_campaign_id_whatsapp_number_id",
        ),
        Index("idx_campaign_numbers_campaign_id", "campaign_id"),
        Index("idx_campaign_numbers_whatsapp_number_id", "whatsapp_number_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    whatsapp_number_id: Mapped[int] = mapped_column(
        ForeignKey("whatsapp_numbers.id", ondelete="CASCADE")
    )
    is_primary: Mapped[bool] = mapped_column(server_default=text("false"))
    priority: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)

    campaign: Mapped[Campaign] = relationship(back_populates="number_links")
    whatsapp_number: Mapped[WhatsappNumber] = relationship(back_populates="campaign_links")


class CampaignAgent(Model):
    """A person works (or supervises) in a campaign."""

    __tablename__ = "campaign_agents"
    __table_args__ = (
        UniqueConstraint("campaign_id", "user_id", name="uq_campaign_agents_campaign_id_user_id"),
        Index("idx_campaign_agents_campaign_id", "campaign_id"),
        Index("idx_campaign_agents_user_id", "user_id"),
        Index("idx_campaign_agents_skills", "skills", postgresql_using="gin"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    max_concurrent_chats: Mapped[int] = mapped_column(server_default=text("5"))
    priority: Mapped[int] = mapped_column(server_default=text("0"))
    skills: Mapped[list[str]] = mapped_column(JsonB, server_default=text("'[]'::jsonb"))
    # The memory of round robin. In Postgres, so that a restart does not begin with the same person.
    last_assigned_at: Mapped[datetime | None] = mapped_column(Timestamp)
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)

    campaign: Mapped[Campaign] = relationship(back_populates="agent_links")
    user: Mapped[User] = relationship(back_populates="campaign_links")
