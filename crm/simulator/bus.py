"""Tells open pages what just happened. A page that does not keep up is told to start again."""

from collections import deque
from typing import Any

from gevent.queue import Full, Queue

KEPT_CALLS = 150


class Bus:
    """Server-sent events for pages, and the last calls for the inspector."""

    def __init__(self) -> None:
        self.calls: deque[dict[str, Any]] = deque(maxlen=KEPT_CALLS)
        self._last_call = 0
        self._listeners: set[Queue[tuple[str, dict[str, Any]]]] = set()

    @property
    def heard(self) -> bool:
        """Whether any page is open; saves the work of describing what nobody sees."""
        return bool(self._listeners)

    def listen(self) -> Queue[tuple[str, dict[str, Any]]]:
        queue: Queue[tuple[str, dict[str, Any]]] = Queue(maxsize=500)
        self._listeners.add(queue)
        return queue

    def leave(self, queue: Queue[tuple[str, dict[str, Any]]]) -> None:
        self._listeners.discard(queue)

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        for queue in self._listeners:
            try:
                queue.put_nowait((kind, data))
            except Full:
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(("resync", {}))

    def note_call(self, row: dict[str, Any]) -> None:
        """Keep a call for the inspector; its bodies stay raw until somebody looks."""
        self._last_call += 1
        row["id"] = self._last_call
        self.calls.append(row)
        if self._listeners:
            self.tell("call", describe_call(row))


def describe_call(row: dict[str, Any]) -> dict[str, Any]:
    """A kept call as JSON can carry it: bodies as text, 20,000 characters at most."""
    shown = dict(row)
    for key in ("request", "answer"):
        value = shown.get(key)
        if isinstance(value, bytes):
            shown[key] = value.decode("utf-8", "replace")[:20_000]
    return shown
