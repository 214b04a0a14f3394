"""A number's figures: sent and received by hour, today's, and this month's free ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select, text

from crm.db import database_now, db
from crm.models import Message, NumberDay, NumberHour
from crm.services.hourly import HOUR, HourlyCount, hour_of
from crm.services.hours import DEFAULT_ZONE

# Statuses still move for a day or two after the hour was counted.
RECOUNT_HOURS = 72

COUNTED = HourlyCount(
    "number-hours",
    NumberHour.hour,
    Message.created_at,
    text("""
    INSERT INTO number_hours (hour, whatsapp_number_id, sent, received, failed)
    SELECT date_trunc('hour', created_at), whatsapp_number_id,
           count(*) FILTER (WHERE gone),
           count(*) FILTER (WHERE direction = 'inbound'),
           count(*) FILTER (WHERE direction = 'outbound' AND status = 'failed')
    FROM (SELECT *, direction = 'outbound' AND message_type <> 'system'
                    AND status IN ('sent', 'delivered', 'read') AS gone
          FROM messages WHERE created_at >= :since AND created_at < :until) m
    GROUP BY 1, 2
"""),
)

TOTALS = text("""
    UPDATE whatsapp_numbers n
    SET total_messages_sent = t.sent, total_messages_received = t.received
    FROM (SELECT whatsapp_number_id, sum(sent) AS sent, sum(received) AS received
          FROM number_hours GROUP BY 1) t
    WHERE t.whatsapp_number_id = n.id
      AND (n.total_messages_sent, n.total_messages_received) IS DISTINCT FROM (t.sent, t.received)
""")
LAST = text("""
    UPDATE whatsapp_numbers n SET last_message_at = m.at
    FROM (SELECT whatsapp_number_id, max(created_at) AS at FROM messages
          WHERE created_at >= :since GROUP BY 1) m
    WHERE m.whatsapp_number_id = n.id AND m.at > COALESCE(n.last_message_at, '-infinity')
""")


@dataclass(frozen=True)
class NumberFigures:
    """`hours`: today's hours so far, (hour, sent, received), in the installation's zone.

    `counted_today`: against the daily limit; on Meta those outside the 24 hours alone.
    """

    sent_today: int = 0
    received_today: int = 0
    counted_today: int = 0
    free_this_month: int = 0
    hours: Sequence[tuple[datetime, int, int]] = ()


def set_last_messages() -> None:
    """`last_message_at` of all numbers, from the last hours; not by each message."""
    db.session.execute(LAST, {"since": hour_of(database_now()) - HOUR})


def set_totals() -> None:
    """Count the last days anew (statuses have moved), then the lifetime totals from the hours."""
    now = hour_of(database_now())
    COUNTED.count_hours(now - RECOUNT_HOURS * HOUR, now + HOUR)
    db.session.execute(TOTALS)


def find_figures(
    number_ids: Iterable[int], *, zone: str = DEFAULT_ZONE
) -> Mapping[int, NumberFigures]:
    """The figures of these numbers; two statements however many."""
    ids = list(number_ids)
    local = database_now().astimezone(ZoneInfo(zone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    month = midnight.replace(day=1)
    of_these = NumberHour.whatsapp_number_id.in_(ids)
    # By the same rows that hold a number to its limit: two countings would disagree.
    days = (NumberDay.whatsapp_number_id, NumberDay.counted, NumberDay.sent, NumberDay.day)
    free, counted = dict.fromkeys(ids, 0), dict.fromkeys(ids, 0)
    for number_id, of_limit, sent, day in db.session.execute(
        select(*days).where(NumberDay.whatsapp_number_id.in_(ids), NumberDay.day >= month.date())
    ):
        free[number_id] += sent - of_limit
        if day == midnight.date():
            counted[number_id] = of_limit
    today: dict[int, dict[datetime, NumberHour]] = {number_id: {} for number_id in ids}
    for row in db.session.scalars(select(NumberHour).where(of_these, NumberHour.hour >= midnight)):
        today[row.whatsapp_number_id][row.hour] = row
    so_far = int((hour_of(local) - hour_of(midnight)) / HOUR) + 1
    slots = [hour_of(midnight) + timedelta(hours=n) for n in range(so_far)]
    return {
        number_id: _figures(
            today[number_id], slots, free=free[number_id], counted=counted[number_id]
        )
        for number_id in ids
    }


def _figures(
    rows: Mapping[datetime, NumberHour], slots: Sequence[datetime], *, free: int, counted: int
) -> NumberFigures:
    empty = NumberHour(sent=0, received=0)
    return NumberFigures(
        sent_today=sum(row.sent for row in rows.values()),
        received_today=sum(row.received for row in rows.values()),
        counted_today=counted,
        free_this_month=free,
        hours=[(s, rows.get(s, empty).sent, rows.get(s, empty).received) for s in slots],
    )
