"""Passwords by argon2id, at or above OWASP's floor (19 MiB, two passes, one lane)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

# Verified when there is no account or no password, so that all answers take the same time.
DUMMY_HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1$Y2hhcmxhLWR1bW15LXNhbHQ$"
    "wS4cyZL1v5WvDkzGRIvdG3E0gE6Yz3JHRQo1wjO2zVY"
)
# Each hash takes 19 MiB and a core: a flood of sign-ins must not take all of either.
HASHES_AT_ONCE = 4
PATIENCE_SECONDS = 5.0

_turns = threading.BoundedSemaphore(HASHES_AT_ONCE)


class Overloaded(Exception):
    """Too many hashes are being computed in this process; trying again later is right."""


def hash_password(password: str) -> str:
    """Raises Overloaded like `verify_password`."""
    with _turn():
        return _hasher.hash(password)


def verify_password(password: str, password_hash: str) -> bool:
    """True if it fits; what is no hash (nobody has chosen a password yet) fits nothing.

    That answer takes as long as the others. Overloaded after waiting for a turn.
    """
    with _turn():
        try:
            return _hasher.verify(password_hash, password)
        except VerificationError:
            return False
        except InvalidHashError:
            with contextlib.suppress(VerificationError):
                _hasher.verify(DUMMY_HASH, password)
            return False


def needs_rehash(password_hash: str) -> bool:
    """True if it was made with weaker settings than today's."""
    return _hasher.check_needs_rehash(password_hash)


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=PATIENCE_SECONDS):
        raise Overloaded
    try:
        yield
    finally:
        _turns.release()
