"""Reads the talks' script: who says what, and when."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from crm.services.demo.parts import PARTS, Part
from crm.services.demo.talks import Talk

LINE = re.compile(r"(?P<who>\w) (?P<minutes>[\d.]+) ?(?:\[(?P<name>[\w-]+)\])? ?(?P<text>.*)")


@dataclass(frozen=True)
class Line:
    """`name` is what stands in brackets before the text: one of PROPS or PARTS, or nothing."""

    who: str
    at: datetime
    text: str
    name: str = ""

    @property
    def part(self) -> Part | None:
        return PARTS.get(self.name)


def lines_of(talk: Talk, now: datetime) -> list[Line]:
    """Read the script; the last line lies `talk.ago` before `now`."""
    parsed = []
    offset = timedelta()
    for row in talk.words.strip().splitlines():
        found = LINE.fullmatch(row.strip())
        assert found, f"not a line of a talk: {row}"
        offset += timedelta(minutes=float(found["minutes"]))
        parsed.append((offset, found))
    start = now - talk.ago - offset
    return [
        Line(found["who"], start + offset, found["text"], found["name"] or "")
        for offset, found in parsed
    ]
