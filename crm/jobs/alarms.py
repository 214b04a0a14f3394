"""Tells people of a severe alarm by e-mail."""

from __future__ import annotations

from crm.db import atomic
from crm.doorbell import job
from crm.services import alarms


@job("alarms.announce")
def announce(alarm_id: int) -> None:
    with atomic():
        alarms.announce(int(alarm_id))
