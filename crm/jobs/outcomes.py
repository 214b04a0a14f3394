"""Writes what the provider took, in sets and in a thread of its own.

Whoever sends hands the answer over and goes on to the next call; while one set is written, the
next one gathers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from crm.services.messages.accepted import Accepted

log = structlog.get_logger(__name__)

# While many leave, a set waits this long at most for as many as the last one had.
PATIENCE_SECONDS = 0.05
# With nothing to write for so long, the thread ends; the next outcome starts another.
IDLE_SECONDS = 1.0
# Postgres may be away for a moment just when the provider has answered.
TRIES = 5
AGAIN_SECONDS = 0.5

Write = Callable[[Sequence[Accepted]], Sequence[bool | Exception]]
Done = Callable[[Sequence[Accepted]], None]


class Outcomes:
    """`write` puts a set down, one result each; `done` is told of it, written or not."""

    def __init__(self, write: Write, done: Done) -> None:
        self._write = write
        self._done = done
        self._waiting: list[Accepted] = []
        self._wanted = 1
        self._is_closed = False
        self._come = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, accepted: Accepted) -> None:
        """To be written as soon as may be; returns at once."""
        with self._come:
            self._waiting.append(accepted)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="outcomes", daemon=True)
                self._thread.start()
            elif len(self._waiting) == 1 or len(self._waiting) == self._wanted:
                self._come.notify()

    def close(self) -> None:
        """Wait until everything is written; what comes later is written without patience."""
        with self._come:
            self._is_closed = True
            self._come.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while chosen := self._gather():
            try:
                self._keep(chosen)
            except Exception:
                # The rows keep their leases; when those end they become uncertain.
                log.exception("outcomes_lost", messages=[one.claim.message_id for one in chosen])
            finally:
                self._done(chosen)

    def _gather(self) -> list[Accepted]:
        """The next set: whoever waits, after a moment's patience. Empty: this thread's end."""
        with self._come:
            self._come.wait_for(lambda: self._waiting or self._is_closed, timeout=IDLE_SECONDS)
            if not self._waiting:
                self._thread = None
                return []
            self._come.wait_for(
                lambda: len(self._waiting) >= self._wanted or self._is_closed,
                timeout=PATIENCE_SECONDS,
            )
            chosen, self._waiting = self._waiting, []
            self._wanted = max(len(chosen), 1)
            return chosen

    def _keep(self, chosen: Sequence[Accepted]) -> None:
        """With some patience: without its outcome a message ends as uncertain."""
        for left in reversed(range(TRIES)):
            try:
                results: Sequence[bool | Exception] = self._write(chosen)
            except (DBAPIError, PoolTimeout) as error:
                results = [error] * len(chosen)
            failed = [
                (one, result)
                for one, result in zip(chosen, results, strict=True)
                if isinstance(result, Exception)
            ]
            if not failed:
                return
            if not left:
                raise failed[0][1]
            chosen = [one for one, _ in failed]
            time.sleep(AGAIN_SECONDS)
