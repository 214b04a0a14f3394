"""Guessing slowed down: each try is counted before it is made, and a success takes it back.

Counting afterwards would let a hundred parallel tries through before the first one fails. Whoever
guesses waits longer and longer; nobody is ever locked out. A stranger who hammers an account from
one network only slows that network: the account's own browsers, known by a cookie, have a count
of their own, and the count over all networks has short waits only.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import text

from crm.db import db
from crm.errors import DomainError
from crm.lib.crypto import hash_token
from crm.models import AttemptKind


class TooManyAttempts(DomainError):
    """Says nothing about the account: one that does not exist is slowed down in the same way."""

    http_status = 429
    code = "too_many_attempts"
    message = "Too many attempts. Wait %(seconds)s seconds and try again."

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds=seconds)
        self.seconds = seconds


@dataclass(frozen=True)
class Limit:
    """`free` tries without waiting; then `first` seconds, doubled each time up to `longest`.

    `forget`: after so many seconds without a failure the count begins anew.
    """

    free: int
    first: float
    longest: float
    forget: float


LIMITS = {
    AttemptKind.DEVICE: Limit(free=5, first=5, longest=60, forget=900),
    AttemptKind.ORIGIN: Limit(free=5, first=5, longest=60, forget=900),
    AttemptKind.ACCOUNT: Limit(free=25, first=1, longest=15, forget=600),
    AttemptKind.NETWORK: Limit(free=30, first=20, longest=60, forget=600),
    AttemptKind.CODE: Limit(free=5, first=60, longest=300, forget=900),
    AttemptKind.RESET: Limit(free=3, first=300, longest=3600, forget=7200),
}

TAKE = text("""
    INSERT INTO login_attempts AS held (kind, key, failures, first_at, last_at, blocked_until)
    VALUES (:kind, :key, 1, clock_timestamp(), clock_timestamp(),
            clock_timestamp() + make_interval(secs => CASE WHEN :free <= 1 THEN :first ELSE 0 END))
    ON CONFLICT (kind, key) DO UPDATE SET
        failures = CASE WHEN held.last_at < clock_timestamp() - make_interval(secs => :forget)
                        THEN 1 ELSE held.failures + 1 END,
        first_at = CASE WHEN held.last_at < clock_timestamp() - make_interval(secs => :forget)
                        THEN clock_timestamp() ELSE held.first_at END,
        last_at = clock_timestamp(),
        blocked_until = clock_timestamp() + make_interval(secs => CASE
            WHEN held.last_at < clock_timestamp() - make_interval(secs => :forget) THEN 0
            WHEN held.failures + 1 < :free THEN 0
            ELSE least(:longest, :first * power(2, least(held.failures + 1 - :free, 16))) END)
    WHERE held.blocked_until <= clock_timestamp()
    RETURNING failures
""")
WAIT = text("""
    SELECT extract(epoch FROM blocked_until - clock_timestamp()) FROM login_attempts
     WHERE kind = :kind AND key = :key
""")
GIVE_BACK = text("""
    UPDATE login_attempts SET failures = greatest(failures - 1, 0),
           blocked_until = least(blocked_until, clock_timestamp())
     WHERE kind = :kind AND key = :key
""")
CLEAR = text("DELETE FROM login_attempts WHERE kind = :kind AND key = :key")

Turn = tuple[AttemptKind, str]


def take_turns(turns: Iterable[Turn]) -> None:
    """Count one try under each of these, or raise TooManyAttempts and count none.

    In a transaction of its own, committed before the try: its rollback is what counts none.
    """
    for kind, key in turns:
        limit = LIMITS[kind]
        counted = db.session.scalar(TAKE, {"kind": kind, "key": key, **vars(limit)})
        if counted is None:
            left = db.session.scalar(WAIT, {"kind": kind, "key": key})
            raise TooManyAttempts(max(1, math.ceil(left or 1)))


def forgive(turns: Iterable[Turn]) -> None:
    """The try was right: it is not counted, and the person's own failures are forgotten.

    Counts that others share keep what others did; only this try is taken out of them.
    """
    for kind, key in turns:
        shared = kind in (AttemptKind.NETWORK, AttemptKind.ACCOUNT)
        db.session.execute(GIVE_BACK if shared else CLEAR, {"kind": kind, "key": key})


def turn_of(kind: AttemptKind, *parts: object) -> Turn:
    """The kind and the hash of what it is about; the parts themselves are not stored."""
    return kind, hash_token("|".join([kind, *map(str, parts)]))


def network_of(address: str) -> str:
    """The address, or for IPv6 its /64, which one customer has to himself; '' if it is none."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
