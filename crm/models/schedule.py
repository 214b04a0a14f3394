"""Which timed job ran for which slot."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from crm.db import Model, Timestamp
from crm.models.columns import NOW


class ScheduledRun(Model):
    """A slot is claimed by inserting its row: two clocks are harmless, a missed slot is seen."""

    __tablename__ = "scheduled_runs"
    __table_args__ = (
        UniqueConstraint("job", "slot", name="uq_scheduled_runs_job_slot"),
        Index("idx_scheduled_runs_started_at", "started_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    job: Mapped[str] = mapped_column(String(100))
    slot: Mapped[datetime] = mapped_column(Timestamp)
    started_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    finished_at: Mapped[datetime | None] = mapped_column(Timestamp)
    error: Mapped[str | None] = mapped_column(Text)
