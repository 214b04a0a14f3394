"""Secrets at rest and tokens in transit.

Provider tokens and app secrets are kept as Fernet text (AES-128-CBC with HMAC-SHA256). The first
key encrypts, all decrypt, so that keys rotate by being put in front.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class DecryptionError(Exception):
    """None of the keys opens this text: a key is missing from CRM_ENCRYPTION_KEYS."""


def encrypt(text: str, keys: Sequence[str]) -> str:
    """Encrypt with the first of `keys`; the result is ASCII text."""
    return _fernet(keys).encrypt(text.encode()).decode("ascii")


def decrypt(ciphertext: str, keys: Sequence[str]) -> str:
    """The plain text; DecryptionError where no key fits or the text was changed."""
    try:
        return _fernet(keys).decrypt(ciphertext.encode("ascii")).decode()
    except (InvalidToken, UnicodeError) as error:
        raise DecryptionError(
            "a stored secret cannot be opened with the keys of CRM_ENCRYPTION_KEYS"
        ) from error


def new_token() -> str:
    """256 random bits, url-safe."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """What is stored instead of a random token: SHA-256 as hex. Not for passwords."""
    return hashlib.sha256(token.encode()).hexdigest()


def same(left: str, right: str) -> bool:
    """Compare in constant time; any unicode is allowed."""
    return hmac.compare_digest(left.encode("utf-8", "replace"), right.encode("utf-8", "replace"))


def _fernet(keys: Sequence[str]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])
