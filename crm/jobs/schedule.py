"""What happens by the clock: the sweeps of every few seconds, and the jobs of a minute or longer.

A sweep asks Postgres which rows have work that nobody seems to do, and rings for them. It changes
nothing, so two clocks are harmless. A timed job is rung once per slot; the job itself claims the
slot (`scheduled`), so it runs once however often it is rung, and a slot that was missed while the
clock was down is caught up once, by the current one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import current_app
from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert

from crm.db import atomic, db
from crm.models import ScheduledRun
from crm.services import agents, alarms, emails, routing
from crm.services.ledger import replays, watching
from crm.services.media.claims import find_due_fetches
from crm.services.messages import presence, words
from crm.services.messages.delivery import find_due_numbers
from crm.services.messages.replay import find_deferred
from crm.services.wppconnect import gaps, reconciling, sessions


@dataclass(frozen=True)
class Sweep:
    """Ring `job` for each key that `find` returns. `find` reads only, at most some hundred keys.

    `prompt`: a customer waits for it while somebody is free, so it is looked for every second; its
    `find` costs next to nothing when there is nothing to find.
    """

    job: str
    find: Callable[[], Iterable[int | str]]
    prompt: bool = False


@dataclass(frozen=True)
class Periodic:
    """Ring `job` once in each slot of `every` seconds, counted from 1970 in UTC; 60 or longer."""

    job: str
    every: int

    def slot(self, now: datetime) -> datetime:
        return datetime.fromtimestamp(int(now.timestamp()) // self.every * self.every, UTC)


def scheduled(name: str) -> Callable[[Callable[[], None]], Callable[[str], None]]:
    """Make a job of a plain function: it gets the slot as its key and runs only if it claims it."""

    def wrap(function: Callable[[], None]) -> Callable[[str], None]:
        @functools.wraps(function)
        def run(key: str) -> None:
            slot = datetime.fromisoformat(key)
            if not claim(name, slot):
                return
            try:
                function()
            except BaseException as error:
                db.session.rollback()
                finish(name, slot, error=type(error).__name__)
                raise
            finish(name, slot)

        return run

    return wrap


def claim(name: str, slot: datetime) -> bool:
    """Take the slot; False if somebody has it already."""
    row = insert(ScheduledRun).values(job=name, slot=slot).on_conflict_do_nothing()
    with atomic():
        return db.session.execute(row.returning(ScheduledRun.id)).first() is not None


def finish(name: str, slot: datetime, *, error: str | None = None) -> None:
    mine = (ScheduledRun.job == name, ScheduledRun.slot == slot)
    with atomic():
        db.session.execute(
            update(ScheduledRun).where(*mine).values(finished_at=func.now(), error=error)
        )


def find_gone_agents() -> Iterable[int]:
    return routing.find_gone_agents(absent_seconds=current_app.config["CRM"].absent_seconds)


SWEEPS: tuple[Sweep, ...] = (
    Sweep("messages.deliver", find_due_numbers),
    Sweep("routing.route", routing.find_unrouted_chats, prompt=True),
    Sweep("routing.drain", routing.find_drainable_campaigns, prompt=True),
    Sweep("routing.release", find_gone_agents),
    Sweep("routing.serve", agents.find_agents_to_settle, prompt=True),
    Sweep("routing.tend", routing.find_chats_to_tend),
    Sweep("emails.send", emails.find_due_emails),
    Sweep("media.fetch", find_due_fetches),
    Sweep("alarms.announce", alarms.find_unannounced),
    Sweep("messages.import_history", find_deferred),
    Sweep("messages.read_words", words.find_unread),
    Sweep("ledger.watch", watching.has_news),
    Sweep("ledger.replay", replays.find_open_replays),
    Sweep("ledger.serve", replays.find_served_numbers),
    Sweep("wppconnect.check", sessions.find_due_checks),
    Sweep("wppconnect.catch_up", gaps.find_due_looks),
    Sweep("wppconnect.reconcile", reconciling.find_due),
    Sweep("presence.pause", presence.find_paused),
)

PERIODIC: tuple[Periodic, ...] = (
    Periodic("housekeeping.purge", every=3600),
    Periodic("audit.seal", every=60),
    Periodic("messages.watch", every=60),
    Periodic("ledger.count", every=60),
    Periodic("ledger.purge", every=3600),
    Periodic("numbers.count", every=60),
    Periodic("numbers.total", every=3600),
    Periodic("numbers.watch", every=60),
    Periodic("numbers.refresh", every=3 * 3600),
    Periodic("media.count", every=60),
    Periodic("media.tidy", every=3600),
    Periodic("templates.sync_all", every=3600),
)
