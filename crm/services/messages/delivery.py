"""The way from the queue to the provider: claim, start, and what is due.

One row is claimed at the moment of sending, under a lease and with a fence (`owner`, `attempts`)
that every later write carries: who comes back after somebody else took over writes nothing. Just
before the call `submitted_at` is committed; from there on, silence means "uncertain" and never
"again". Within a chat the rows leave in the order in which they were written, one at a time.

The calls themselves happen between these transactions, in crm/jobs/messages.py.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm.db import db
from crm.models import NumberStatus, Provider
from crm.services.messages import limits
from crm.services.messages.claims import Claim, Settings

# How far ahead of its even pace a number may run: a tenth of a second's worth of messages.
BURST_SECONDS = 0.1
# On WPPConnect each pause between two messages is drawn from this range of the even one.
JITTER = (0.6, 1.4)


# A row whose lease ran out so often before its call is suspected of ending its worker.
SUSPICIOUS = 2


@dataclass(frozen=True)
class Claimed:
    """What `claim_due` got, and after how many seconds a number has room for more (0 = now)."""

    claims: list[Claim]
    wait_seconds: float = 0.0


# Rows of numbers that may send (or probe) now, and leases that ran out. Each part stops at the
# first row it finds per number.
FIND_DUE_NUMBERS = text("""
    SELECT n.id FROM whatsapp_numbers n
    LEFT JOIN number_pace p ON p.whatsapp_number_id = n.id
    WHERE (n.deleted_at IS NULL AND n.sending_paused_at IS NULL
           AND (n.status = 'active' OR (n.status = 'error' AND p.held_until <= clock_timestamp()))
           AND EXISTS (SELECT FROM message_queue q
                       WHERE q.whatsapp_number_id = n.id AND q.status = 'pending'
                         AND q.scheduled_at <= clock_timestamp()))
       OR EXISTS (SELECT FROM message_queue q
                  WHERE q.whatsapp_number_id = n.id AND q.status = 'processing'
                    AND q.lease_until < clock_timestamp())
       OR EXISTS (SELECT FROM message_queue q JOIN messages m ON m.id = q.message_id
                  WHERE q.whatsapp_number_id = n.id AND q.status = 'uncertain'
                    AND q.submitted_at < clock_timestamp() - make_interval(secs => :unresolved)
                    AND m.error_code IS DISTINCT FROM 'unresolved')
    ORDER BY n.id
""")

LOCK_PACES = text(f"""
    SELECT n.id, n.status, n.provider, n.rate_limit_per_minute, n.daily_message_limit,
           n.limit_action, COALESCE(d.counted, 0) AS counted,
           extract(epoch FROM p.free_at - clock_timestamp())::float AS ahead_seconds,
           p.held_until <= clock_timestamp() AS may_probe
    FROM number_pace p JOIN whatsapp_numbers n ON n.id = p.whatsapp_number_id
    LEFT JOIN number_days d ON d.whatsapp_number_id = n.id AND d.day = {limits.TODAY}
    WHERE n.id = ANY(CAST(:numbers AS int[])) AND n.deleted_at IS NULL
      AND n.sending_paused_at IS NULL
    ORDER BY n.id
    FOR UPDATE OF p
""")  # noqa: S608 - TODAY is ours

ADD_PACES = text("""
    INSERT INTO number_pace (whatsapp_number_id)
    SELECT id FROM whatsapp_numbers WHERE id = ANY(CAST(:numbers AS int[])) ORDER BY id
    ON CONFLICT DO NOTHING
""")

# A row waits while anything before it in its chat is pending (a back-off holds the chat too) or on
# its way, and for a while behind one whose outcome is unknown. Failed ones release at once, and
# what waits for the daily limit alone holds nobody.
CLAIM = text("""
    WITH due AS (
        SELECT one.id
        FROM unnest(CAST(:numbers AS int[]), CAST(:rooms AS int[])) AS wish(number_id, room)
        CROSS JOIN LATERAL (
            SELECT q.id FROM message_queue q
            WHERE q.whatsapp_number_id = wish.number_id AND q.status = 'pending'
              AND q.scheduled_at <= clock_timestamp()
              AND (q.crashes >= :suspicious) = :suspects
              AND NOT EXISTS (
                  SELECT FROM message_queue e
                  WHERE e.chat_id = q.chat_id AND e.id < q.id
                    AND e.status IN ('pending', 'processing', 'uncertain')
                    AND (e.status <> 'uncertain' OR e.processing_completed_at
                         > clock_timestamp() - make_interval(secs => :hold))
                    AND (e.status <> 'pending' OR e.last_error IS DISTINCT FROM 'daily_limit'))
            ORDER BY q.priority DESC, q.scheduled_at, q.id
            LIMIT wish.room
            FOR UPDATE SKIP LOCKED
        ) AS one
    )
    UPDATE message_queue q SET
        status = 'processing', owner = :owner, attempts = attempts + 1, submitted_at = NULL,
        processing_started_at = clock_timestamp(), processing_completed_at = NULL,
        lease_until = clock_timestamp() + make_interval(secs => :lease), last_error = NULL,
        updated_at = now()
    FROM due WHERE q.id = due.id
    RETURNING q.id, q.message_id, q.chat_id, q.whatsapp_number_id, q.attempts, q.priority
