"""Whether this worker was asked to stop: a job that drains looks here between two pieces of work.

A deploy gives a worker some seconds; a drain that went on for its whole minute would be killed in
the middle of a call.
"""

from __future__ import annotations

_asked = False


def ask() -> None:
    global _asked
    _asked = True


def is_asked() -> bool:
    return _asked
