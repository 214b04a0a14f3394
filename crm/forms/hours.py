"""Business hours in a form: weekdays with intervals, and holidays.

Reads and writes the shape of services/hours.py. The editor knows "always open" and "these hours";
the first is stored as no hours at all, or, where there are holidays, as 00:00 to 24:00 each day.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from flask_babel import gettext as _
from wtforms import Field
from wtforms.validators import StopValidation

from crm.lib.text import clean

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
CLOCK = re.compile(r"([01]?[0-9]|2[0-3])[:.h]?([0-5][0-9])|24[:.h]?00|([01]?[0-9]|2[0-4])")
ALL_DAY = {"start": "00:00", "end": "24:00"}
MOST_INTERVALS, MOST_HOLIDAYS = 8, 200


class HoursField(Field):
    """`data` is what `campaigns.business_hours` holds, or None.

    For the template: `always`, `days` (weekday -> list of (start, end) as written), `holidays`
    (list of (date, name)) and `day_errors` (weekday or "holidays" -> sentence).
    """

    def process(self, formdata: Any, *args: Any, **options: Any) -> None:
        super().process(formdata, *args, **options)
        self.day_errors: dict[str, str] = {}
        if formdata and f"{self.name}-mode" in formdata:
            self._read(formdata)
        else:
            self._show(self.data)

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read in `process`, which sees all names."""

    def _show(self, stored: Mapping[str, Any] | None) -> None:
        stored = stored or {}
        self.days: dict[str, list[tuple[str, str]]] = {day: [] for day in WEEKDAYS}
        for index, day in enumerate(WEEKDAYS):
            found = stored.get(day) or []
            for each in [found] if isinstance(found, Mapping) else found:
                start, end = str(each.get("start", "")), str(each.get("end", ""))
                if end <= start:
                    # Stored past midnight; the editor shows each day's own part.
                    if end > "00:00":
                        self.days[WEEKDAYS[(index + 1) % 7]].append(("00:00", end))
                    end = "24:00"
                self.days[day].append((start, end))
        self.days = {day: sorted(intervals) for day, intervals in self.days.items()}
        holidays = stored.get("holidays") or {}
        named = holidays.items() if isinstance(holidays, Mapping) else ((h, "") for h in holidays)
        self.holidays = sorted((str(day), str(name or "")) for day, name in named)
        listed = [intervals for intervals in self.days.values() if intervals]
        self.always = not any(day in stored for day in WEEKDAYS) or listed == 7 * [
            [(ALL_DAY["start"], ALL_DAY["end"])]
        ]

    def _read(self, formdata: Any) -> None:
        self.always = formdata.get(f"{self.name}-mode") == "always"
        self.days = {}
        for day in WEEKDAYS:
            starts = formdata.getlist(f"{self.name}-{day}-start")[: MOST_INTERVALS + 1]
            ends = formdata.getlist(f"{self.name}-{day}-end")[: MOST_INTERVALS + 1]
            pairs = [
                (clean(start).strip()[:10], clean(end).strip()[:10])
                for start, end in zip(starts, ends, strict=False)
            ]
            self.days[day] = [pair for pair in pairs if any(pair)]
        dates = formdata.getlist(f"{self.name}-holiday-date")
        names = formdata.getlist(f"{self.name}-holiday-name")
        self.holidays = [
            (clean(day).strip()[:20], clean(name).strip()[:100])
            for day, name in zip(dates, names, strict=False)
            if day.strip() or name.strip()
        ]
        holidays = self._read_holidays()
        intervals = {} if self.always else {day: self._read_day(day) for day in WEEKDAYS}
        if self.always and holidays:
            intervals = {day: [dict(ALL_DAY)] for day in WEEKDAYS}
        self.data = {**intervals, "holidays": holidays} if intervals else None

    def _read_day(self, day: str) -> list[dict[str, str]]:
        try:
            found = sorted(_interval(start, end) for start, end in self.days[day])
            if len(found) > MOST_INTERVALS:
                raise ValueError(_("At most %(most)s intervals a day.", most=MOST_INTERVALS))
            for (_start, end), (start, _end) in itertools.pairwise(found):
                if start < end:
                    raise ValueError(
                        _("Two intervals overlap: one ends at %(end)s, the next begins at "
                          "%(start)s.", end=end, start=start)
                    )  # fmt: skip
        except ValueError as error:
            self.day_errors[day] = str(error)
            return []
        return [{"start": start, "end": end} for start, end in found]

    def _read_holidays(self) -> dict[str, str]:
        holidays: dict[str, str] = {}
        for written, name in self.holidays:
            try:
                day = date.fromisoformat(written)
            except ValueError:
                self.day_errors["holidays"] = _("A holiday needs a date.")
                continue
            if not 2000 <= day.year <= 2100:
                self.day_errors["holidays"] = _("A holiday lies between 2000 and 2100.")
            if day.isoformat() in holidays:
                self.day_errors["holidays"] = _("The same holiday is there twice.")
            holidays[day.isoformat()] = name
        if len(holidays) > MOST_HOLIDAYS:
            self.day_errors["holidays"] = _("At most %(most)s holidays.", most=MOST_HOLIDAYS)
        return dict(sorted(holidays.items()))

    def pre_validate(self, form: Any) -> None:
        if self.day_errors:
            raise StopValidation(_("Look at the marked days."))
        if not self.always and not any(self.days.values()):
            raise StopValidation(
                _("Write at least one interval, or choose that it is always open.")
            )


def _interval(start: str, end: str) -> tuple[str, str]:
    """('8', '12:30') -> ('08:00', '12:30'). ValueError says what is wrong."""
    begins, ends = _clock(start), _clock(end)
    if begins == "24:00":
        raise ValueError(_("A day begins at 00:00; 24:00 can only be an end."))
    if ends == begins:
        raise ValueError(_("Beginning and end are the same."))
    if ends < begins:
        raise ValueError(
            _("The end comes before the beginning. Past midnight, write until 24:00 here and from "
              "00:00 on the next day.")
        )  # fmt: skip
    return begins, ends


def _clock(written: str) -> str:
    found = CLOCK.fullmatch(written)
    if not found:
        raise ValueError(_("Write times like 08:00 or 17:30."))
    digits = re.sub(r"\D", "", written)
    hours, minutes = (digits, "00") if len(digits) <= 2 else (digits[:-2], digits[-2:])
    return f"{int(hours):02d}:{minutes}"
