"""Business hours: when a campaign is open, in its own time zone.

`campaigns.business_hours` as JSON: a weekday name to one interval `{"start", "end"}` (the first
form, still read) or a list of them, and `holidays`, a list of ISO dates or a map of date to name:

    {"monday": [{"start": "08:00", "end": "12:00"}, {"start": "14:00", "end": "18:00"}],
     "holidays": ["2026-12-25"]}

An interval that ends at or before its start runs past midnight and belongs to the day it began on.
No hours at all means always open; a weekday that is missing beside others is closed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

log = structlog.get_logger(__name__)

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DEFAULT_ZONE = "America/Bogota"
# How far an opening is looked for: a fortnight of holidays and a weekend on either side.
SEARCH_DAYS = 21


def is_open(hours: Mapping[str, Any] | None, zone: str | None, at: datetime) -> bool:
    """Whether `at` (aware) lies inside business hours."""
    if not _has_hours(hours):
        return True
    assert hours is not None
    today = at.astimezone(_zone(zone)).date()
    # Yesterday's last interval may run past midnight.
    return any(
        start <= at < end
        for day in (today - timedelta(days=1), today)
        for start, end in intervals_of(hours, zone, day)
    )


def next_opening(
    hours: Mapping[str, Any] | None, zone: str | None, at: datetime
) -> datetime | None:
    """When it opens next: `at` itself while open; None if it does not within three weeks."""
    if is_open(hours, zone, at):
        return at
    assert hours is not None
    today = at.astimezone(_zone(zone)).date()
    for offset in range(SEARCH_DAYS + 1):
        starts = [start for start, _ in intervals_of(hours, zone, today + timedelta(days=offset))]
        later = [start for start in starts if start > at]
        if later:
            return min(later)
    return None


def business_seconds(
    hours: Mapping[str, Any] | None, zone: str | None, start: datetime, end: datetime
) -> float:
    """The open seconds between two moments: what every clock of a campaign counts.

    Time that two intervals both cover counts once. What lies further back than `SEARCH_DAYS` is not
    counted: every limit is shorter.
    """
    if end <= start:
        return 0.0
    if not _has_hours(hours):
        return (end - start).total_seconds()
    assert hours is not None
    start = max(start, end - timedelta(days=SEARCH_DAYS))
    where = _zone(zone)
    day, last = start.astimezone(where).date() - timedelta(days=1), end.astimezone(where).date()
    total, covered = 0.0, start
    while day <= last:
        for opens, closes in sorted(intervals_of(hours, zone, day)):
            opens, closes = max(opens, covered), min(closes, end)
            if opens < closes:
                total += (closes - opens).total_seconds()
                covered = closes
        day += timedelta(days=1)
    return total


def intervals_of(
    hours: Mapping[str, Any], zone: str | None, day: date
) -> list[tuple[datetime, datetime]]:
    """The opening times that begin on `day`, as aware UTC moments; none on a holiday."""
    if day.isoformat() in set(hours.get("holidays") or ()):
        return []
    found = hours.get(WEEKDAYS[day.weekday()]) or []
    where = _zone(zone)
    moments = []
    for interval in [found] if isinstance(found, Mapping) else found:
        parsed = _parse(interval)
        if parsed is None:
            continue
        start, end = parsed
        # Wall times are placed in the zone day by day, so an hour lost or won to daylight saving
        # moves neither opening nor closing.
        last_day = day + timedelta(days=1) if end <= start else day
        moments.append(
            (
                datetime.combine(day, start, where).astimezone(UTC),
                datetime.combine(last_day, end, where).astimezone(UTC),
            )
        )
    return moments


def _has_hours(hours: Mapping[str, Any] | None) -> bool:
    return bool(hours) and any(name in hours for name in WEEKDAYS)  # type: ignore[operator]


def _parse(interval: Any) -> tuple[time, time] | None:
    """Start and end; None for what no form of ours writes, so that one bad line closes no desk.

    "24:00" is how people write the end of a day; it is midnight.
    """
    try:
        start = time.fromisoformat(interval["start"])
        end = time.fromisoformat("00:00" if interval["end"] == "24:00" else interval["end"])
    except (KeyError, TypeError, ValueError):
        log.warning("business_hours_unreadable", interval=repr(interval)[:80])
        return None
    return start.replace(tzinfo=None), end.replace(tzinfo=None)


def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or DEFAULT_ZONE)
    except (ZoneInfoNotFoundError, ValueError):
        log.warning("time_zone_unknown", zone=name)
        return ZoneInfo(DEFAULT_ZONE)
