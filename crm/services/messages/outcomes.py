"""What became of a claimed message that was not taken: again later, failed, or nobody knows.

Every write holds the fence: it finds its row only under the owner and attempt of the claim. The
chat is locked first, as by everything that touches its messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import text

from crm.db import db
from crm.models import MessageStatus
from crm.providers.meta import codes
from crm.providers.outbound import Effect, ProviderError
from crm.services import sending
from crm.services.messages import refusals
from crm.services.messages.announcing import announce_ticks, lock_chats
from crm.services.messages.changes import apply_changes
from crm.services.messages.claims import Claim, Settings
from crm.services.messages.fence import COLUMNS, COUNT_TRIES, END_ROWS, hold_fences
from crm.services.wppconnect.sessions import note_disconnected

log = structlog.get_logger(__name__)

# The last of these was alone (see delivery.SUSPICIOUS): nobody else can have ended that worker.
MOST_CRASHES = 3

WAIT_AGAIN = text("""
    UPDATE message_queue SET
        status = 'pending', owner = NULL, lease_until = NULL, submitted_at = NULL,
        scheduled_at = clock_timestamp() + make_interval(secs => :seconds), last_error = :error,
        retries = retries + :retry, pair_retries = pair_retries + :pair,
        crashes = crashes + :crash, updated_at = now()
    WHERE id = :queue_id
""")

FAIL = text("""
    UPDATE messages SET status = 'failed', failed_at = clock_timestamp(), error_code = :code,
        error_message = :reason, updated_at = now()
    WHERE id = :id
""")

DOUBT = text("""
    UPDATE messages SET status = 'uncertain', error_code = :code, error_message = :reason,
        updated_at = now()
    WHERE id = :id
""")

SLOW_DOWN = text("""
    UPDATE number_pace
    SET free_at = GREATEST(free_at, clock_timestamp() + make_interval(secs => :seconds))
    WHERE whatsapp_number_id = :number_id
""")

FIND_EXPIRED = text("""
    SELECT q.id, q.chat_id FROM message_queue q
    WHERE q.whatsapp_number_id = ANY(CAST(:numbers AS int[])) AND q.status = 'processing'
      AND q.lease_until < clock_timestamp()
    ORDER BY q.id LIMIT 200
""")

LOCK_EXPIRED = text(f"""
    SELECT {COLUMNS} FROM message_queue q JOIN messages m ON m.id = q.message_id
    WHERE q.id = ANY(CAST(:ids AS bigint[])) AND q.status = 'processing'
      AND q.lease_until < clock_timestamp()
    ORDER BY q.id
    FOR NO KEY UPDATE
""")  # noqa: S608

FLAG_UNRESOLVED = text("""
    UPDATE messages m SET error_code = 'unresolved', error_message = :reason, updated_at = now()
    FROM message_queue q
    WHERE q.message_id = m.id AND q.id = ANY(CAST(:ids AS bigint[])) AND q.status = 'uncertain'
      AND m.status = 'uncertain'
    RETURNING m.id, m.chat_id
""")

FIND_UNRESOLVED = text("""
    SELECT q.id, q.chat_id FROM message_queue q JOIN messages m ON m.id = q.message_id
    WHERE q.whatsapp_number_id = ANY(CAST(:numbers AS int[])) AND q.status = 'uncertain'
      AND q.submitted_at < clock_timestamp() - make_interval(secs => :seconds)
      AND m.error_code IS DISTINCT FROM 'unresolved'
    ORDER BY q.id LIMIT 200
