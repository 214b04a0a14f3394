"""The second factor: a code of the moment from the person's phone, or one of ten written down.

The secret is kept encrypted, the written codes as hashes. Each code counts once, also for two
requests at the same moment: a conditional UPDATE decides who was first.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import pyotp
from sqlalchemy import delete, func, or_, select, update

from crm.db import database_now, db
from crm.errors import Conflict, Invalid
from crm.lib.crypto import decrypt, encrypt, hash_token, same
from crm.models import AttemptKind, BackupCode, EmailKind, User
from crm.services import audit, emails, sessions
from crm.services.attempts import forgive, turn_of

ISSUER = "Charla"
STEP_SECONDS = 30
# One step to either side: phones' clocks are off by some seconds. A written deviation from codes
# that live thirty seconds at most; the step before counts once, like any.
STEPS_AROUND = (0, -1, 1)
BACKUP_CODES = 10
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


class WrongCode(Invalid):
    code = "wrong_code"
    message = "This code is not right, or it was used already. Wait for the next one."


class SecondFactorDemanded(Conflict):
    code = "second_factor_demanded"
    message = "Your role demands a second factor; it can be renewed but not taken away."


def begin_setup(user: User, *, keys: Sequence[str]) -> str:
    """The secret to be shown as a QR; the same one until it is confirmed, so a reload changes
    nothing. Conflict where a second factor is in use."""
    if user.two_factor_enabled:
        raise Conflict
    if user.two_factor_secret is None:
        user.two_factor_secret = encrypt(pyotp.random_base32(), keys)
        db.session.flush()
    return decrypt(user.two_factor_secret, keys)


def address_of(user: User, secret: str) -> str:
    """What the QR says: `otpauth://totp/...`."""
    return pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=ISSUER)


def finish_setup(
    user: User, code: str, *, keys: Sequence[str], keep_session: int | None = None
) -> list[str]:
    """The phone shows the right code: in use from now on. Returns the ten written codes.

    Other sessions end: they have never given it.
    """
    if user.two_factor_enabled or user.two_factor_secret is None:
        raise Conflict
    if not _take_step(user, code, keys=keys):
        raise WrongCode
    user.two_factor_enabled = True
    codes = renew_backup_codes(user)
    forgive([turn_of(AttemptKind.CODE, user.id)])
    sessions.revoke_sessions(user.id, except_id=keep_session)
    audit.record("users.two_factor_on", user, user_id=user.id)
    emails.queue_email(EmailKind.TWO_FACTOR_CHANGED, user)
    return codes


def give_code(user: User, code: str, *, keys: Sequence[str]) -> str:
    """Take a code of the phone or a written one; which ("totp", "backup"). WrongCode otherwise.

    The try is counted by the door beforehand (`passwords.count_confirmation`).
    """
    if _take_step(user, code, keys=keys):
        kind = "totp"
    elif _take_backup_code(user, code):
        kind = "backup"
    else:
        raise WrongCode
    forgive([turn_of(AttemptKind.CODE, user.id)])
    return kind


def switch_off(user: User, *, demanded: bool) -> None:
    """By the person, after password and code."""
    if demanded:
        raise SecondFactorDemanded
    _forget(user)
    audit.record("users.two_factor_off", user)
    emails.queue_email(EmailKind.TWO_FACTOR_CHANGED, user)


def reset_second_factor(user: User, *, reason: str | None = None) -> None:
    """By an admin, for somebody who has lost phone and codes; they set it up anew."""
    _forget(user)
    sessions.revoke_sessions(user.id)
    audit.record("users.two_factor_reset", user, reason=reason)
    emails.queue_email(EmailKind.TWO_FACTOR_CHANGED, user)


def renew_backup_codes(user: User) -> list[str]:
    """Ten new ones in the place of all earlier ones; shown once, kept as hashes."""
    db.session.execute(delete(BackupCode).where(BackupCode.user_id == user.id))
    codes = ["-".join(_letters(4) for _ in range(4)) for _ in range(BACKUP_CODES)]
    db.session.add_all(BackupCode(user_id=user.id, code=_hash(user.id, code)) for code in codes)
    db.session.flush()
    return codes


def count_backup_codes(user_id: int) -> int:
    left = select(func.count()).where(BackupCode.user_id == user_id, BackupCode.used_at.is_(None))
    return db.session.scalar(left) or 0


def _take_step(user: User, code: str, *, keys: Sequence[str]) -> bool:
    digits = "".join(code.split())
    if user.two_factor_secret is None or not (digits.isascii() and digits.isdigit()):
        return False
    generator = pyotp.TOTP(decrypt(user.two_factor_secret, keys), interval=STEP_SECONDS)
    now = int(database_now().timestamp()) // STEP_SECONDS
    for step in (now + offset for offset in STEPS_AROUND):
        if same(generator.generate_otp(step), digits):
            return _is_first(user.id, step)
    return False


def _is_first(user_id: int, step: int) -> bool:
    taken = db.session.execute(
        update(User)
        .where(
            User.id == user_id,
            or_(User.last_two_factor_step.is_(None), User.last_two_factor_step < step),
        )
        .values(last_two_factor_step=step)
        .returning(User.id)
    )
    return taken.one_or_none() is not None


def _take_backup_code(user: User, code: str) -> bool:
    letters = "".join(char for char in code.lower() if char.isalnum())
    grouped = "-".join(letters[start : start + 4] for start in range(0, len(letters), 4))
    taken = db.session.execute(
        update(BackupCode)
        .where(
            BackupCode.user_id == user.id,
            BackupCode.code == _hash(user.id, grouped),
            BackupCode.used_at.is_(None),
        )
        .values(used_at=func.now())
        .returning(BackupCode.id)
    )
    return taken.one_or_none() is not None


def _forget(user: User) -> None:
    user.two_factor_enabled = False
    user.two_factor_secret = None
    user.last_two_factor_step = None
    db.session.execute(delete(BackupCode).where(BackupCode.user_id == user.id))
    db.session.flush()


def _letters(count: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(count))


def _hash(user_id: int, code: str) -> str:
    # Sixteen of thirty-one letters: 79 random bits need no slow hash.
    return hash_token(f"{user_id}|{code}")
