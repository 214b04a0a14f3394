"""People: who they are when they sign in."""

from sqlalchemy import ColumnElement, func, select, update

from crm.db import db
from crm.errors import Invalid
from crm.lib import passwords
from crm.lib.text import clean
from crm.models import User, UserStatus


class LoginRefused(Invalid):
    """One answer for an unknown address, a wrong password and a closed account."""

    code = "login_refused"
    message = "The e-mail or the password is not right."


def authenticate(email: str, password: str) -> User:
    """The user with this address and password.

    Raises LoginRefused, after the same work and with the same words whether the account exists or
    not. Counts failures and clears them; raises the hash to today's settings.
    """
    user = find_by_email(email)
    fits = passwords.verify_password(password, user.password_hash if user else passwords.DUMMY_HASH)
    if user is None or not fits or user.status != UserStatus.ACTIVE or user.is_system:
        raise LoginRefused
    if passwords.needs_rehash(user.password_hash):
        user.password_hash = passwords.hash_password(password)
    user.failed_login_attempts = 0
    user.last_login_at = func.now()
    db.session.flush()
    return user


def record_failed_login(email: str) -> None:
    """Count a refusal on the account, if there is one; the refusal itself was rolled back."""
    db.session.execute(
        update(User)
        .where(has_email(email))
        .values(failed_login_attempts=User.failed_login_attempts + 1)
    )


def find_by_email(email: str) -> User | None:
    return db.session.scalar(select(User).where(has_email(email)))


def has_email(email: str) -> ColumnElement[bool]:
    """The SQL criterion on User; case and surrounding blanks do not count."""
    return (func.lower(User.email) == clean(email).strip().lower()) & User.deleted_at.is_(None)
