"""Whether this worker was asked to stop: a job that drains looks here between two pieces of work.

A deploy gives a worker some seconds; a drain that went on for its whole minute would be killed in
the middle of a call.
"""

from __future__ import annotations

from collections.abc import Callable

_asked = False
_endings: list[Callable[[], None]] = []


def ask() -> None:
    global _asked
    _asked = True


def is_asked() -> bool:
    return _asked


def before_end(work: Callable[[], None]) -> Callable[[], None]:
    """Have `work` done when a worker's life ends in good order, after its last job."""
    _endings.append(work)
    return work


def finish() -> None:
    """The worker has done its last job."""
    for work in _endings:
        work()
