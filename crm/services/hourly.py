"""Rows counted by hour into a small table, so that a chart of a week reads some hundred rows.

Counted anew from the rows themselves, not kept up by each of them: nothing drifts, and nobody waits
for a counter.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import TextClause, delete, func, select
from sqlalchemy.orm import InstrumentedAttribute

from crm.db import db

HOUR = timedelta(hours=1)
# A run catches up with so much; the next one goes on.
MOST_HOURS = 72


@dataclass(frozen=True)
class HourlyCount:
    """`hour` is the column of the small table, `moment` that of what is counted, and `count` the
    statement that counts [:since, :until).
    """

    name: str
    hour: InstrumentedAttribute[datetime]
    moment: InstrumentedAttribute[datetime]
    count: TextClause

    def count_hours(self, since: datetime, until: datetime) -> None:
        """Count the hours that begin in [since, until) anew. Inside `atomic()`."""
        # Two at the same time would each remove what they see and both insert.
        db.session.execute(select(func.pg_advisory_xact_lock(func.hashtext(self.name))))
        table = self.hour.class_
        db.session.execute(delete(table).where(self.hour >= since, self.hour < until))
        db.session.execute(self.count, {"since": since, "until": until})

    def catch_up(self) -> bool:
        """From the hour that was counted last to now; False when there is nothing more to count."""
        last = db.session.scalar(select(func.max(self.hour)))
        if last is not None:
            # The hour before too: a transaction of its last second may have come after the count.
            self.count_hours(last - HOUR, last + HOUR)
        first = self._first_after(last + HOUR if last else None)
        if first is None:
            return False
        # A silence is jumped over, however long.
        until = hour_of(first) + MOST_HOURS * HOUR
        self.count_hours(hour_of(first), until)
        return self._first_after(until) is not None

    def _first_after(self, moment: datetime | None) -> datetime | None:
        statement: Any = select(func.min(self.moment))
        if moment is not None:
            statement = statement.where(self.moment >= moment)
        return db.session.scalar(statement)


def hour_of(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
