"""No message may lie forgotten: what is due and does not leave raises an alarm.

Rows that wait for a reason do not count: a pause, a number that is switched off or refused, a
number's pace or pair limit, a message ahead in the chat, the daily limit.
"""

from __future__ import annotations

from sqlalchemy import text

from crm.db import db
from crm.models import AlarmKind
from crm.services.alarms import end_alarm, raise_alarm

STUCK_SECONDS = 180

# Due for so long on a number that may send, with nothing before it in its chat; or on its way for
# longer than any lease, which nobody took back.
OLDEST = text("""
    SELECT extract(epoch FROM clock_timestamp() - min(since))::float FROM (
        SELECT q.scheduled_at AS since
        FROM message_queue q JOIN whatsapp_numbers n ON n.id = q.whatsapp_number_id
        LEFT JOIN number_pace p ON p.whatsapp_number_id = n.id
        WHERE q.status = 'pending'
          AND q.scheduled_at < clock_timestamp() - make_interval(secs => :seconds)
          AND n.status = 'active' AND n.deleted_at IS NULL AND n.sending_paused_at IS NULL
          -- A number that is busy all the time moves: its pace is not in the past.
          AND COALESCE(p.free_at, '-infinity') < clock_timestamp() - interval '30 seconds'
          AND NOT EXISTS (
              SELECT FROM message_queue e
              WHERE e.chat_id = q.chat_id AND e.id < q.id
                AND e.status IN ('pending', 'processing', 'uncertain'))
        UNION ALL
        SELECT q.lease_until FROM message_queue q
        WHERE q.status = 'processing'
          AND (q.lease_until IS NULL
               OR q.lease_until < clock_timestamp() - make_interval(secs => :seconds))
    ) AS waiting
""")


def find_oldest_stuck_seconds(*, seconds: float = STUCK_SECONDS) -> float | None:
    """How long the oldest message has waited for nothing; None if there is none."""
    return db.session.scalar(OLDEST, {"seconds": seconds})


def watch() -> None:
    """Raise the alarm, or end it. Inside `atomic()`."""
    waited = find_oldest_stuck_seconds()
    if waited is None:
        end_alarm(AlarmKind.DELIVERY_STUCK)
    else:
        raise_alarm(AlarmKind.DELIVERY_STUCK, facts={"minutes": round(waited / 60)})
