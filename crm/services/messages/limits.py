"""A number's daily limit: what counts against it, and what waits when it is near or reached.

On Meta only sends outside the customer's 24 hours count, on WPPConnect all but edits and deletions:
they change what was counted already and bring nobody anything new. At 80 % mass sending
waits; at the limit the other messages of ours that count do what the number says: go on (warn),
wait for tomorrow (hold), or fail (refuse). What an agent writes never waits, and does not wait
behind what does. The day is that of the installation's zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text

from crm.db import db
from crm.doorbell import ring_on_commit
from crm.models import AlarmKind, LimitAction
from crm.services.alarms import end_alarm, raise_alarm
from crm.services.messages.claims import Claim, Settings

NEAR = 0.8
# Below this priority a row is mass sending, below the second it is not a person's.
BOT, AGENT = 50, 100
# In message_queue.last_error: the row waits for the limit alone, and holds nobody back.
HELD = "daily_limit"

TODAY = "(clock_timestamp() AT TIME ZONE :zone)::date"

COUNT = text(f"""
    INSERT INTO number_days (whatsapp_number_id, day, sent, counted)
    SELECT number_id, {TODAY}, sent, counted
    FROM unnest(CAST(:numbers AS int[]), CAST(:sent AS int[]), CAST(:counted AS int[]))
         AS r(number_id, sent, counted)
    ORDER BY number_id
    ON CONFLICT (whatsapp_number_id, day) DO UPDATE
    SET sent = number_days.sent + excluded.sent, counted = number_days.counted + excluded.counted
    RETURNING whatsapp_number_id, xmax = 0 AS is_first
""")  # noqa: S608 - TODAY is ours

FIND_COUNTED = text(f"""
    SELECT counted FROM number_days WHERE whatsapp_number_id = :number_id AND day = {TODAY}
""")  # noqa: S608

# Due rows that the limit stops wait for the first moment of tomorrow.
HOLD_BACK = text("""
    UPDATE message_queue q SET
        scheduled_at = (date_trunc('day', clock_timestamp() AT TIME ZONE :zone)
                        + interval '1 day') AT TIME ZONE :zone,
        last_error = 'daily_limit', updated_at = now()
    FROM messages m
    WHERE q.whatsapp_number_id = :number_id AND q.status = 'pending'
      AND q.scheduled_at <= clock_timestamp() AND m.id = q.message_id
      AND (q.priority < :bulk_below
           OR (:is_reached AND q.priority < 100
               AND (:all_count
                    OR (m.message_type = 'template'
                        AND NOT EXISTS (
                            SELECT FROM chats c
                            WHERE c.client_id = m.client_id
                              AND c.whatsapp_number_id = q.whatsapp_number_id
                              AND c.last_inbound_at
                                  > clock_timestamp() - interval '23 hours 59 minutes')))))
""")

LET_GO = text("""
    UPDATE message_queue SET scheduled_at = clock_timestamp(), last_error = NULL, updated_at = now()
    WHERE whatsapp_number_id = :number_id AND status = 'pending' AND last_error = 'daily_limit'
""")


def count_sent(sent: Mapping[int, tuple[int, int]], *, zone: str) -> None:
    """Add to today's figures: number id -> (how many were sent, how many of them count)."""
    numbers = sorted(sent)
    rows = db.session.execute(
        COUNT,
        {
            "zone": zone,
            "numbers": numbers,
            "sent": [sent[number][0] for number in numbers],
            "counted": [sent[number][1] for number in numbers],
        },
    )
    for row in rows.all():
        if row.is_first:
            # A new day has begun.
            _end_alarms(row.whatsapp_number_id)


def find_counted_today(number_id: int, *, zone: str) -> int:
    """How many of today's sends count against the number's limit."""
    return db.session.scalar(FIND_COUNTED, {"number_id": number_id, "zone": zone}) or 0


def hold_back(pace: Any, *, zone: str) -> None:
    """Let wait what the limit stops. `pace` is the number's row as delivery locks it."""
    limit = pace.daily_message_limit
    if limit is None or pace.counted < limit * NEAR:
        return
    is_reached = pace.counted >= limit
    facts = {"sent": pace.counted, "limit": limit, "number_id": pace.id}
    kind = AlarmKind.DAILY_LIMIT_REACHED if is_reached else AlarmKind.DAILY_LIMIT_NEAR
    raise_alarm(kind, subject=str(pace.id), number_id=pace.id, facts=facts)
    if pace.limit_action == LimitAction.WARN:
        return
    refuses = pace.limit_action == LimitAction.REFUSE
    db.session.execute(
        HOLD_BACK,
        {
            "number_id": pace.id,
            "zone": zone,
            # Refused ones go on to their loading, where they fail.
            "bulk_below": 0 if refuses and is_reached else BOT,
            "is_reached": is_reached and not refuses,
            "all_count": pace.provider == "wppconnect",
        },
    )


def is_refused(number: Any, claim: Claim, *, settings: Settings) -> bool:
    """Whether a message that counts must fail because its number's limit is reached."""
    if number.limit_action != LimitAction.REFUSE or number.daily_message_limit is None:
        return False
    if claim.priority >= AGENT:
        return False
    counted = find_counted_today(number.id, zone=settings.zone)
    return counted >= number.daily_message_limit


def lift_limit(number_id: int) -> None:
    """The limit was changed: what waited for it is looked at again."""
    db.session.execute(LET_GO, {"number_id": number_id})
    _end_alarms(number_id)
    ring_on_commit("messages.deliver", number_id)


def _end_alarms(number_id: int) -> None:
    for kind in (AlarmKind.DAILY_LIMIT_NEAR, AlarmKind.DAILY_LIMIT_REACHED):
        end_alarm(kind, subject=str(number_id))
