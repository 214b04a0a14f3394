"""An installation without people: the first super administrator, once."""

from __future__ import annotations

import base64
import hashlib
import hmac

from sqlalchemy import func, select, text

from crm.db import db
from crm.errors import Conflict
from crm.models import Role, User
from crm.permissions import SUPER_ADMIN
from crm.services import audit, users
from crm.services.kit import WrongField
from crm.services.passwords import check_new_password, set_password

# Any constant: two who come first take turns.
FIRST_LOCK = 727_002


class NotTheFirst(Conflict):
    code = "not_the_first"
    message = "This installation has people already. Sign in."


def setup_token(secret_key: str) -> str:
    """What the first page asks for, like "M4XQ-7TBA-K2WE-PZ3C": 80 bits.

    Made from the secret key and not stored, so that all processes know the same one. It opens
    nothing any more once there is an account.
    """
    digest = hmac.new(secret_key.encode(), b"charla: first account", hashlib.sha256).digest()
    letters = base64.b32encode(digest[:10]).decode()
    return "-".join(letters[at : at + 4] for at in range(0, 16, 4))


def check_setup_token(written: str, *, secret_key: str) -> None:
    """Whoever comes first on a public host must be who can read its log or run its commands.

    Capitals, blanks and dashes do not count.
    """

    def plain(text: str) -> bytes:
        return "".join(text.upper().replace("-", "").split()).encode()

    if not hmac.compare_digest(plain(written), plain(setup_token(secret_key))):
        raise WrongField(
            "This is not the installation code. The start writes it to the log; "
            "“flask --app wsgi admin setup-token” shows it too.",
            field_name="setup_token",
        )


def is_first_start() -> bool:
    """True while nobody has ever had an account here, deleted ones included."""
    anybody = select(func.count()).select_from(User).where(User.is_system.is_(False))
    return not db.session.scalar(anybody)


def create_first_admin(*, email: str, first_name: str, last_name: str, password: str) -> User:
    """NotTheFirst for all but one, however many ask at once."""
    db.session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": FIRST_LOCK})
    if not is_first_start():
        raise NotTheFirst
    return create_admin(email=email, first_name=first_name, last_name=last_name, password=password)


def create_admin(*, email: str, first_name: str, last_name: str, password: str) -> User:
    """A super administrator; by the first page or by the operator's command."""
    check_new_password(password, None)
    role_id = db.session.scalars(select(Role.id).where(Role.name == SUPER_ADMIN)).one()
    user = users.create_user(
        None, role_id=role_id, email=email, first_name=first_name, last_name=last_name
    )
    set_password(user, password)
    audit.record("users.create", user, after=audit.snapshot(user), user_id=user.id)
    return user
