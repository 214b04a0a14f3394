"""What somebody who runs this installation has to know: one row from its opening to its end."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from crm.db import Model, Timestamp
from crm.models.columns import NOW, JsonB
from crm.models.numbers import WhatsappNumber
from crm.models.users import User


class AlarmKind(StrEnum):
    """What is wrong. A new kind needs its words in `crm/services/alarms/words.py`, no migration."""

    NUMBER_REFUSED = "number_refused"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a word, not a token
    ACCOUNT_RESTRICTED = "account_restricted"
    NUMBER_UNPAID = "number_unpaid"
    WEBHOOK_FAILED = "webhook_failed"
    WEBHOOK_UNKNOWN = "webhook_unknown"
    NUMBER_WAITING = "number_waiting"
    NUMBER_UNKNOWN = "number_unknown"
    NUMBER_SILENT = "number_silent"
    TEMPLATE_REJECTED = "template_rejected"
    TEMPLATE_PAUSED = "template_paused"
    TEMPLATE_DISABLED = "template_disabled"
    TEMPLATE_FLAGGED = "template_flagged"
    NUMBER_QUALITY_LOW = "number_quality_low"
    NUMBER_NAME_REJECTED = "number_name_rejected"
    NUMBER_SECURITY = "number_security"
    NUMBER_ERRORS = "number_errors"
    ACCOUNT_ALERT = "account_alert"
    NUMBER_LIMIT_CHANGED = "number_limit_changed"
    SESSION_LOST = "session_lost"
    SESSION_STUCK = "session_stuck"
    STORE_FULL = "store_full"
    DELIVERY_STUCK = "delivery_stuck"
    DAILY_LIMIT_NEAR = "daily_limit_near"
    DAILY_LIMIT_REACHED = "daily_limit_reached"
    QUEUE_OVERDUE = "queue_overdue"
    AGENT_UNANSWERING = "agent_unanswering"


class Alarm(Model):
    """One alarm. While it is open, the same kind and subject are this row, seen again.

    `kind` is text without a CHECK: kinds grow with every area, and a release that is one step
    behind must be able to read what a newer one has opened.
    """

    __tablename__ = "alarms"
    __table_args__ = (
        Index(
            "uq_alarms_open",
            "kind",
            "subject",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("idx_alarms_opened_at", "opened_at"),
        Index("idx_alarms_kind_subject", "kind", "subject", "opened_at"),
        Index("idx_alarms_whatsapp_number_id", "whatsapp_number_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    # What tells two of a kind apart: a number's id, a template's name; "" where there is only one.
    subject: Mapped[str] = mapped_column(String(200), server_default="")
    # Whom it concerns, where not everybody: the people of the number's campaigns, or of this one.
    whatsapp_number_id: Mapped[int | None] = mapped_column(
        ForeignKey("whatsapp_numbers.id", ondelete="SET NULL")
    )
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id", ondelete="SET NULL"))
    # The values in its words.
    facts: Mapped[dict[str, Any]] = mapped_column(JsonB, server_default=text("'{}'::jsonb"))
    opened_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    last_seen_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    count: Mapped[int] = mapped_column(server_default=text("1"))
    # When the e-mails were queued; only severe kinds have any.
    announced_at: Mapped[datetime | None] = mapped_column(Timestamp)
    acknowledged_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    acknowledged_at: Mapped[datetime | None] = mapped_column(Timestamp)
    ended_at: Mapped[datetime | None] = mapped_column(Timestamp)

    number: Mapped[WhatsappNumber | None] = relationship()
    acknowledger: Mapped[User | None] = relationship()

    @property
    def is_open(self) -> bool:
        return self.ended_at is None
