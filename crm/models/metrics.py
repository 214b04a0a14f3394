"""Figures computed from `chat_events`, messages and agent states; twice gives the same."""

from __future__ import annotations

import datetime as dt
from datetime import datetime
from decimal import Decimal

from sqlalchemy import ForeignKey, Index, Numeric, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from crm.db import Model, Timestamp
from crm.models.columns import NOW, between


class ChatMetrics(Model):
    """Figures of one chat, written on closing and when asked."""

    __tablename__ = "chat_metrics"
    __table_args__ = (Index("idx_chat_metrics_chat_id", "chat_id", unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    chat_id: Mapped[int] = mapped_column(ForeignKey("chats.id", ondelete="CASCADE"))
    wait_time_seconds: Mapped[int | None]
    first_response_time_seconds: Mapped[int | None]
    avg_response_time_seconds: Mapped[int | None]
    handling_time_seconds: Mapped[int | None]
    total_messages: Mapped[int] = mapped_column(server_default=text("0"))
    agent_messages: Mapped[int] = mapped_column(server_default=text("0"))
    client_messages: Mapped[int] = mapped_column(server_default=text("0"))
    transfer_count: Mapped[int] = mapped_column(server_default=text("0"))
    sla_first_response_met: Mapped[bool | None]
    sla_resolution_met: Mapped[bool | None]
    csat_score: Mapped[int | None]
    calculated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)


class AgentMetrics(Model):
    """Figures of a person per day, or per hour. campaign NULL = all, hour NULL = the day."""

    __tablename__ = "agent_metrics"
    __table_args__ = (
        between("hour", 0, 23),
        UniqueConstraint(
            "user_id",
            "campaign_id",
            "date",
            "hour",
            name="uq_agent_metrics_user_id_campaign_id_date_hour",
            postgresql_nulls_not_distinct=True,
        ),
        Index("idx_agent_metrics_user_id", "user_id"),
        Index("idx_agent_metrics_campaign_id", "campaign_id"),
        Index("idx_agent_metrics_date", "date"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    date: Mapped[dt.date]
    hour: Mapped[int | None]
    time_available_seconds: Mapped[int] = mapped_column(server_default=text("0"))
    time_busy_seconds: Mapped[int] = mapped_column(server_default=text("0"))
    time_paused_seconds: Mapped[int] = mapped_column(server_default=text("0"))
    chats_handled: Mapped[int] = mapped_column(server_default=text("0"))
    chats_transferred: Mapped[int] = mapped_column(server_default=text("0"))
    chats_closed: Mapped[int] = mapped_column(server_default=text("0"))
    messages_sent: Mapped[int] = mapped_column(server_default=text("0"))
    avg_handling_time_seconds: Mapped[int | None]
    avg_first_response_time_seconds: Mapped[int | None]
    avg_csat_score: Mapped[Decimal | None] = mapped_column(Numeric(3, 2))
    sla_compliance_percentage: Mapped[Decimal | None] = mapped_column(Numeric(5, 2))
    chats_per_hour: Mapped[Decimal | None] = mapped_column(Numeric(5, 2))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)
