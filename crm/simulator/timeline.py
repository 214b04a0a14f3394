"""Things that happen later: one heap, one greenlet. What it calls must not wait."""

import heapq
import itertools
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event


class Timeline:
    """`after(seconds, call, ...)`; lost at a restart, so each owner starts its own again."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._changed = Event()
        gevent.spawn(self._run)

    def after(self, seconds: float, call: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._heap, (time.monotonic() + seconds, next(self._order), call, arguments))
        self._changed.set()

    def clear(self) -> None:
        self._heap.clear()

    def _run(self) -> None:
        while True:
            wait = self._heap[0][0] - time.monotonic() if self._heap else None
            if wait is None or wait > 0:
                self._changed.wait(wait)
                self._changed.clear()
                continue
            for _ in range(64):
                if not self._heap or self._heap[0][0] > time.monotonic():
                    break
                _, _, call, arguments = heapq.heappop(self._heap)
                try:
                    call(*arguments)
                except Exception:
                    # One broken step must not stop everybody's ticks.
                    traceback.print_exc(file=sys.stderr)
            gevent.sleep(0)
