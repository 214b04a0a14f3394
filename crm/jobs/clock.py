"""`flask --app wsgi clock`: looks at Postgres every few seconds and rings for what nobody does.

RQ has no part in it: a ring that Redis lost, a worker that was killed, a retry that is due, all of
them are rows that the next sweep finds. The clock only rings. Any number of clocks may run.

Two rounds go beside each other, each in a thread of its own: all sweeps every few seconds, and
every second those that a customer waits for, whom no slow sweep of something else may hold up.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime

import structlog
from flask import Flask
from sqlalchemy import select

from crm.db import database_now, db
from crm.doorbell import ring_again
from crm.jobs.schedule import PERIODIC, SWEEPS, Periodic, Sweep
from crm.models import ScheduledRun

log = structlog.get_logger(__name__)

# A chat must not wait longer than two seconds for a free agent, a lost ring included.
PROMPT_SECONDS = 1.0


def run_clock(app: Flask) -> None:
    """Sweep until SIGTERM or SIGINT. Postgres or Redis away: said once, tried again each time."""
    asked_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_stop.set())
    every = app.config["CRM"].sweep_seconds
    log.info("clock_ready", every_seconds=every)
    prompt = threading.Thread(
        target=_go_round, args=(app, sweep_prompt, min(every, PROMPT_SECONDS), asked_to_stop)
    )
    prompt.start()
    _go_round(app, sweep_all, every, asked_to_stop)
    prompt.join()


def _go_round(
    app: Flask, sweep: Callable[[set[str]], None], every: float, asked_to_stop: threading.Event
) -> None:
    trouble: set[str] = set()
    try:
        while not asked_to_stop.is_set():
            began = time.monotonic()
            with app.app_context():
                sweep(trouble)
            asked_to_stop.wait(max(every - (time.monotonic() - began), every / 10))
    finally:
        # A round that ends takes the other along: half a clock would go unnoticed.
        asked_to_stop.set()


def sweep_prompt(trouble: set[str] | None = None) -> None:
    """One round of what a customer waits for."""
    _sweep([sweep for sweep in SWEEPS if sweep.prompt], set() if trouble is None else trouble)


def sweep_all(trouble: set[str] | None = None) -> None:
    """One round of every sweep and every timed job. `trouble`: what failed last time, for the log.

    One that fails does not keep the others from their turn.
    """
    trouble = set() if trouble is None else trouble
    _sweep(SWEEPS, trouble)
    for periodic in PERIODIC:
        _carefully(periodic.job, lambda periodic=periodic: ring_slot(periodic), trouble)  # type: ignore[misc]


def _sweep(sweeps: Iterable[Sweep], trouble: set[str]) -> None:
    for sweep in sweeps:
        _carefully(sweep.job, lambda sweep=sweep: ring_found(sweep), trouble)  # type: ignore[misc]


def ring_found(sweep: Sweep) -> None:
    keys = list(sweep.find())
    # Nothing was changed; the connection goes back before Redis is asked.
    db.session.rollback()
    rung = sum(ring_again(sweep.job, key) for key in keys)
    if rung:
        log.info("sweep_rang", job=sweep.job, found=len(keys), rung=rung)


def ring_slot(periodic: Periodic) -> None:
    """Ring for the current slot unless it ran. Postgres' clock counts, not this machine's."""
    slot: datetime = periodic.slot(database_now())
    claimed = select(ScheduledRun.id).where(
        ScheduledRun.job == periodic.job, ScheduledRun.slot == slot
    )
    done = db.session.scalar(claimed) is not None
    db.session.rollback()
    if not done:
        ring_again(periodic.job, slot.isoformat())


def _carefully(name: str, work: Callable[[], None], trouble: set[str]) -> None:
    try:
        work()
    except Exception as error:
        if name not in trouble:
            # The type alone: the text of a database error may hold a row's values.
            log.warning("sweep_failed", job=name, error=type(error).__name__)
            trouble.add(name)
    else:
        if name in trouble:
            log.info("sweep_works_again", job=name)
            trouble.discard(name)
    finally:
        db.session.remove()
