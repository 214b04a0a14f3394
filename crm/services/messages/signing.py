"""Whose signature counts for which number.

A number's own app secret wins over the environment's: a POST about it counts only if it is signed
with that. So one installation serves numbers of several Meta apps, and no app can speak for the
numbers of another.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import text

from crm.db import db
from crm.lib.crypto import DecryptionError, decrypt

log = structlog.get_logger(__name__)

SECRETS = text("""
    SELECT meta_phone_number_id, meta_app_secret, meta_business_account_id FROM whatsapp_numbers
    WHERE provider = 'meta' AND meta_phone_number_id IS NOT NULL AND deleted_at IS NULL
      AND COALESCE(meta_app_secret, '') <> ''
""")
VERIFY_TOKENS = text("""
    SELECT webhook_verify_token FROM whatsapp_numbers
    WHERE provider = 'meta' AND deleted_at IS NULL AND COALESCE(webhook_verify_token, '') <> ''
""")


@dataclass(frozen=True)
class AppSecrets:
    """The secrets of the environment, and those of numbers that have their own.

    A number whose secret cannot be opened is in `own` with "": nothing is accepted for it.
    """

    shared: tuple[str, ...] = ()
    own: dict[str, str] = field(default_factory=dict)
    # account -> the own secrets of its numbers.
    accounts: dict[str, frozenset[str]] = field(default_factory=dict)

    @functools.cached_property
    def every(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(s for s in (*self.shared, *self.own.values()) if s))

    def admits(
        self, secret: str, phone_number_id: str | None, account_id: str | None = None
    ) -> bool:
        """May the app that signs with `secret` speak about this number, or this account?"""
        if not phone_number_id:
            owners = self.accounts.get(account_id or "")
            # Numbers of one account may be served by several apps; each may tell its news.
            return owners is None or secret in owners or secret in self.shared
        own = self.own.get(phone_number_id)
        return secret == own if own is not None else secret in self.shared


def load_app_secrets(shared: Sequence[str], *, keys: Sequence[str]) -> AppSecrets:
    """Read the numbers' own secrets; `keys` open them."""
    rows = db.session.execute(SECRETS).all()
    own = {row[0]: _open(row[1], keys) for row in rows}
    accounts: dict[str, set[str]] = defaultdict(set)
    for number, _, account in rows:
        if account:
            accounts[account].add(own[number])
    return AppSecrets(
        tuple(shared), own, {account: frozenset(known) for account, known in accounts.items()}
    )


def list_verify_tokens(*, keys: Sequence[str]) -> list[str]:
    """The numbers' own tokens for the handshake. They are kept encrypted, older ones plain."""
    return [
        token if not token.startswith("gAAAA") else _open(token, keys)
        for token in db.session.scalars(VERIFY_TOKENS)
    ]


def _open(ciphertext: str, keys: Sequence[str]) -> str:
    try:
        return decrypt(ciphertext, keys)
    except DecryptionError:
        log.error("number_secret_unreadable")
        return ""
