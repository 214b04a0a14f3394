"""Who signs in: the account behind an e-mail and a password, and the browsers it is used from."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from crm.db import db
from crm.errors import Invalid, Unavailable
from crm.lib import passwords
from crm.lib.crypto import hash_token
from crm.lib.text import clean
from crm.models import AttemptKind, KnownDevice, LoginAttempt, User
from crm.services.attempts import Turn, forgive, network_of, take_turns, turn_of


class LoginRefused(Invalid):
    """One answer for an unknown address, a wrong password and a closed account."""

    code = "login_refused"
    message = "The e-mail or the password is not right."


class Busy(Unavailable):
    message = "Many people are signing in right now. Try again in a few seconds."


def begin_attempt(email: str, *, address: str, device: str | None) -> list[Turn]:
    """Count the try before it is made, see `attempts`; TooManyAttempts where it has to wait.

    `device` is the browser's cookie. From a browser that has signed in to this very account only
    the browser's own tries count: a stranger's cannot slow it down.
    """
    account, network = folded(email), network_of(address)
    if device and _is_known(email, device):
        turns = [turn_of(AttemptKind.DEVICE, account, hash_token(device))]
    else:
        turns = [
            turn_of(AttemptKind.NETWORK, network),
            turn_of(AttemptKind.ORIGIN, account, network),
            turn_of(AttemptKind.ACCOUNT, account),
        ]
    take_turns(turns)
    return turns


def authenticate(email: str, password: str, *, turns: Sequence[Turn]) -> User:
    """The user with this address and password; the try is no longer counted.

    Raises LoginRefused, after the same work and with the same words whether the account exists or
    not. Raises the hash to today's settings.
    """
    user = find_by_email(email)
    fits = verify(password, user.password_hash if user else passwords.DUMMY_HASH)
    if user is None or not fits or not user.is_active:
        raise LoginRefused
    if passwords.needs_rehash(user.password_hash):
        user.password_hash = passwords.hash_password(password)
    forgive(turns)
    user.failed_login_attempts = 0
    user.locked_until = None
    user.last_login_at = func.now()
    db.session.flush()
    return user


def verify(password: str, password_hash: str) -> bool:
    try:
        return passwords.verify_password(password, password_hash)
    except passwords.Overloaded as error:
        raise Busy from error


def record_failure(email: str, turns: Sequence[Turn]) -> int | None:
    """Show a refusal on the account, if there is one; returns its id.

    The counts that decide are in `login_attempts`; these columns tell the people who look after
    accounts that somebody is guessing.
    """
    blocked = [
        db.session.scalar(
            select(LoginAttempt.blocked_until).where(
                LoginAttempt.kind == kind,
                LoginAttempt.key == key,
                LoginAttempt.blocked_until > func.clock_timestamp(),
            )
        )
        for kind, key in turns
        if kind is not AttemptKind.NETWORK
    ]
    return db.session.scalar(
        update(User)
        .where(has_email(email))
        .values(
            failed_login_attempts=User.failed_login_attempts + 1,
            locked_until=max((at for at in blocked if at), default=None),
        )
        .returning(User.id)
    )


def remember_device(user: User, device: str) -> None:
    """Know this browser from now on."""
    row = insert(KnownDevice).values(user_id=user.id, token=hash_token(device))
    db.session.execute(
        row.on_conflict_do_update(
            index_elements=["user_id", "token"], set_={"last_used_at": func.now()}
        )
    )


def forget_devices(user_id: int) -> None:
    """After a change of password every browser is a stranger again."""
    db.session.execute(delete(KnownDevice).where(KnownDevice.user_id == user_id))


def find_by_email(email: str) -> User | None:
    return db.session.scalar(select(User).where(has_email(email)))


def has_email(email: str) -> ColumnElement[bool]:
    """The SQL criterion on User; case and surrounding blanks do not count."""
    return (func.lower(User.email) == folded(email)) & User.deleted_at.is_(None)


def folded(email: str) -> str:
    return clean(email).strip().lower()


def _is_known(email: str, device: str) -> bool:
    known = (
        select(KnownDevice.id)
        .join(User, User.id == KnownDevice.user_id)
        .where(KnownDevice.token == hash_token(device), has_email(email))
    )
    return db.session.scalar(known) is not None
