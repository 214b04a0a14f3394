"""Time for display and for ages in logs.

What decides something (leases, windows, due times) asks Postgres instead: `crm.db.database_now()`
or SQL's `now()`.
"""

from datetime import UTC, datetime


def utcnow() -> datetime:
    """Now, aware, in UTC."""
    return datetime.now(UTC)


def from_unix(seconds: int | str) -> datetime:
    """An aware UTC time from unix seconds; ValueError for what is no time."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (OverflowError, OSError, TypeError) as error:
        raise ValueError(f"not a unix time: {seconds!r}") from error
