"""Rows that have had their time: what is removed, and after how long."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, delete, func, select, text
from sqlalchemy.orm import InstrumentedAttribute

from crm.db import db
from crm.models import (
    AccountLink,
    EarlyReceipt,
    KnownDevice,
    LoginAttempt,
    OutgoingEmail,
    ScheduledRun,
    UserSession,
)

ROWS_AT_ONCE = 1000
# Longer than any provider repeats a status.
EARLY_RECEIPT_DAYS = 7
# Two weeks of evidence that the clock ran.
SCHEDULED_RUN_DAYS = 14
# Ended sessions stay this long in a person's own list of sign-ins.
ENDED_SESSION_DAYS = 30
# Longer than any wait and any count of failures.
LOGIN_ATTEMPT_DAYS = 1
# As long as the cookie that makes a browser known, and some.
KNOWN_DEVICE_DAYS = 400
ENDED_LINK_DAYS = 30
SENT_EMAIL_DAYS = 90


def remove_early_receipts() -> int:
    """Statuses that waited for a message which never came. Returns the number of rows."""
    return _remove(
        EarlyReceipt, EarlyReceipt.id, older(EarlyReceipt.received_at, EARLY_RECEIPT_DAYS)
    )


def remove_scheduled_runs() -> int:
    return _remove(
        ScheduledRun, ScheduledRun.id, older(ScheduledRun.started_at, SCHEDULED_RUN_DAYS)
    )


def remove_ended_sessions() -> int:
    return _remove(UserSession, UserSession.id, older(UserSession.expires_at, ENDED_SESSION_DAYS))


def remove_login_attempts() -> int:
    # The key is a hash of the kind too: no two rows share it.
    return _remove(LoginAttempt, LoginAttempt.key, older(LoginAttempt.last_at, LOGIN_ATTEMPT_DAYS))


def remove_known_devices() -> int:
    return _remove(KnownDevice, KnownDevice.id, older(KnownDevice.last_used_at, KNOWN_DEVICE_DAYS))


def remove_ended_links() -> int:
    return _remove(AccountLink, AccountLink.id, older(AccountLink.expires_at, ENDED_LINK_DAYS))


def remove_sent_emails() -> int:
    return _remove(
        OutgoingEmail, OutgoingEmail.id, older(OutgoingEmail.created_at, SENT_EMAIL_DAYS)
    )


REMOVALS: tuple[Callable[[], int], ...] = (
    remove_early_receipts,
    remove_scheduled_runs,
    remove_ended_sessions,
    remove_login_attempts,
    remove_known_devices,
    remove_ended_links,
    remove_sent_emails,
)


def older(moment: InstrumentedAttribute, days: int) -> ColumnElement[bool]:
    return moment < func.now() - text(f"interval '{days} days'")


def _remove(model: type, key: InstrumentedAttribute, condition: ColumnElement[bool]) -> int:
    some = select(key).where(condition).limit(ROWS_AT_ONCE)
    return db.session.execute(delete(model).where(key.in_(some))).rowcount  # type: ignore[attr-defined]
