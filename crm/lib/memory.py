"""A process's memory: what stays for good, and how the C library's heaps are shared out."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

M_ARENA_MAX = -8  # malloc.h


@contextmanager
def kept_for_good() -> Iterator[None]:
    """Around the loading of an application: what is made inside lives as long as the process.

    Python's collector would look for garbage in it again and again, for a fifth of the time that
    the loading takes, and all of it (200,000 objects) again at each full collection, in which
    everybody waits. So it rests meanwhile and leaves what is there alone from then on. Workers that
    are forked afterwards share these pages with their parent, as nobody writes marks into them.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


def share_heaps(heaps: int = 2) -> bool:
    """For a process with many threads, before it starts them: two heaps for all instead of eight
    for each core. False where there is no glibc.

    glibc gives threads heaps of their own, and what is freed in one serves only that one: a worker
    with 64 threads grew by 8 MB over 100,000 messages without keeping a single object. Python's own
    lock lets them in one by one anyway.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(M_ARENA_MAX, heaps))
    except (AttributeError, OSError):
        return False
