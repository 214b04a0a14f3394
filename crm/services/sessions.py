"""Sign-in sessions: rows that can be listed and ended, found by the hash of a random token."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Function, func, select, update

from crm.db import db
from crm.lib.crypto import hash_token, new_token
from crm.models import User, UserSession, UserStatus

# A request notes that its session is in use once in this time, not each time.
TOUCH_SECONDS = 60


def open_session(user: User, *, device: str, address: str, absolute_seconds: int) -> str:
    """A new session for `user`; returns the token for the cookie. Only its hash is stored."""
    token = new_token()
    db.session.add(
        UserSession(
            user_id=user.id,
            token=hash_token(token),
            device_info=device[:500],
            ip_address=address[:50],
            expires_at=func.now() + seconds(absolute_seconds),
        )
    )
    return token


@dataclass(frozen=True)
class LiveSession:
    """A session that counts, and whose it is. `is_stale`: its activity should be noted again."""

    id: int
    user: User
    is_stale: bool


def find_session(token: str, *, idle_seconds: int) -> LiveSession | None:
    """The live session of this token; None if it ended, idled out or was revoked."""
    row = db.session.execute(
        select(
            UserSession.id,
            User,
            UserSession.last_activity_at < func.now() - seconds(TOUCH_SECONDS),
        )
        .join(User, User.id == UserSession.user_id)
        .where(UserSession.token == hash_token(token), is_alive(idle_seconds))
    ).one_or_none()
    return LiveSession(*row) if row else None


def is_alive(idle_seconds: int) -> ColumnElement[bool]:
    """The SQL criterion on UserSession joined with User; by the database's clock."""
    return (
        UserSession.revoked_at.is_(None)
        & (UserSession.expires_at > func.now())
        & (UserSession.last_activity_at > func.now() - seconds(idle_seconds))
        & (User.status == UserStatus.ACTIVE)
        & User.deleted_at.is_(None)
    )


def find_live_sessions(session_ids: list[int], *, idle_seconds: int) -> set[int]:
    """Which of these sessions are still alive; one query for all sockets of a process."""
    return set(
        db.session.scalars(
            select(UserSession.id)
            .join(User, User.id == UserSession.user_id)
            .where(UserSession.id.in_(session_ids), is_alive(idle_seconds))
        )
    )


def touch_sessions(session_ids: list[int]) -> None:
    """Note that they are in use: by a request, or by a visible tab (a shift without a click)."""
    db.session.execute(
        update(UserSession)
        .where(UserSession.id.in_(session_ids), UserSession.revoked_at.is_(None))
        .values(last_activity_at=func.now())
    )


def revoke_session(token: str) -> None:
    """End the session of this token; nothing happens where it has ended."""
    db.session.execute(
        update(UserSession)
        .where(UserSession.token == hash_token(token), UserSession.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )


def seconds(value: float) -> Function:
    """An SQL interval of so many seconds."""
    # By position (years, months, weeks, days, hours, minutes, seconds): SQLAlchemy's functions know
    # no named arguments, and two text() pieces with a parameter of one name would share its value.
    return func.make_interval(0, 0, 0, 0, 0, 0, value)
