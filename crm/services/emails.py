"""E-mails to people who work here: queued as rows without text, written when they are sent.

No link and no text waits in the database or in a job: the job makes the link, and only its hash is
kept. A request for a new password is a row like any other, for an address that exists or not, so
that asking takes the same time for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, update

from crm.db import db
from crm.doorbell import ring_on_commit
from crm.models import EmailKind, EmailStatus, OutgoingEmail, User
from crm.services.sessions import seconds

MOST_ATTEMPTS = 6
FIRST_RETRY_SECONDS = 30
# A worker that takes a row has it for so long.
LEASE_SECONDS = 120
AT_ONCE = 50


@dataclass(frozen=True)
class Claimed:
    """An e-mail that this worker sends now, as plain values."""

    id: int
    kind: EmailKind
    recipient: str
    user_id: int | None
    attempts: int
    alarm_id: int | None


def queue_email(
    kind: EmailKind,
    user: User | None,
    *,
    recipient: str = "",
    by: int | None = None,
    alarm_id: int | None = None,
) -> OutgoingEmail:
    """Send it soon. `recipient` without a user: somebody who is not signed in asks."""
    row = OutgoingEmail(
        kind=kind,
        user_id=user.id if user else None,
        recipient=user.email if user else recipient[:255],
        created_by=by,
        alarm_id=alarm_id,
    )
    db.session.add(row)
    db.session.flush()
    ring_on_commit("emails.send", row.id)
    return row


def find_due_emails() -> Sequence[int]:
    return db.session.scalars(
        select(OutgoingEmail.id)
        .where(OutgoingEmail.status == EmailStatus.PENDING, OutgoingEmail.due_at <= func.now())
        .order_by(OutgoingEmail.due_at)
        .limit(AT_ONCE)
    ).all()


def claim_email(email_id: int) -> Claimed | None:
    """Take it, if it is due and nobody has it: its due time moves on, and is its lease."""
    row = db.session.execute(
        update(OutgoingEmail)
        .where(
            OutgoingEmail.id == email_id,
            OutgoingEmail.status == EmailStatus.PENDING,
            OutgoingEmail.due_at <= func.now(),
        )
        .values(due_at=func.now() + seconds(LEASE_SECONDS), attempts=OutgoingEmail.attempts + 1)
        .returning(
            OutgoingEmail.id,
            OutgoingEmail.kind,
            OutgoingEmail.recipient,
            OutgoingEmail.user_id,
            OutgoingEmail.attempts,
            OutgoingEmail.alarm_id,
        )
    ).one_or_none()
    return Claimed(*row) if row else None


def find_addressee(claimed: Claimed) -> User | None:
    """Whose it is; None for an address that nobody has, or an account that is not in use."""
    whose = (
        User.id == claimed.user_id
        if claimed.user_id is not None
        else func.lower(User.email) == claimed.recipient.strip().lower()
    )
    user = db.session.scalar(select(User).where(whose, User.deleted_at.is_(None)))
    return user if user is not None and user.is_active else None


def finish_email(email_id: int, status: EmailStatus) -> None:
    _settle(email_id, status=status, sent_at=func.now(), error=None)


def postpone_email(claimed: Claimed, *, error: str) -> None:
    """Try again later, each time later; give up, and say so in the row, after six tries."""
    if claimed.attempts >= MOST_ATTEMPTS:
        _settle(claimed.id, status=EmailStatus.FAILED, error=error[:500])
        return
    pause = FIRST_RETRY_SECONDS * 4 ** (claimed.attempts - 1)
    _settle(claimed.id, due_at=func.now() + seconds(pause), error=error[:500])


def find_trouble(user_id: int) -> OutgoingEmail | None:
    """The person's newest e-mail, if it has not arrived at the mail server."""
    newest = db.session.scalar(
        select(OutgoingEmail)
        .where(OutgoingEmail.user_id == user_id)
        .order_by(OutgoingEmail.id.desc())
        .limit(1)
    )
    return newest if newest is not None and newest.error else None


def _settle(email_id: int, **values: object) -> None:
    db.session.execute(
        update(OutgoingEmail)
        .where(OutgoingEmail.id == email_id, OutgoingEmail.status == EmailStatus.PENDING)
        .values(**values)
    )
