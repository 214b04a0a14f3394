"""No message may lie forgotten: whatever waits has a reason and a moment, or it raises an alarm.

One query holds that as a property of the tables, true between any two transactions:

- a message that has not left stands in the queue, and the queue knows no end of it yet;
- a waiting row is due, or has a moment within reach; its number may send, or is held until a
  moment, or a person has switched it off or paused it; or something before it in its chat waits;
- a due row leaves soon;
- a row on its way has an owner and a lease, which somebody takes back when it is over;
- a row whose outcome nobody knows was submitted, and is shown to people when it stays so.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from crm.db import db
from crm.models import AlarmKind
from crm.services.alarms import end_alarm, raise_alarm

STUCK_SECONDS = 180
# The longest that anything waits by itself: for tomorrow, where the daily limit is reached.
FARTHEST_HOURS = 36

LOST = text("""
    WITH late AS (SELECT clock_timestamp() - make_interval(secs => :seconds) AS moment)
    SELECT message_id, why, extract(epoch FROM clock_timestamp() - since)::float AS seconds
    FROM (
        SELECT m.id AS message_id, 'in no queue' AS why, m.created_at AS since
        FROM messages m LEFT JOIN message_queue q ON q.message_id = m.id
        WHERE m.status = 'pending' AND m.direction = 'outbound'
          AND COALESCE(q.status, 'failed') IN ('completed', 'failed')
        UNION ALL
        SELECT q.message_id,
               CASE WHEN q.owner IS NOT NULL OR q.lease_until IS NOT NULL
                         OR q.submitted_at IS NOT NULL THEN 'half claimed'
                    WHEN q.scheduled_at > clock_timestamp() + make_interval(hours => :farthest)
                         THEN 'no moment'
                    WHEN n.deleted_at IS NOT NULL THEN 'its number is gone'
                    WHEN n.status = 'error' THEN 'nobody tries its number'
                    ELSE 'due' END,
               q.scheduled_at
        FROM message_queue q JOIN whatsapp_numbers n ON n.id = q.whatsapp_number_id
        LEFT JOIN number_pace p ON p.whatsapp_number_id = n.id, late
        WHERE q.status = 'pending'
          AND (q.owner IS NOT NULL OR q.lease_until IS NOT NULL OR q.submitted_at IS NOT NULL
               OR q.scheduled_at > clock_timestamp() + make_interval(hours => :farthest)
               OR n.deleted_at IS NOT NULL
               OR (q.scheduled_at < late.moment AND n.sending_paused_at IS NULL
                   AND (
                       -- A number that is busy all the time moves: its pace is not in the past.
                       (n.status = 'active' AND COALESCE(p.free_at, '-infinity')
                            < clock_timestamp() - make_interval(secs => :seconds / 6.0))
                       OR (n.status = 'error'
                           AND COALESCE(p.held_until, '-infinity') < late.moment))
                   AND NOT EXISTS (
                       SELECT FROM message_queue e
                       WHERE e.chat_id = q.chat_id AND e.id < q.id
                         AND e.status IN ('pending', 'processing', 'uncertain'))))
        UNION ALL
        SELECT q.message_id,
               CASE WHEN q.owner IS NULL OR q.lease_until IS NULL THEN 'no lease'
                    ELSE 'its lease is over' END,
               COALESCE(q.lease_until, q.updated_at)
        FROM message_queue q, late
        WHERE q.status = 'processing'
          AND (q.owner IS NULL OR q.lease_until IS NULL OR q.lease_until < late.moment)
        UNION ALL
        SELECT m.id,
               CASE WHEN q.submitted_at IS NULL THEN 'never submitted'
                    ELSE 'nobody was told' END,
               COALESCE(q.submitted_at, q.updated_at)
        FROM message_queue q JOIN messages m ON m.id = q.message_id, late
        WHERE q.status = 'uncertain'
          AND (q.submitted_at IS NULL
               OR (q.submitted_at < late.moment - make_interval(secs => :unresolved)
                   AND m.status = 'uncertain' AND m.error_code IS DISTINCT FROM 'unresolved'))
    ) AS lost
    ORDER BY since, message_id LIMIT 100
""")


@dataclass(frozen=True)
class Lost:
    """A message that lies forgotten, what is wrong with it, and for how many seconds."""

    message_id: int
    why: str
    seconds: float


def find_lost(*, seconds: float = STUCK_SECONDS, unresolved_seconds: float = 600) -> list[Lost]:
    """The messages that break the property, oldest first, 100 at most.

    `seconds`: how long what is due, over or open may stay so before it counts.
    """
    given = {
        "seconds": seconds, "unresolved": unresolved_seconds, "farthest": FARTHEST_HOURS,
    }  # fmt: skip
    return [Lost(*row) for row in db.session.execute(LOST, given)]


def watch() -> None:
    """Raise the alarm, or end it. Inside `atomic()`."""
    if lost := find_lost():
        raise_alarm(AlarmKind.DELIVERY_STUCK, facts={"minutes": round(lost[0].seconds / 60)})
    else:
        end_alarm(AlarmKind.DELIVERY_STUCK)
