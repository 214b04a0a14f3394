"""Keeps processes alive: starts them, starts again each that ends, takes all along at the end.

It knows nothing of the CRM. `flask worker` keeps its RQ workers with it, `flask local run` the
whole local stack. honcho and foreman were not taken: they stop everything when one process ends.

A child that ends, for whatever reason and with whatever code, is started again: at once the first
time, with a growing pause of up to 5 s when it keeps ending early. SIGTERM or SIGINT to us goes to
every child, last stage first; whoever is still there after its grace is killed with its group. If
we are killed with -9, the kernel ends the children (PR_SET_PDEATHSIG; Linux).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

LONGEST_PAUSE = 5.0
STEADY_SECONDS = 10.0
PR_SET_PDEATHSIG = 1
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Child:
    """What to keep alive: a command, or a function to run in a fork of this process.

    `stage`: children of a later stage are told to stop before those of an earlier one. `is_stuck`
    is asked all the time; a child that is stuck is killed and started again. `grace`: seconds
    between the friendly signal and SIGKILL.
    """

    name: str
    command: Sequence[str] = ()
    run: Callable[[], None] | None = None
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    log: Path | None = None
    stage: int = 0
    grace: float = 10.0
    is_stuck: Callable[[], bool] | None = None
    # What the kernel sends to the child when we are gone.
    signal_when_orphaned: int = signal.SIGKILL


class Process(Protocol):
    """What a running child can do; subprocess.Popen is one."""

    pid: int

    def poll(self) -> int | None: ...


class _Fork:
    """A child made by fork, with the face of Popen."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


@dataclass
class _Kept:
    """One child and its luck so far."""

    child: Child
    process: Process | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    early_ends: int = 0


class Supervisor:
    """`run()` blocks until a signal asks for the end.

    Make and run it in the main thread: the kernel ties a child's fate to its starter's thread.
    """

    def __init__(
        self,
        children: Sequence[Child] = (),
        *,
        say: Callable[[str], None] | None = None,
        each_round: Callable[[], None] | None = None,
    ) -> None:
        self._kept = [_Kept(child) for child in children]
        self._say = say or (lambda text: print(text, file=sys.stderr, flush=True))
        self._each_round = each_round
        self._stopping = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)
        for number in STOP_SIGNALS:
            signal.signal(number, self._note_stop)
        # A handler has to be there for the wake-up pipe to be written at all.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)

    @property
    def stopping(self) -> bool:
        return self._stopping

    def stop(self) -> None:
        """End `run()` as a signal would."""
        self._stopping = True

    def add(self, child: Child) -> None:
        """Keep one more; it is started at once."""
        kept = _Kept(child)
        self._kept.append(kept)
        self._start(kept)

    def pids(self) -> dict[str, int]:
        return {kept.child.name: kept.process.pid for kept in self._kept if kept.process}

    def run(self) -> None:
        try:
            while not self._stopping:
                self.keep()
                self.wait(0.2)
        finally:
            self.stop_all()

    def keep(self) -> None:
        """One round: reap who ended, start who is due."""
        if self._each_round is not None:
            self._each_round()
        for kept in self._kept:
            if kept.process is not None:
                self._look_after(kept)
            if kept.process is None and not self._stopping and time.monotonic() >= kept.start_at:
                self._start(kept)

    def wait(self, seconds: float) -> None:
        """Sleep, but wake up for a signal or a child's end."""
        ready, _, _ = select.select([self._wake_read], [], [], seconds)
        if ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 4096)

    def stop_all(self) -> None:
        """Stop every child, last stage first; return when none is left."""
        self._stopping = True
        for stage in sorted({kept.child.stage for kept in self._kept}, reverse=True):
            self._stop_stage([kept for kept in self._kept if kept.child.stage == stage])

    def _note_stop(self, *_: object) -> None:
        self._stopping = True

    def _look_after(self, kept: _Kept) -> None:
        assert kept.process is not None
        code = kept.process.poll()
        if code is None:
            if kept.child.is_stuck is not None and kept.child.is_stuck():
                self._say(f"{kept.child.name}: does not come back from its work, killed")
                _kill_group(kept.process.pid, signal.SIGKILL)
            return
        # What the dead one leaves of its group would go on beside its successor.
        _kill_group(kept.process.pid, signal.SIGKILL)
        kept.process = None
        now = time.monotonic()
        early = now - kept.started_at < STEADY_SECONDS
        kept.early_ends = kept.early_ends + 1 if early else 0
        pause = min(0.25 * 2 ** (kept.early_ends - 2), LONGEST_PAUSE) if kept.early_ends > 1 else 0
        kept.start_at = now + pause
        # One that cannot live ends every few seconds: the first times are news.
        if not self._stopping and (kept.early_ends <= 3 or kept.early_ends % 20 == 0):
            where = f" (see {kept.child.log})" if kept.child.log and kept.early_ends > 1 else ""
            self._say(f"{kept.child.name}: ended {_how(code)}, starting it again{where}")

    def _start(self, kept: _Kept) -> None:
        kept.started_at = time.monotonic()
        try:
            kept.process = _start_process(kept.child)
        except OSError as error:
            kept.early_ends += 1
            kept.start_at = kept.started_at + LONGEST_PAUSE
            self._say(f"{kept.child.name}: cannot be started ({error})")

    def _stop_stage(self, stage: list[_Kept]) -> None:
        began = time.monotonic()
        for kept in stage:
            if kept.process is not None and kept.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(kept.process.pid, signal.SIGTERM)
        left = [kept for kept in stage if kept.process is not None]
        while left:
            for kept in list(left):
                assert kept.process is not None
                ended = kept.process.poll() is not None
                if ended or time.monotonic() - began > kept.child.grace:
                    _kill_group(kept.process.pid, signal.SIGKILL)
                if ended:
                    kept.process = None
                    left.remove(kept)
            if left:
                self.wait(0.1)


def _start_process(child: Child) -> Process:
    if child.run is not None:
        return _Fork(_fork(child))
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(open(child.log, "ab")) if child.log else None
        return subprocess.Popen(
            list(child.command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(child.env) if child.env is not None else None,
            cwd=child.cwd,
            # A session of its own: Ctrl-C in the terminal comes to us alone, and we tell them.
            start_new_session=True,
            preexec_fn=end_with_parent(child.signal_when_orphaned),
        )


def _fork(child: Child) -> int:
    assert child.run is not None
    die_with_parent = end_with_parent(child.signal_when_orphaned)
    sys.stdout.flush()
    sys.stderr.flush()
    # Until the child has put our handlers away, a signal that asks it to stop would end in them and
    # be lost; so it waits until then.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        pid = os.fork()
        if not pid:
            _run_forked(child.run, die_with_parent)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _run_forked(run: Callable[[], None], die_with_parent: Callable[[], None]) -> NoReturn:
    code = 1
    try:
        os.setsid()
        die_with_parent()
        signal.set_wakeup_fd(-1)
        for number in (*STOP_SIGNALS, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        run()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Not sys.exit: the parent's `finally` blocks and exit handlers are not ours to run.
        os._exit(code)


def end_with_parent(number: int) -> Callable[[], None]:
    """For the child, right after the fork: the kernel sends it `number` when its parent is gone."""
    parent = os.getpid()

    def ask_kernel() -> None:
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return ask_kernel


def _kill_group(pid: int, number: int) -> None:
    """Signal a child's group; each child leads one, so nobody else is in it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _how(code: int) -> str:
    if code >= 0:
        return f"with code {code}"
    with contextlib.suppress(ValueError):
        return f"by {signal.Signals(-code).name}"
    return f"by signal {-code}"
