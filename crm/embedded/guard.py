"""The guard: a program of its own that keeps both servers up and takes them along when it ends.

Should the guard itself be killed, the kernel ends the servers (PR_SET_PDEATHSIG), and the next
start clears what is left.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from crm.embedded.places import EmbeddedError, read_state, socket_folder, write_state
from crm.embedded.postgres_and_redis import (
    DATABASE,
    kept_password,
    open_database,
    postgres_server,
    redis_answers,
    redis_server,
)
from crm.embedded.processes import STOP_SECONDS, Server

START_SECONDS = 60.0
EXIT_BUSY = 3
# A guard sees within this time that its parent is gone, even on a busy machine.
NOTICE_SECONDS = 3.0


def _take_lock(folder: Path) -> int:
    """Hold the folder; a predecessor that is about to end gets the time that it may need."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    began = time.monotonic()
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            waited = time.monotonic() - began
        # One that stops has withdrawn its addresses.
        in_service = waited > NOTICE_SECONDS and "database_url" in read_state(folder)
        if in_service or waited > STOP_SECONDS + 5:
            sys.exit(EXIT_BUSY)
        time.sleep(0.05)


def _start_and_wait(
    folder: Path, sockets: Path, running: list[Server], *, durable: bool, ended: Callable[[], bool]
) -> dict[str, str]:
    """Start both; their addresses once both answer. `running` is filled for the stop."""
    redis = redis_server(folder, sockets, durable=durable)
    running.append(redis)
    redis.keep_alive()
    postgres, superuser_password = postgres_server(folder, sockets, durable=durable)
    running.append(postgres)
    password = kept_password(folder, DATABASE)
    redis_socket = sockets / "redis" / "redis.sock"
    deadline = time.monotonic() + START_SECONDS - 5
    while True:
        # Started before anybody is asked: what answers must not be a leftover of the last time.
        for server in running:
            server.keep_alive()
            if server.failures > 5:
                raise EmbeddedError(f"{server.name} does not stay up; see {server.log}")
        if redis_answers(redis_socket) and open_database(
            sockets, superuser_password=superuser_password, password=password
        ):
            break
        if ended() or time.monotonic() > deadline:
            raise EmbeddedError(f"the embedded servers do not answer; see {folder}")
        time.sleep(0.03)
    query = f"host={sockets / 'pg'}"
    return {
        "database_url": f"postgresql://{DATABASE}:{password}@/{DATABASE}?{query}",
        "redis_url": f"unix://{redis_socket}?db=0",
    }


def main(folder: Path, *, durable: bool, parent: int | None) -> int:
    """Run both servers until SIGTERM, SIGINT or the parent's end."""
    asked_to_stop = False

    def note_signal(*_: object) -> None:
        nonlocal asked_to_stop
        asked_to_stop = True

    signal.signal(signal.SIGTERM, note_signal)
    signal.signal(signal.SIGINT, note_signal)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def ended() -> bool:
        # Asked each time: unlike a signal or a pipe it cannot be lost or inherited by a third one.
        return asked_to_stop or (parent is not None and os.getppid() != parent)

    lock = _take_lock(folder)
    write_state(folder, guard=os.getpid())
    running: list[Server] = []
    sockets = socket_folder(folder)
    try:
        urls = _start_and_wait(folder, sockets, running, durable=durable, ended=ended)
        write_state(folder, guard=os.getpid(), **urls)
        while not ended():
            for server in running:
                server.keep_alive()
            time.sleep(0.1)
        write_state(folder, guard=os.getpid())  # on the way out: nobody shall come any more
    except EmbeddedError as error:
        write_state(folder, guard=os.getpid(), error=str(error))
        return 1
    finally:
        for server in reversed(running):
            server.stop()
        shutil.rmtree(sockets, ignore_errors=True)
        os.close(lock)
    return 0
