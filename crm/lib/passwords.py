"""Passwords by argon2id, at or above OWASP's floor (19 MiB, two passes, one lane)."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

# Verified when the account does not exist, so that both answers take the same time.
DUMMY_HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1$Y2hhcmxhLWR1bW15LXNhbHQ$"
    "wS4cyZL1v5WvDkzGRIvdG3E0gE6Yz3JHRQo1wjO2zVY"
)


def hash_password(password: str) -> str:
    return _hasher.hash(password)


def verify_password(password: str, password_hash: str) -> bool:
    """True if it fits; a malformed hash fits nothing."""
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(password_hash: str) -> bool:
    """True if it was made with weaker settings than today's."""
    return _hasher.check_needs_rehash(password_hash)
