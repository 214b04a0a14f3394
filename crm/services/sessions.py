"""Sign-in sessions: rows that can be listed and ended, found by the hash of a random token.

A session counts as signed in only when it is whole: the second factor given where the person has
one, and set up where their role demands one. A session that is not whole opens nothing but the
pages for that, so no other door has to ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Function, Row, and_, case, func, not_, or_, select, update

from crm.db import db
from crm.events import AccessChanged, Audience, publish_on_commit
from crm.lib.crypto import hash_token, new_token
from crm.models import Role, User, UserSession, UserStatus

# A request notes that its session is in use once in this time, not each time.
TOUCH_SECONDS = 60
# A password without its second factor is worth so long.
PENDING_SECONDS = 600


class Stage(StrEnum):
    """What a session still lacks."""

    WHOLE = "whole"
    CODE = "code"
    SETUP = "setup"


@dataclass(frozen=True)
class LiveSession:
    """A session that counts, and whose it is. `is_stale`: its activity should be noted again."""

    id: int
    user: User
    is_stale: bool
    stage: Stage


def open_session(
    user: User, *, device: str, address: str, absolute_seconds: int, two_factor: bool = False
) -> str:
    """A new session for `user`; returns the token for the cookie. Only its hash is stored.

    `two_factor`: the second factor has just been given.
    """
    token = new_token()
    db.session.add(
        UserSession(
            user_id=user.id,
            token=hash_token(token),
            device_info=device[:500],
            ip_address=address[:50],
            expires_at=func.now() + seconds(absolute_seconds),
            two_factor_at=func.now() if two_factor else None,
        )
    )
    return token


def find_session(token: str, *, idle_seconds: int) -> LiveSession | None:
    """The live session of this token; None if it ended, idled out or was revoked."""
    lacks = case(
        (lacks_code(), Stage.CODE.value), (lacks_setup(), Stage.SETUP.value), else_="whole"
    )
    row = db.session.execute(
        select(
            UserSession.id,
            User,
            UserSession.last_activity_at < func.now() - seconds(TOUCH_SECONDS),
            lacks,
        )
        .join(User, User.id == UserSession.user_id)
        .join(Role, Role.id == User.role_id)
        .where(UserSession.token == hash_token(token), is_alive(idle_seconds))
    ).one_or_none()
    return LiveSession(row[0], row[1], row[2], Stage(row[3])) if row else None


def is_alive(idle_seconds: int) -> ColumnElement[bool]:
    """The SQL criterion on UserSession joined with User; by the database's clock."""
    return (
        UserSession.revoked_at.is_(None)
        & (UserSession.expires_at > func.now())
        & (UserSession.last_activity_at > func.now() - seconds(idle_seconds))
        & (User.status == UserStatus.ACTIVE)
        & User.deleted_at.is_(None)
    )


def lacks_code() -> ColumnElement[bool]:
    """On UserSession joined with User: their second factor was not given here."""
    return and_(User.two_factor_enabled.is_(True), UserSession.two_factor_at.is_(None))


def lacks_setup() -> ColumnElement[bool]:
    """On User joined with Role: a second factor is demanded, and there is none."""
    return and_(Role.requires_two_factor.is_(True), User.two_factor_enabled.is_(False))


def find_live_sessions(session_ids: list[int], *, idle_seconds: int) -> set[int]:
    """Which of these sessions are still alive and whole; one query for a process's sockets."""
    return set(
        db.session.scalars(
            select(UserSession.id)
            .join(User, User.id == UserSession.user_id)
            .join(Role, Role.id == User.role_id)
            .where(
                UserSession.id.in_(session_ids),
                is_alive(idle_seconds),
                not_(or_(lacks_code(), lacks_setup())),
            )
        )
    )


def touch_sessions(session_ids: list[int]) -> None:
    """Note that they are in use: by a request, or by a visible tab (a shift without a click)."""
    db.session.execute(
        update(UserSession)
        .where(UserSession.id.in_(session_ids), UserSession.revoked_at.is_(None))
        .values(last_activity_at=func.now())
    )


def rotate_session(session_id: int) -> str:
    """A new token for the same session, whose person has just given their second factor.

    The row stays, and with it the page's own socket: a page that is shown once must not be
    followed by one that says the session is over.
    """
    token = new_token()
    db.session.execute(
        update(UserSession)
        .where(UserSession.id == session_id, UserSession.revoked_at.is_(None))
        .values(token=hash_token(token), two_factor_at=func.now())
    )
    return token


def revoke_session(token: str) -> None:
    """End the session of this token; nothing happens where it has ended."""
    db.session.execute(
        update(UserSession)
        .where(UserSession.token == hash_token(token), UserSession.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )


def revoke_sessions(
    user_id: int, *, only: int | None = None, except_id: int | None = None
) -> list[int]:
    """End a person's sessions: all, `only` one of them, or all but `except_id`; their ids.

    Open sockets of theirs look again at once.
    """
    wanted = [UserSession.user_id == user_id, UserSession.revoked_at.is_(None)]
    wanted.append(UserSession.expires_at > func.now())
    if only is not None:
        wanted.append(UserSession.id == only)
    if except_id is not None:
        wanted.append(UserSession.id != except_id)
    ended = list(
        db.session.scalars(
            update(UserSession)
            .where(*wanted)
            .values(revoked_at=func.now())
            .returning(UserSession.id)
        )
    )
    if ended:
        publish_access_changed(user_id)
    return ended


def publish_access_changed(user_id: int) -> None:
    """A person's rights or sessions changed: their open pages look again."""
    publish_on_commit(AccessChanged(user_id), Audience(user_ids=(user_id,)))


def list_live_sessions(
    *, idle_seconds: int, user_id: int | None = None, limit: int = 200
) -> Sequence[Row]:
    """(session, user) of open sessions, one person's or everybody's, most recent use first."""
    query = (
        select(UserSession, User)
        .join(User, User.id == UserSession.user_id)
        .where(is_alive(idle_seconds))
        .order_by(UserSession.last_activity_at.desc(), UserSession.id.desc())
        .limit(limit)
    )
    if user_id is not None:
        query = query.where(UserSession.user_id == user_id)
    return db.session.execute(query).all()


def seconds(value: float) -> Function:
    """An SQL interval of so many seconds."""
    # By position (years, months, weeks, days, hours, minutes, seconds): SQLAlchemy's functions know
    # no named arguments, and two text() pieces with a parameter of one name would share its value.
    return func.make_interval(0, 0, 0, 0, 0, 0, value)
