"""The ledger of everything that providers posted to us, and how new our news of them is."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from crm.db import Model, Timestamp
from crm.models.columns import NOW, JsonB, choice, one_of
from crm.models.numbers import Provider


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
    event_count: Mapped[int] = mapped_column(server_default=text("0"))
    unknown_count: Mapped[int] = mapped_column(server_default=text("0"))
    received_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    processed_at: Mapped[datetime | None] = mapped_column(Timestamp)


class ProviderNews(Model):
    """The newest news about one thing (`template:123:status`): older ones that come later are old.

    The provider delivers in any order, and again after days.
    """

    __tablename__ = "provider_news"

    subject: Mapped[str] = mapped_column(String(200), primary_key=True)
    occurred_at: Mapped[datetime] = mapped_column(Timestamp)
