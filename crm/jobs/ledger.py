"""Keeps the ledger's alarms and counts, processes deliveries again, and throws old ones away."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from flask import current_app

from crm.db import atomic, database_now, db, retrying
from crm.doorbell import job, ring
from crm.jobs import shutdown
from crm.jobs.schedule import scheduled
from crm.services.ledger import hours, purging, replays, watching

T = TypeVar("T")

# Under the jobs' time-out; what is left is rung for again.
SECONDS = 60


@job("ledger.watch")
def watch(_key: int) -> None:
    with atomic():
        watching.watch()


@job("ledger.count")
@scheduled("ledger.count")
def count() -> None:
    more = True
    while more:
        with atomic():
            more = hours.COUNTED.catch_up()


@job("ledger.replay")
def replay(replay_id: int) -> None:
    """A run of many, in short transactions, until it ends or is stopped."""
    if _drain(partial(_replay_some, int(replay_id))):
        ring("ledger.replay", replay_id)
    else:
        ring("ledger.watch", 0)


@job("ledger.serve")
def serve(number_id: int) -> None:
    """What waited for this number, now that a campaign takes it."""
    after_id = 0

    def some() -> bool:
        nonlocal after_id
        moments, after_id = _unit(lambda: replays.serve_number(int(number_id), after_id=after_id))
        _recount(moments)
        return bool(moments)

    if _drain(some):
        ring("ledger.serve", number_id)
    else:
        ring("ledger.watch", 0)


@job("ledger.purge")
@scheduled("ledger.purge")
def purge() -> None:
    """A bounded number of rows at once, so that no lock is long."""
    days = current_app.config["CRM"].ledger_days
    while _unit(lambda: purging.remove_old(days=days)) == purging.ROWS_AT_ONCE:
        pass
    _unit(lambda: hours.remove_before(database_now() - timedelta(days=days)))


def _replay_some(replay_id: int) -> bool:
    moments, more = _unit(lambda: replays.replay_some(replay_id))
    _recount(moments)
    return more


def _recount(moments: list[datetime]) -> None:
    if moments:
        _unit(lambda: hours.recount(moments))


def _drain(some: Callable[[], bool]) -> bool:
    """Call `some` while it has more; True if time ran out before that."""
    end = time.monotonic() + SECONDS
    while some():
        if time.monotonic() > end or shutdown.is_asked():
            return True
    return False


def _unit(work: Callable[[], T]) -> T:
    def run() -> T:
        with atomic():
            return work()

    try:
        return retrying(run)
    finally:
        db.session.remove()