""")

MOVE_PACES = text("""
    UPDATE number_pace SET
        free_at = GREATEST(free_at, clock_timestamp()) + make_interval(secs => m.seconds),
        held_until = CASE WHEN m.is_probe
                          THEN clock_timestamp() + make_interval(secs => :lease)
                          ELSE held_until END
    FROM unnest(CAST(:numbers AS int[]), CAST(:seconds AS float[]), CAST(:probes AS bool[]))
         AS m(number_id, seconds, is_probe)
    WHERE whatsapp_number_id = m.number_id
""")

# The rows are locked in the order of their numbers, as by everybody.
FENCED = """
    FROM messages m, (
        SELECT l.id
        FROM unnest(CAST(:ids AS bigint[]), CAST(:owners AS uuid[]), CAST(:attempts AS int[]))
             AS f(id, owner, attempt)
        JOIN message_queue l ON l.id = f.id AND l.owner = f.owner AND l.attempts = f.attempt
                            AND l.status = 'processing'
        ORDER BY l.id FOR NO KEY UPDATE OF l
    ) AS fenced
    WHERE q.id = fenced.id AND m.id = q.message_id
"""

SUBMIT = text(f"""
    UPDATE message_queue q SET
        submitted_at = clock_timestamp(), updated_at = now(),
        lease_until = clock_timestamp() + make_interval(secs => :lease)
    {FENCED} AND m.status = 'pending' AND q.submitted_at IS NULL
      AND q.lease_until > clock_timestamp()
    RETURNING q.id
""")  # noqa: S608 - FENCED is ours

COMPLETE_TOLD = text(f"""
    UPDATE message_queue q SET
        status = 'completed', processing_completed_at = clock_timestamp(), lease_until = NULL,
        updated_at = now()
    {FENCED} AND m.status <> 'pending'
""")  # noqa: S608

FIND_SUSPECTS = text("""
    SELECT DISTINCT whatsapp_number_id FROM message_queue
    WHERE status = 'pending' AND whatsapp_number_id = ANY(CAST(:numbers AS int[]))
      AND crashes >= :suspicious AND scheduled_at <= clock_timestamp()
    ORDER BY whatsapp_number_id
""")

# What the daily limit holds is passed by, so it may stay as it is.
HURRY = text("""
    UPDATE message_queue SET priority = :priority, updated_at = now()
    WHERE chat_id = :chat_id AND status = 'pending' AND priority < :priority
      AND last_error IS DISTINCT FROM 'daily_limit'
""")

NEXT_DUE = text("""
    SELECT extract(epoch FROM min(scheduled_at) - clock_timestamp())::float
    FROM message_queue WHERE status = 'pending' AND scheduled_at > clock_timestamp()
