"""One server process: started, started again when it dies, stopped, and cleared after a crash."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from crm.embedded.places import as_server_user

STOP_SECONDS = 15.0


class Server:
    """One program under the guard. `stop_signals` go from the gentlest to the hardest."""

    def __init__(
        self, name: str, command: list[str], *, pid_file: Path, log: Path, stop_signals: list[int]
    ) -> None:
        self.name = name
        self.command = command
        self.pid_file = pid_file
        self.log = log
        self.stop_signals = stop_signals
        self.process: subprocess.Popen[bytes] | None = None
        self.failures = 0
        self.next_start = 0.0
        self.started_at = 0.0

    def keep_alive(self) -> None:
        """Start it if it does not run; after deaths in a row with a growing pause of up to 5 s."""
        if self.process is not None and self.process.poll() is None:
            return
        now = time.monotonic()
        if self.process is not None:
            self.process = None
            self.failures = 0 if now - self.started_at > 10 else self.failures + 1
            self.next_start = now + min(0.1 * 2**self.failures, 5.0)
        if now < self.next_start:
            return
        self._clear_leftover()
        as_user = as_server_user() if self.name == "postgres" else {}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                # Runs after the change of user, which would clear it.
                preexec_fn=end_with_parent(self.stop_signals[0], parent=os.getpid()),
                **as_user,
            )
        self.started_at = now

    def _clear_leftover(self) -> None:
        """End a server that outlived its guard, and drop a pid file that means nobody."""
        try:
            pid = int(self.pid_file.read_text().split()[0])
        except (FileNotFoundError, ValueError, IndexError):
            return
        marks = (self.name, str(self.pid_file.parent))
        if all(mark in command_line(pid) for mark in marks):
            for number in (*self.stop_signals, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
                    os.kill(pid, signal.SIGCONT)  # a frozen one hears nothing but SIGKILL
                if wait_for(lambda: not command_line(pid), seconds=5):
                    break
        else:
            # The number may belong to a stranger by now, and then Postgres would refuse to start.
            self.pid_file.unlink(missing_ok=True)

    def stop(self) -> None:
        if self.process is None:
            return
        for number in (*self.stop_signals, signal.SIGKILL):
            self.process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS / 3)
                return


def end_with_parent(number: int, *, parent: int) -> Callable[[], None]:
    """A preexec function: the kernel sends us this signal when the parent is gone.

    Linux only; elsewhere the next start clears the leftover.
    """

    # Loaded here, because the server's user may not be able to read the standard library.
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def ask_kernel() -> None:
        if prctl is not None:
            prctl(1, number, 0, 0, 0)  # 1 = PR_SET_PDEATHSIG
            if os.getppid() != parent:
                os._exit(1)

    return ask_kernel


def command_line(pid: int) -> str:
    """What a process was started as; empty when there is none (a zombie is none)."""
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return ""
    listing = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True
    )
    return listing.stdout.strip()


def wait_for(condition: Callable[[], bool], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
