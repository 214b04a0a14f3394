"""What is thrown away by the clock."""

from __future__ import annotations

from crm.db import atomic
from crm.doorbell import job
from crm.jobs.schedule import scheduled
from crm.services import housekeeping


@job("housekeeping.purge")
@scheduled("housekeeping.purge")
def purge() -> None:
    """Remove rows that have had their time, a bounded number at once so that no lock is long."""
    for remove in housekeeping.REMOVALS:
        while True:
            with atomic():
                removed = remove()
            if removed < housekeeping.ROWS_AT_ONCE:
                break
