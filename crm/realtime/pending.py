"""What waits to be sent: one entry per thing, however often it changed, never a growing list.

The subscriber puts, the deliverer takes. A row that changes ten times in a burst is rendered once
now and once at the end: entries of one key stay `spacing` seconds apart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass
class _Entry(Generic[V]):
    value: V
    due: float


class Pending(Generic[K, V]):
    """Coalesced work with a due time per key; safe between threads.

    More than `limit` keys are refused by `put`: whoever is so far behind is better off with a
    resync than with a long tail of old news.
    """

    def __init__(
        self, *, merge: Callable[[V, V], V], limit: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._merge = merge
        self._limit = limit
        self._clock = clock
        self._entries: dict[K, _Entry[V]] = {}
        self._last: dict[K, float] = {}
        self._changed = threading.Condition()

    def put(self, key: K, value: V, *, spacing: float = 0.0, delay: float = 0.0) -> bool:
        """Add or merge one entry; False when there is no room.

        `spacing` is kept from the last time this key was taken; `delay` from now.
        """
        with self._changed:
            entry = self._entries.get(key)
            if entry is not None:
                entry.value = self._merge(entry.value, value)
                return True
            if len(self._entries) >= self._limit:
                return False
            now = self._clock()
            due = max(now + delay, self._last.get(key, now - spacing) + spacing)
            self._entries[key] = _Entry(value, due)
            if spacing:
                self._last[key] = due
            self._changed.notify()
            return True

    def take(self, *, timeout: float, limit: int) -> list[tuple[K, V]]:
        """Up to `limit` entries that are due, oldest first; waits up to `timeout` seconds."""
        deadline = self._clock() + timeout
        with self._changed:
            while True:
                now = self._clock()
                ready = [key for key, entry in self._entries.items() if entry.due <= now]
                if ready or now >= deadline:
                    return [(key, self._entries.pop(key).value) for key in ready[:limit]]
                soonest = min((entry.due for entry in self._entries.values()), default=deadline)
                self._changed.wait(max(0.0, min(soonest, deadline) - now))

    def forget_before(self, moment: float) -> None:
        """Drop the memory of keys taken before `moment`, so that it does not grow for ever."""
        with self._changed:
            self._last = {key: last for key, last in self._last.items() if last >= moment}

    def clear(self) -> None:
        with self._changed:
            self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
