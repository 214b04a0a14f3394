"""The installation's settings: names, defaults, and what somebody has changed.

A setting that nobody has touched has no row; its default can then change with a release.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from crm.db import db
from crm.models import Setting

DEFAULTS: dict[str, Any] = {
    # How long a person has to accept a chat that is offered to them.
    "routing.offer_seconds": 60,
    # For so long nobody gets back the chat that was taken back from them.
    "routing.lapse_minutes": 30,
    # So many chats in a row without an answer set an agent to paused. 0 = never.
    "routing.lapses_to_pause": 2,
    # Busy by itself while every place is taken.
    "routing.busy_when_full": False,
    # New chats of clients of these segments are of high priority.
    "routing.vip_segments": [],
    # What Meta gives away: answers inside the 24 hours, a month, for each number (October 2026).
    "numbers.free_messages": 1000,
    # After so many business hours without a word a number is called silent. 0 = never.
    "numbers.silent_hours": 8,
    "agents.pause_reasons": ["Pausa corta", "Almuerzo", "Reunión", "Capacitación"],
    "chats.close_reasons": ["resolved", "no_reply", "duplicate", "wrong_number", "spam"],
    "chats.outcomes": ["sale", "no_sale", "information", "complaint"],
}


def read_settings(*names: str) -> dict[str, Any]:
    """The values of these settings, in one query."""
    rows = db.session.execute(select(Setting.name, Setting.value).where(Setting.name.in_(names)))
    changed = {row.name: row.value for row in rows}
    return {name: changed.get(name, DEFAULTS[name]) for name in names}


def read_setting(name: str) -> Any:
    return read_settings(name)[name]


def write_settings(values: Mapping[str, Any]) -> None:
    """Store these; LookupError for a name that is not ours."""
    for name, value in sorted(values.items()):
        if name not in DEFAULTS:
            raise LookupError(f"no setting is called {name!r}; crm.services.settings lists them")
        row = insert(Setting).values(name=name, value=value)
        db.session.execute(
            row.on_conflict_do_update(index_elements=["name"], set_={"value": row.excluded.value})
        )
