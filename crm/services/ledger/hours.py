"""The ledger counted by hour and number, so that a chart of a week reads some hundred rows.

Counted anew from the ledger, not kept up by each delivery: nothing drifts, and no delivery waits
for a counter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, text

from crm.db import database_now, db
from crm.models import WebhookEvent, WebhookHour

HOUR = timedelta(hours=1)
# A run catches up with so much; the next one goes on.
MOST_HOURS = 72

COUNT = text("""
    INSERT INTO webhook_hours (hour, whatsapp_number_id, processed, trouble, waiting, unknown)
    SELECT date_trunc('hour', received_at), whatsapp_number_id,
           count(*) FILTER (WHERE status = 'processed'),
           count(*) FILTER (WHERE status IN ('failed', 'partly')),
           count(*) FILTER (WHERE status IN ('waiting', 'received')),
           count(*) FILTER (WHERE unknown_count > 0)
    FROM webhook_events WHERE received_at >= :since AND received_at < :until
    GROUP BY 1, 2
""")


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


def hour_of(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def count_hours(since: datetime, until: datetime) -> None:
    """Count the hours that begin in [since, until) anew. Inside `atomic()`."""
    # Two at the same time would each remove what they see and both insert.
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtext("webhook-hours"))))
    db.session.execute(
        text("DELETE FROM webhook_hours WHERE hour >= :since AND hour < :until"),
        {"since": since, "until": until},
    )
    db.session.execute(COUNT, {"since": since, "until": until})


def recount(moments: Iterable[datetime]) -> None:
    """The hours of these moments: something in them was processed again."""
    for hour in sorted({hour_of(at) for at in moments}):
        count_hours(hour, hour + HOUR)


def catch_up() -> bool:
    """From the hour that was counted last to now; False when there is nothing more to count."""
    last = db.session.scalar(select(func.max(WebhookHour.hour)))
    if last is not None:
        # The hour before too: a transaction of its last second may have come after the count.
        count_hours(last - HOUR, last + HOUR)
    first = _first_after(last + HOUR if last else None)
    if first is None:
        return False
    # A silence is jumped over, however long.
    until = hour_of(first) + MOST_HOURS * HOUR
    count_hours(hour_of(first), until)
    return _first_after(until) is not None


def _first_after(moment: datetime | None) -> datetime | None:
    statement = select(func.min(WebhookEvent.received_at))
    if moment is not None:
        statement = statement.where(WebhookEvent.received_at >= moment)
    return db.session.scalar(statement)


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
