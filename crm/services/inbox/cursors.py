"""Where a page of a list ended: a moment and an id, as one word in an address."""

from __future__ import annotations

from datetime import UTC, datetime

_GREATEST_ID = 2**63 - 1


def write_cursor(at: datetime, row_id: int) -> str:
    return f"{at.astimezone(UTC).isoformat()}~{row_id}"


def read_cursor(cursor: str | None) -> tuple[datetime, int] | None:
    """The place; None for a cursor that is not ours, which leads to the first page."""
    # A plus sign that somebody forgot to encode arrives as a space.
    moment, _, number = (cursor or "").replace(" ", "+").partition("~")
    try:
        at, row_id = datetime.fromisoformat(moment), int(number)
    except ValueError:
        return None
    if at.tzinfo is None or not 0 <= row_id <= _GREATEST_ID:
        return None
    return at, row_id
