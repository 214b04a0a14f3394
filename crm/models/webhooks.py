"""The ledger of everything that providers posted to us, counted, and how new our news are."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    literal_column,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from crm.db import Model, Timestamp
from crm.models.columns import NOW, JsonB, choice, one_of
from crm.models.numbers import Provider, WhatsappNumber

# Holds something beside messages and their ticks, which nearly all deliveries are.
HOLDS_SELDOM = literal_column("(holds - 'message' - 'receipt' <> '{}'::jsonb)", Boolean)


class WebhookStatus(StrEnum):
    """Partly = some events stored, others in `problems`; waiting = no campaign takes them yet."""

    RECEIVED = "received"
    PROCESSED = "processed"
    PARTLY = "partly"
    FAILED = "failed"
    WAITING = "waiting"

    @property
    def is_final(self) -> bool:
        return self is WebhookStatus.PROCESSED

    @property
    def is_open(self) -> bool:
        return not self.is_final


class WebhookEvent(Model):
    """One POST as it came: `body` is the raw bytes, so that it can be processed again."""

    __tablename__ = "webhook_events"
    __table_args__ = (
        one_of("provider", Provider),
        one_of("status", WebhookStatus),
        Index("idx_webhook_events_received_at", "received_at"),
        Index(
            "idx_webhook_events_open",
            "status",
            "id",
            postgresql_where=text("status <> 'processed'"),
        ),
        Index("idx_webhook_events_whatsapp_number_id", "whatsapp_number_id", "received_at"),
        Index("idx_webhook_events_unknown", "id", postgresql_where=text("unknown_count > 0")),
        Index("idx_webhook_events_seldom", "received_at", postgresql_where=HOLDS_SELDOM),
        Index(
            "idx_webhook_events_seldom_of_number",
            "whatsapp_number_id",
            "received_at",
            postgresql_where=HOLDS_SELDOM,
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    provider: Mapped[Provider] = mapped_column(choice(Provider, 20))
    whatsapp_number_id: Mapped[int | None] = mapped_column(
        ForeignKey("whatsapp_numbers.id", ondelete="SET NULL")
    )
    body: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[WebhookStatus] = mapped_column(
        choice(WebhookStatus, 20), server_default="received"
    )
    # One entry per event that could not be stored: which, why, and the trace's last line.
    problems: Mapped[list[Any] | None] = mapped_column(JsonB)
    # What it holds, in short, by kind, as `services/ledger/kinds.py` writes it: nobody's words,
    # no whole phone number.
    holds: Mapped[dict[str, Any] | None] = mapped_column(JsonB)
    event_count: Mapped[int] = mapped_column(server_default=text("0"))
    unknown_count: Mapped[int] = mapped_column(server_default=text("0"))
    received_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    processed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    # Somebody has looked and there is nothing to be done: it alarms no more.
    set_aside_at: Mapped[datetime | None] = mapped_column(Timestamp)
    set_aside_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))

    number: Mapped[WhatsappNumber | None] = relationship()


class WebhookHour(Model):
    """What stands in the ledger of one hour and number, counted from it; may be counted anew."""

    __tablename__ = "webhook_hours"
    __table_args__ = (
        Index(
            "uq_webhook_hours_hour_number",
            "hour",
            "whatsapp_number_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    hour: Mapped[datetime] = mapped_column(Timestamp)
    whatsapp_number_id: Mapped[int | None] = mapped_column(
        ForeignKey("whatsapp_numbers.id", ondelete="CASCADE")
    )
    processed: Mapped[int] = mapped_column(server_default=text("0"))
    # Failed or partly.
    trouble: Mapped[int] = mapped_column(server_default=text("0"))
    # Waiting for a campaign, or not looked at yet.
    waiting: Mapped[int] = mapped_column(server_default=text("0"))
    # Of all of these: with kinds that nobody here knows.
    unknown: Mapped[int] = mapped_column(server_default=text("0"))


class WebhookReplay(Model):
    """Many bodies to be processed again, and how far that is. `last_id` is where it goes on."""

    __tablename__ = "webhook_replays"
    __table_args__ = (
        Index("idx_webhook_replays_open", "id", postgresql_where=text("finished_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    # What the list showed: {"ids": [...]} or its filters; `until_id` is its newest row.
    chosen: Mapped[dict[str, Any]] = mapped_column(JsonB)
    until_id: Mapped[int] = mapped_column(BigInteger)
    last_id: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    total: Mapped[int] = mapped_column(server_default=text("0"))
    done: Mapped[int] = mapped_column(server_default=text("0"))
    processed: Mapped[int] = mapped_column(server_default=text("0"))
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    finished_at: Mapped[datetime | None] = mapped_column(Timestamp)
    cancelled: Mapped[bool] = mapped_column(server_default=text("false"))


class ProviderNews(Model):
    """The newest news about one thing (`template:123:status`): older ones that come later are old.

    The provider delivers in any order, and again after days.
    """

    __tablename__ = "provider_news"

    subject: Mapped[str] = mapped_column(String(200), primary_key=True)
    occurred_at: Mapped[datetime] = mapped_column(Timestamp)
