"""May a number send? Stopped by the provider, paused by a person, and how both end.

A number that its provider refuses (token, account, billing) is stopped: its rows stay in the queue,
nothing fails, an alarm tells who can mend it. From time to time one message tries (its probe); it
is tried at once when somebody saves a new token or presses *Resume*. A pause is a person's: nothing
of the number leaves until a person ends it, and messages can be written meanwhile.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import func, select, text

from crm.db import database_now, db
from crm.doorbell import ring_on_commit
from crm.models import (
    Alarm,
    AlarmKind,
    NumberStatus,
    Provider,
    QueuedMessage,
    QueueStatus,
    WhatsappNumber,
)
from crm.services.alarms import end_alarm, raise_alarm

log = structlog.get_logger(__name__)

STOP = text("""
    UPDATE whatsapp_numbers SET status = 'error', last_error = :reason, updated_at = now()
    WHERE id = :number_id AND status IN ('active', 'error')
    RETURNING provider
""")

HOLD = text("""
    INSERT INTO number_pace (whatsapp_number_id, held_until, hold_tries)
    VALUES (:number_id, clock_timestamp() + make_interval(secs => :seconds), :tries)
    ON CONFLICT (whatsapp_number_id) DO UPDATE
    SET held_until = excluded.held_until, hold_tries = excluded.hold_tries
""")

HOLD_TRIES = text("SELECT hold_tries FROM number_pace WHERE whatsapp_number_id = :number_id")

RELEASE = text("""
    UPDATE whatsapp_numbers SET status = 'active', last_error = NULL, updated_at = now()
    WHERE id = :number_id AND status = 'error'
""")

FREE = text("""
    UPDATE number_pace SET held_until = NULL, hold_tries = 0 WHERE whatsapp_number_id = :number_id
""")

# The next message is the probe, now.
TRY_NOW = text("""
    UPDATE number_pace SET held_until = clock_timestamp(), hold_tries = 0
    WHERE whatsapp_number_id = :number_id AND held_until IS NOT NULL
""")

# The provider's codes (and ours) -> the alarm that says what to do. All others: it is refused.
ALARMS: dict[str, AlarmKind] = {
    **dict.fromkeys(
        ("0", "190", "http_401", "no_token", "token_unreadable"), AlarmKind.TOKEN_EXPIRED
    ),
    **dict.fromkeys(("368", "131031", "131048", "131064"), AlarmKind.ACCOUNT_RESTRICTED),
    **dict.fromkeys(("131042", "131044"), AlarmKind.NUMBER_UNPAID),
}
KINDS = (
    AlarmKind.TOKEN_EXPIRED,
    AlarmKind.ACCOUNT_RESTRICTED,
    AlarmKind.NUMBER_UNPAID,
    AlarmKind.NUMBER_REFUSED,
)
# Their lost session has an alarm of its own, which follows the phone.
SILENT = frozenset({"wpp_disconnected"})


def state_of(number: WhatsappNumber) -> dict[str, Any]:
    """Whether a person has paused it; the moment as text, as the trail keeps it."""
    since = number.sending_paused_at
    return {
        "sending_paused": since is not None,
        "sending_paused_at": since.isoformat() if since else None,
        "sending_paused_by": number.sending_paused_by,
    }


def pause_sending(number: WhatsappNumber, *, by: int, since: datetime | None = None) -> None:
    """Nothing leaves from this number any more; what is queued waits. Harmless when repeated.

    What is at the provider's door at this moment still goes. `since` brings an old pause back.
    """
    if number.sending_paused_at is None:
        number.sending_paused_at = since or database_now()
        number.sending_paused_by = by
        db.session.flush()
        log.info("sending_paused", number_id=number.id, user_id=by)


def resume_sending(number: WhatsappNumber) -> None:
    """End the pause, and let a number that was refused try again at once."""
    number.sending_paused_at = number.sending_paused_by = None
    db.session.flush()
    if number.status is NumberStatus.ACTIVE:
        # Told by statuses alone; a number that is stopped proves itself by its next message.
        _end_alarms(number.id)
    try_again(number.id)


def try_again(number_id: int) -> None:
    """Something was mended (a new token, a word of the provider): the next message tries now."""
    db.session.execute(TRY_NOW, {"number_id": number_id})
    ring_on_commit("messages.deliver", number_id)


def stop_number(number_id: int, *, code: str, reason: str, seconds: float, tries: int) -> None:
    """The provider refuses the number: stop it, and try again with one message in `seconds`."""
    provider = db.session.scalar(STOP, {"number_id": number_id, "reason": reason})
    db.session.execute(HOLD, {"number_id": number_id, "seconds": seconds, "tries": tries})
    log.error("number_refused", number_id=number_id, code=code, tries=tries)
    if provider is None or (provider == Provider.WPPCONNECT and code in SILENT):
        return
    raise_number_alarm(number_id, code=code, reason=reason)


def raise_number_alarm(number_id: int, *, code: str, reason: str) -> None:
    """Tell who looks after the number what its provider said, and what to do."""
    kind = ALARMS.get(code, AlarmKind.NUMBER_REFUSED)
    facts = {"reason": reason, "code": code, "number_id": number_id}
    raise_alarm(kind, subject=str(number_id), number_id=number_id, facts=facts)


def find_hold_tries(number_id: int) -> int:
    """How often the stopped number has been tried in vain."""
    return db.session.scalar(HOLD_TRIES, {"number_id": number_id}) or 0


def release_number(number_id: int) -> None:
    """The provider took a message: the number works, and its alarms are over."""
    db.session.execute(RELEASE, {"number_id": number_id})
    db.session.execute(FREE, {"number_id": number_id})
    log.info("number_works_again", number_id=number_id)
    _end_alarms(number_id)
    ring_on_commit("messages.deliver", number_id)


def note_token_works(number_id: int) -> None:
    """The provider answered a question with this token: a number that was stopped for it goes on.

    Without this it would be called stopped until somebody happens to write to a customer.
    """
    if not end_alarm(AlarmKind.TOKEN_EXPIRED, subject=str(number_id)):
        return
    others = select(Alarm.id).where(
        Alarm.subject == str(number_id), Alarm.kind.in_(KINDS), Alarm.ended_at.is_(None)
    )
    if db.session.scalar(others.limit(1)) is None:
        release_number(number_id)


def _end_alarms(number_id: int) -> None:
    for kind in KINDS:
        end_alarm(kind, subject=str(number_id))


def count_waiting(number_id: int) -> int:
    """Messages of the number that wait to leave, for whoever is about to pause or resume it."""
    waiting = select(func.count(QueuedMessage.id)).where(
        QueuedMessage.whatsapp_number_id == number_id,
        QueuedMessage.status == QueueStatus.PENDING,
    )
    return db.session.scalar(waiting) or 0