""")


def find_due_numbers(*, unresolved_seconds: float = 600) -> list[int]:
    """The numbers for which there is something to do: rows due, leases over, outcomes still open.

    Reads only, so that the clock may ask and ring.
    """
    return list(db.session.scalars(FIND_DUE_NUMBERS, {"unresolved": unresolved_seconds}))


def find_next_due_seconds() -> float | None:
    """Seconds until the next row is due that is not due yet; None if there is none."""
    return db.session.scalar(NEXT_DUE)


def hurry_chat(chat_id: int, *, priority: int) -> None:
    """What waits in this chat becomes at least so urgent. The chat is locked by the caller."""
    db.session.execute(HURRY, {"chat_id": chat_id, "priority": priority})


def find_suspects(number_ids: Sequence[int]) -> list[int]:
    """Those of these numbers that have a due row which may end its worker."""
    given = {"numbers": list(number_ids), "suspicious": SUSPICIOUS}
    return list(db.session.scalars(FIND_SUSPECTS, given))


def claim_due(
    rooms: Mapping[int, int], *, owner: UUID, settings: Settings, suspects: bool = False
) -> Claimed:
    """Claim due rows, for calls that start at once: number id -> how many at most.

    `suspects`: only those that may end their worker, which are never among the others.

    The numbers' paces are kept here, under their locks, so that they hold over all workers
    together. A number that the provider refuses gets one row as a probe when its time has come.
    """
    wishes, waits = [], []
    for pace in _lock_paces(sorted(rooms), settings):
        is_probe = pace.status == NumberStatus.ERROR and bool(pace.may_probe)
        if pace.status != NumberStatus.ACTIVE and not is_probe:
            continue
        limits.hold_back(pace, zone=settings.zone)
        seconds_each = 60 / pace.rate_limit_per_minute if pace.rate_limit_per_minute else 0.0
        if pace.provider == Provider.WPPCONNECT:
            # A phone that writes like clockwork is taken for a machine: no two pauses are alike.
            seconds_each *= random.uniform(*JITTER)
        room = min(_room(pace.ahead_seconds, seconds_each), rooms[pace.id])
        if room < 1:
            waits.append(max(pace.ahead_seconds - BURST_SECONDS, 0.001))
            continue
        wishes.append(_Wish(pace.id, 1 if is_probe else room, seconds_each, is_probe))
    claims = _claim(wishes, owner, settings, suspects=suspects) if wishes else []
    return Claimed(claims, wait_seconds=min(waits, default=0.0))


@dataclass(frozen=True)
class _Wish:
    """How many rows of a number may start now, and by how much each moves its pace."""

    number_id: int
    room: int
    seconds_each: float
    is_probe: bool


def _claim(wishes: list[_Wish], owner: UUID, settings: Settings, *, suspects: bool) -> list[Claim]:
    rows = db.session.execute(
        CLAIM,
        {
            "numbers": [wish.number_id for wish in wishes],
            "rooms": [wish.room for wish in wishes],
            "hold": settings.uncertain_hold_seconds,
            "owner": owner,
            "lease": settings.lease_seconds,
            "suspicious": SUSPICIOUS,
            "suspects": suspects,
        },
    ).all()
    got = Counter(row.whatsapp_number_id for row in rows)
    moved = [wish for wish in wishes if got[wish.number_id]]
    if moved:
        db.session.execute(
            MOVE_PACES,
            {
                "numbers": [wish.number_id for wish in moved],
                "seconds": [wish.seconds_each * got[wish.number_id] for wish in moved],
                "probes": [wish.is_probe for wish in moved],
                "lease": settings.lease_seconds,
            },
        )
    probes = {wish.number_id for wish in wishes if wish.is_probe}
    return [
        Claim(
            row.id,
            row.message_id,
            row.chat_id,
            row.whatsapp_number_id,
            owner,
            row.attempts,
            is_probe=row.whatsapp_number_id in probes,
            priority=row.priority,
        )
        # UPDATE returns in no order; what is older and more urgent starts first.
        for row in sorted(rows, key=lambda row: (-row.priority, row.id))
    ]


def _lock_paces(number_ids: list[int], settings: Settings) -> Sequence[Any]:
    given = {"numbers": number_ids, "zone": settings.zone}
    paces = db.session.execute(LOCK_PACES, given).all()
    if len(paces) < len(number_ids):
        db.session.execute(ADD_PACES, given)
        paces = db.session.execute(LOCK_PACES, given).all()
    return paces


def _room(ahead_seconds: float, seconds_each: float) -> int:
    """How many messages may start now: a bucket that holds BURST_SECONDS, at least one."""
    if not seconds_each:
        return 1_000_000 if ahead_seconds <= 0 else 0
    ahead = max(ahead_seconds, 0.0)
    if ahead > BURST_SECONDS:
        return 0
    return math.floor((BURST_SECONDS - ahead) / seconds_each) + 1


def mark_submitted(claims: Sequence[Claim], *, settings: Settings) -> list[bool]:
    """Hold the fences and note that the calls begin; commit it before. False: do not call.

    False also where a receipt has meanwhile told that an earlier try did arrive.
    """
    fences = {
        "ids": [claim.queue_id for claim in claims],
        "owners": [str(claim.owner) for claim in claims],
        "attempts": [claim.attempt for claim in claims],
    }
    begun = set(db.session.scalars(SUBMIT, {**fences, "lease": settings.lease_seconds}))
    if len(begun) < len(claims):
        db.session.execute(COMPLETE_TOLD, fences)
    return [claim.queue_id in begun for claim in claims]
