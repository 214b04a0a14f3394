"""The calls to WhatsApp that are under way in this process, and the threads that make them.

They outlive the job that began them: a job ends in time although a provider hangs, and the next one
goes on with the threads that are free. Only the worker's own end waits for them.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from crm.jobs import shutdown

# Meta answers in 100 to 400 ms: 80 a second of one number are some 24 calls under way. No number
# gets more, so one whose provider hangs leaves threads for the others: there are ten at most.
THREADS_PER_NUMBER = 24
THREADS = 10 * THREADS_PER_NUMBER
# As many times the threads may wait for their outcomes to be written before more are claimed.
MOST_OPEN = 2
# While most threads are busy, how long a claim waits for more of them.
GATHER_SECONDS = 0.02


class UnderWay:
    """Threads at work per number, and messages whose outcome is not written yet."""

    def __init__(self, threads: int = THREADS) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="delivery")
        self._busy: Counter[int] = Counter()
        self._open = 0
        self._enough = 0
        self._free = threading.Condition()

    def rooms(self, numbers: Sequence[int]) -> dict[int, int]:
        """How many threads each number may take now: what is free in equal parts, one at least."""
        with self._free:
            free = min(self.threads - self._busy.total(), MOST_OPEN * self.threads - self._open)
            rooms: dict[int, int] = {}
            for n, number_id in enumerate(numbers):
                share = -(-free // (len(numbers) - n))
                room = min(share, THREADS_PER_NUMBER - self._busy[number_id])
                if room > 0:
                    rooms[number_id] = room
                    free -= room
        return rooms

    def begin(self, calls: Iterable[tuple[int, Callable[[], bool]]]) -> None:
        """Make these calls: (number id, call). A call says whether it left an outcome to write."""
        calls = list(calls)
        with self._free:
            self._busy.update(number_id for number_id, _ in calls)
            self._open += len(calls)
        for number_id, call in calls:
            self._pool.submit(self._make, number_id, call)

    def note_written(self, count: int) -> None:
        """So many outcomes are in the books, or given up."""
        with self._free:
            self._open -= count
            self._free.notify_all()

    def is_quiet(self) -> bool:
        """No call is under way, and nothing waits to be written."""
        with self._free:
            return not self._open

    def wait_for_an_end(self, seconds: float) -> None:
        """Wait until a call ends, or a moment; while most threads are busy, until some are free
        together: a claim costs the same for one row and for ten."""
        with self._free:
            if not self._open:
                return
            many = self.threads * 2 // 3
            is_crowded = self._busy.total() > many
            self._enough = many if is_crowded else self.threads
            self._free.wait(GATHER_SECONDS if is_crowded else seconds)

    def wait_until_quiet(self, seconds: float | None = None) -> bool:
        """Wait until every outcome is written; False if that took longer than `seconds`."""
        with self._free:
            return self._free.wait_for(lambda: not self._open, timeout=seconds)

    def _make(self, number_id: int, call: Callable[[], bool]) -> None:
        has_outcome = False
        try:
            has_outcome = call()
        finally:
            with self._free:
                self._busy[number_id] -= 1
                self._open -= not has_outcome
                if self._busy.total() <= self._enough or not self._open:
                    self._free.notify_all()


_ours: tuple[int, UnderWay] | None = None


def under_way() -> UnderWay:
    """This process's own: threads do not come along through a fork."""
    global _ours
    if _ours is None or _ours[0] != os.getpid():
        _ours = (os.getpid(), UnderWay(THREADS))
    return _ours[1]


@shutdown.before_end
def finish() -> None:
    """Let what is under way come to its end; the longest call takes less than a worker's grace."""
    if _ours is not None and _ours[0] == os.getpid():
        _ours[1].wait_until_quiet()
