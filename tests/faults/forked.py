"""Real workers as forks of the test: they end at the point of their work that a test names."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flask import Flask

from crm.db import db
from crm.jobs import calls, shutdown
from crm.jobs.books import Books
from crm.jobs.supervisor import Supervisor, end_with_parent
from crm.jobs.worker import QueueWorker, _worker_child, import_jobs, serve_queue
from crm.services.messages import starting
from crm.services.messages.claims import Claim
from tests.faults.processes import PATIENCE, wait_until

# Where on a message's way the worker is: what it does next, or has just done.
POINTS: dict[str, tuple[Any, str, str]] = {
    "popped": (QueueWorker, "execute_job", "before"),
    "claimed": (Books, "start", "before"),
    "submitted": (calls, "_call", "before"),
    "accepted": (calls, "_call", "after"),
    "committed": (Books, "end", "after"),
}


class Forked:
    """A process that was forked from here."""

    def __init__(self, run: Callable[[], None]) -> None:
        db.session.rollback()
        die_with_us = end_with_parent(signal.SIGKILL)
        self.code: int | None = None
        self.pid = os.fork()
        if not self.pid:
            code = 1
            try:
                die_with_us()
                run()
                code = 0
            finally:
                # Nothing of the test's own endings is for the child.
                os._exit(code)

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def has_ended(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait(self) -> int:
        wait_until(self.has_ended, "the process ends")
        assert self.code is not None
        return self.code

    def end(self) -> None:
        if not self.has_ended():
            self.send(signal.SIGKILL)
            self.wait()


@contextlib.contextmanager
def worker_that_waits(app: Flask, point: str) -> Iterator[Forked]:
    """A delivery worker that has come to `point` with its first message, and stays there until it
    is asked to stop."""
    import_jobs()
    arrived, there = os.pipe()

    def run() -> None:
        _lie_in_wait(point, there)
        serve_queue(app, "delivery")

    worker = Forked(run)
    os.close(there)
    try:
        assert os.read(arrived, 1), f"the worker ended before it was {point}"
        yield worker
    finally:
        os.close(arrived)
        worker.end()


def _lie_in_wait(point: str, there: int) -> None:
    where, name, when = POINTS[point]
    original = getattr(where, name)
    seen: list[bool] = []

    def wait() -> None:
        if not seen:
            seen.append(True)
            os.write(there, b".")
            deadline = time.monotonic() + PATIENCE
            while not shutdown.is_asked() and time.monotonic() < deadline:
                time.sleep(0.01)

    def waiting(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            wait()
        result = original(*args, **kwargs)
        if when == "after":
            wait()
        return result

    setattr(where, name, waiting)


def abort() -> None:
    """What a broken library in C does."""
    faulthandler.disable()
    os.abort()


def be_killed() -> None:
    """What the kernel does to whom it chooses when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


def eat_memory() -> None:
    """A payload too large for what this process may have."""
    resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, resource.getrlimit(resource.RLIMIT_AS)[1]))
    bytearray(16 * 2**30)


@contextlib.contextmanager
def workers_that_choke(app: Flask, message_id: int, end: Callable[[], None]) -> Iterator[Forked]:
    """A supervised delivery worker that comes to an end by `end` where it reads this message; each
    successor does the same."""
    import_jobs()

    def run() -> None:
        original = starting.load_outgoing

        def load(claims: Sequence[Claim], **kwargs: Any) -> Any:
            if any(claim.message_id == message_id for claim in claims):
                end()
            return original(claims, **kwargs)

        starting.load_outgoing = load
        Supervisor([_worker_child(app, "delivery")]).run()

    supervisor = Forked(run)
    try:
        yield supervisor
        supervisor.send(signal.SIGTERM)
        assert supervisor.wait() == 0
    finally:
        supervisor.end()
