"""Starts, finds and stops a Postgres and a Redis of our own, for `make run` and for tests.

    with embedded.servers(folder) as urls:
        urls.database_url, urls.redis_url

A *guard* (guard.py), a small Python process of its own session, starts both servers, starts one
again that dies, and stops them when it is told to (SIGTERM) or when the process that asked for them
is gone, however that ended. Everything lives in one folder: two folders never meet, whatever runs
beside.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crm.embedded.guard import EXIT_BUSY, START_SECONDS
from crm.embedded.places import EmbeddedError, is_locked, make_folder, read_state
from crm.embedded.processes import STOP_SECONDS

__all__ = [
    "EmbeddedError",
    "Guard",
    "Urls",
    "find",
    "guard_command",
    "ready_urls",
    "servers",
    "start",
    "stop",
]


@dataclass(frozen=True)
class Urls:
    """Where the two servers answer: unix sockets, as libpq and redis-py understand them."""

    database_url: str
    redis_url: str


@dataclass
class Guard:
    """A running guard, as its starter holds it."""

    folder: Path
    urls: Urls
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS + 5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def servers(folder: Path, *, durable: bool = True) -> Iterator[Urls]:
    """Run both servers for a block's length. `durable=False` (tests) leaves out every fsync."""
    guard = start(folder, durable=durable)
    try:
        yield guard.urls
    finally:
        guard.stop()


def start(folder: Path, *, durable: bool = True) -> Guard:
    """Start both servers and wait until they answer. They end with this process at the latest."""
    make_folder(folder)
    # A file, not a pipe: should this process die, the guard must be able to go on writing.
    with open(folder / "guard.log", "ab") as log:
        process = subprocess.Popen(
            guard_command(folder, durable=durable, parent=os.getpid()),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    try:
        while True:
            urls = ready_urls(folder, guard=process.pid)
            if urls is not None:
                return Guard(folder=folder, urls=urls, process=process)
            if process.poll() == EXIT_BUSY:
                raise EmbeddedError(f"Another process runs the embedded servers of {folder}")
            if process.poll() is not None or time.monotonic() > deadline:
                raise EmbeddedError(f"The servers did not start; see {folder / 'guard.log'}")
            time.sleep(0.02)
    except BaseException:
        process.terminate()
        process.wait()
        raise


def guard_command(folder: Path, *, durable: bool = True, parent: int | None = None) -> list[str]:
    """The command line of the guard. It stops when it is no longer a child of `parent`."""
    command = [
        sys.executable,
        "-I",
        str(Path(__file__).resolve().parent),
        str(folder.resolve()),
    ]
    command.append("durable" if durable else "fleeting")
    return [*command, str(parent)] if parent else command


def ready_urls(folder: Path, *, guard: int) -> Urls | None:
    """The addresses once the guard with this pid has both servers up; None until then.

    Raises EmbeddedError with the guard's own word when it gave up.
    """
    state = read_state(folder)
    if state.get("guard") != guard:
        return None
    if "error" in state:
        raise EmbeddedError(str(state["error"]))
    return Urls(state["database_url"], state["redis_url"]) if "database_url" in state else None


def find(folder: Path) -> Urls | None:
    """The running servers of this folder, or None."""
    state = read_state(folder)
    if state and "database_url" in state and is_locked(folder):
        return Urls(state["database_url"], state["redis_url"])
    return None


def stop(folder: Path) -> bool:
    """Stop the servers of this folder, whoever started them. True if there were any."""
    state = read_state(folder)
    if not state or not is_locked(folder):
        return False
    os.kill(int(state["guard"]), signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS + 5
    while is_locked(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    return True