""")


def record_error(
    claim: Claim, error: ProviderError, *, settings: Settings, called: bool = True
) -> bool:
    """The provider did not say yes: act by the error's effect. False if the fence is lost.

    `called` tells whether the provider was asked at all (it counts as a try).
    """
    refusals.lock_people([(claim.message_id, error.code)])
    lock_chats([claim.chat_id])
    row = hold_fences([claim]).get(claim.queue_id)
    if row is None:
        return False
    if called:
        db.session.execute(COUNT_TRIES, {"ids": [row.id]})
    _judge_number(claim, error, settings=settings)
    status = MessageStatus(row.status)
    if status not in (MessageStatus.PENDING, MessageStatus.UNCERTAIN):
        # A receipt was faster than this answer, and it knows.
        _end(row, "completed")
    elif status is MessageStatus.UNCERTAIN:
        # Late, and the messages behind it may have left: an ordinary retry would break the order.
        if error.effect is not Effect.UNKNOWN:
            _fail(row, error)
    elif error.effect is Effect.UNKNOWN:
        _doubt(row, error.code, error.reason)
    elif error.effect is Effect.PERMANENT or (
        error.effect is Effect.RETRY and row.retries >= row.max_retries
    ):
        _fail(row, error)
    else:
        _wait_again(row, error, settings=settings)
    return True


def expire_leases(number_ids: Sequence[int]) -> int:
    """Take back rows of these numbers whose worker is gone; returns how many.

    Not yet submitted: waits again. Submitted: nobody knows, so it is uncertain.
    """
    found = db.session.execute(FIND_EXPIRED, {"numbers": list(number_ids)}).all()
    if not found:
        return 0
    lock_chats(row.chat_id for row in found)
    rows = db.session.execute(LOCK_EXPIRED, {"ids": [row.id for row in found]}).all()
    for row in rows:
        log.warning("lease_expired", message_id=row.id, submitted=row.submitted_at is not None)
        if row.status != MessageStatus.PENDING:
            _end(row, "completed")
        elif row.submitted_at is not None and not row.amends:
            _doubt(row, "no_answer", codes.OURS["no_answer"])
        elif row.crashes + 1 >= MOST_CRASHES:
            # It ends its worker each time, it seems: the queue must go on.
            _fail(row, ProviderError(codes.OURS["crashed"], effect=Effect.RETRY, code="crashed"))
        else:
            _again(row, seconds=0, error="lease expired", crash=1)
    return len(rows)


def flag_unresolved(number_ids: Sequence[int], *, settings: Settings) -> int:
    """Ask for a person's eye on outcomes that stay open for long; returns how many."""
    found = db.session.execute(
        FIND_UNRESOLVED, {"numbers": list(number_ids), "seconds": settings.unresolved_seconds}
    ).all()
    if not found:
        return 0
    lock_chats(row.chat_id for row in found)
    rows = db.session.execute(
        FLAG_UNRESOLVED,
        {"ids": [row.id for row in found], "reason": codes.OURS["unresolved"]},
    ).all()
    announce_ticks({row.id: row.chat_id for row in rows})
    return len(rows)


def _end(row: Any, status: str, *, error: str | None = None) -> None:
    db.session.execute(END_ROWS, {"ids": [row.queue_id], "status": status, "error": error})


def _fail(row: Any, error: ProviderError) -> None:
    db.session.execute(FAIL, {"id": row.id, "code": error.code[:50], "reason": error.reason})
    _end(row, "failed", error=f"{error.code} {error.detail}".strip())
    log.info("message_failed", message_id=row.id, code=error.code)
    refusals.heed({row.id: error.code})
    announce_ticks({row.id: row.chat_id})
    if row.amends:
        # The message that it speaks of shows it.
        apply_changes([row.amends])


def _doubt(row: Any, code: str, reason: str) -> None:
    db.session.execute(DOUBT, {"id": row.id, "code": code[:50], "reason": reason})
    _end(row, "uncertain", error=code)
    log.warning("message_uncertain", message_id=row.id, code=code)
    announce_ticks({row.id: row.chat_id})


def _wait_again(row: Any, error: ProviderError, *, settings: Settings) -> None:
    backoff = settings.backoff
    words = f"{error.code} {error.detail}".strip()
    least = error.wait_seconds or 0.0
    if error.effect is Effect.RETRY:
        seconds = max(backoff.retry(row.retries + 1), least)
        _again(row, seconds=seconds, error=words, retry=1)
    elif error.effect is Effect.PAIR:
        _again(row, seconds=max(backoff.pair(row.pair_retries), least), error=words, pair=1)
    else:
        # The number slows down, or is held; the row itself is ready as soon as the number is.
        _again(row, seconds=0, error=words)


def _again(
    row: Any, *, seconds: float, error: str, retry: int = 0, pair: int = 0, crash: int = 0
) -> None:
    db.session.execute(
        WAIT_AGAIN,
        {
            "queue_id": row.queue_id,
            "seconds": seconds,
            "error": error,
            "retry": retry,
            "pair": pair,
            "crash": crash,
        },
    )


def _judge_number(claim: Claim, error: ProviderError, *, settings: Settings) -> None:
    """What the answer says about the whole number."""
    if error.code == "wpp_disconnected":
        note_disconnected(claim.number_id)
    if error.effect is Effect.CHANNEL:
        _hold_number(claim, error, settings=settings)
    elif error.effect is Effect.RATE:
        seconds = max(settings.backoff.rate(), error.wait_seconds or 0.0)
        db.session.execute(SLOW_DOWN, {"number_id": claim.number_id, "seconds": seconds})
    elif claim.is_probe and error.effect in (Effect.PERMANENT, Effect.PAIR):
        # It refused this message, so it listens to the number again.
        sending.release_number(claim.number_id)


def _hold_number(claim: Claim, error: ProviderError, *, settings: Settings) -> None:
    tries = sending.find_hold_tries(claim.number_id) if claim.is_probe else 0
    sending.stop_number(
        claim.number_id,
        code=error.code,
        reason=error.reason,
        seconds=max(settings.backoff.hold(tries), error.wait_seconds or 0.0),
        tries=tries + 1,
    )
