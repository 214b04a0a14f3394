"""A person's password: which ones are good enough, setting one, proving that one knows it."""

from __future__ import annotations

from crm.db import db
from crm.errors import Invalid
from crm.lib import passwords
from crm.lib.common_passwords import is_common
from crm.lib.text import fold
from crm.models import AttemptKind, EmailKind, User
from crm.services import audit, emails, sessions, sign_in
from crm.services.attempts import forgive, take_turns, turn_of
from crm.services.kit import WrongField

SHORTEST = 10
LONGEST = 200
# No hash is this: an account that nobody has set a password for cannot be signed in to.
NO_PASSWORD = "!"  # noqa: S105


class WrongPassword(Invalid):
    code = "wrong_password"
    message = "The password is not right."


def check_new_password(password: str, user: User | None, *, field: str = "password") -> None:
    """Raise WrongField for one that is too short, well known, or says whose it is."""
    if len(password) < SHORTEST:
        raise WrongField(
            "Use at least 10 characters; a few words are easy to remember.", field_name=field
        )
    if len(password) > LONGEST:
        raise WrongField("Use at most 200 characters.", field_name=field)
    if is_common(password):
        raise WrongField(
            "Many people use this one, so it is guessed first. Choose another.", field_name=field
        )
    own = fold(user.email.partition("@")[0]) if user else ""
    if len(own) > 3 and own in fold(password):
        raise WrongField(
            "It contains your e-mail, so it is guessed first. Choose another.", field_name=field
        )


def set_password(user: User, password: str, *, keep_session: int | None = None) -> None:
    """Set it, end the person's other sessions, and let no browser count as known any more."""
    check_new_password(password, user)
    try:
        user.password_hash = passwords.hash_password(password)
    except passwords.Overloaded as error:
        raise sign_in.Busy from error
    user.failed_login_attempts = 0
    user.locked_until = None
    db.session.flush()
    sessions.revoke_sessions(user.id, except_id=keep_session)
    sign_in.forget_devices(user.id)


def change_password(user: User, *, new: str, session_id: int) -> None:
    """By the person, who has just proved the current one; this session stays, the others end."""
    set_password(user, new, keep_session=session_id)
    audit.record("users.change_password", user)
    emails.queue_email(EmailKind.PASSWORD_CHANGED, user)


def count_confirmation(user_id: int) -> None:
    """Count one try to prove a password or a code, as at the login: a session may be a thief's.

    In a transaction of its own, before the try.
    """
    take_turns([turn_of(AttemptKind.CODE, user_id)])


def confirm_password(user: User, password: str) -> None:
    """Before something that could shut the person out; WrongPassword. See count_confirmation."""
    if not sign_in.verify(password, user.password_hash):
        raise WrongPassword
    forgive([turn_of(AttemptKind.CODE, user.id)])
