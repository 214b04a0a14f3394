"""The ledger counted by hour and number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text

from crm.db import database_now, db
from crm.models import WebhookEvent, WebhookHour
from crm.services.hourly import HOUR, HourlyCount, hour_of

COUNTED = HourlyCount(
    "webhook-hours",
    WebhookHour.hour,
    WebhookEvent.received_at,
    text("""
    INSERT INTO webhook_hours (hour, whatsapp_number_id, processed, trouble, waiting, unknown)
    SELECT date_trunc('hour', received_at), whatsapp_number_id,
           count(*) FILTER (WHERE status = 'processed'),
           count(*) FILTER (WHERE status IN ('failed', 'partly')),
           count(*) FILTER (WHERE status IN ('waiting', 'received')),
           count(*) FILTER (WHERE unknown_count > 0)
    FROM webhook_events WHERE received_at >= :since AND received_at < :until
    GROUP BY 1, 2
"""),
)


@dataclass(frozen=True)
class HourCount:
    """One bar of the chart."""

    hour: datetime
    processed: int = 0
    trouble: int = 0
    waiting: int = 0
    unknown: int = 0

    @property
    def total(self) -> int:
        return self.processed + self.trouble + self.waiting


def recount(moments: Iterable[datetime]) -> None:
    """The hours of these moments: something in them was processed again."""
    for hour in sorted({hour_of(at) for at in moments}):
        COUNTED.count_hours(hour, hour + HOUR)


def remove_before(moment: datetime) -> None:
    db.session.execute(text("DELETE FROM webhook_hours WHERE hour < :moment"), {"moment": moment})


def chart(*, hours: int, number_id: int | None = None) -> Sequence[HourCount]:
    """The last `hours` hours, the running one included, empty ones too."""
    end = hour_of(database_now())
    start = end - (hours - 1) * HOUR
    statement = select(
        WebhookHour.hour,
        func.sum(WebhookHour.processed),
        func.sum(WebhookHour.trouble),
        func.sum(WebhookHour.waiting),
        func.sum(WebhookHour.unknown),
    ).where(WebhookHour.hour >= start)
    if number_id is not None:
        statement = statement.where(WebhookHour.whatsapp_number_id == number_id)
    found = {
        row[0]: HourCount(row[0], *map(int, row[1:]))
        for row in db.session.execute(statement.group_by(WebhookHour.hour))
    }
    return [found.get(hour) or HourCount(hour) for hour in (start + n * HOUR for n in range(hours))]
