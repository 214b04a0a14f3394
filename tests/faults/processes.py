"""What the fault tests need of real processes: start them, find them, wait for them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.simulator.server import free_port

ROOT = Path(__file__).resolve().parents[2]
FLASK = [sys.executable, "-m", "flask", "--app", "wsgi"]
# Generous: the machine may be busy with other tests. Nothing here waits longer than it must.
PATIENCE = 60.0


def wait_until(condition: Callable[[], object], what: str, *, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


def processes_of(folder: Path) -> list[str]:
    """Every process that works for this data folder, by its environment or its command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                continue
            words = [*process.cmdline(), process.environ().get("CRM_DATA_DIR", "")]
        except psutil.Error:
            continue
        if any(str(folder) in word for word in words):
            found.append(f"{process.pid} {' '.join(words[:8])}")
    return found


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    os.kill(pid, number)


class LocalStack:
    """`flask local run` in a folder of its own, as a child of this test."""

    def __init__(self, folder: Path, *, settings: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.output = folder.with_name(f"{folder.name}.out")
        surroundings = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CRM_", "META_", "SIMULATOR_")) and name != "PORT"
        }
        self.environment = {
            **surroundings,
            "CRM_DATA_DIR": str(folder),
            "PORT": str(self.port),
            "SIMULATOR_PORT": str(free_port()),
            "CRM_SWEEP_SECONDS": "0.5",
            **(settings or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, command: list[str] | None = None) -> LocalStack:
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(
                command or [*FLASK, "local", "run"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return self

    def wait_until_up(self) -> LocalStack:
        """Up is when it has said so: then every process has been started."""
        assert self.process is not None

        def said() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.said()
            return "Ctrl-C stops everything" in self.said()

        wait_until(said, f"the stack is up\n{self.said()}")
        return self

    def said(self) -> str:
        return self.output.read_text()

    def get(self, path: str) -> int:
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                status: int = answer.status
                return status
        except OSError:
            return 0

    def children(self) -> dict[str, psutil.Process]:
        """The supervisor's own children by what they are."""
        assert self.process is not None
        marks = {
            "servers": "crm/embedded",
            "web": "gunicorn",
            "worker": "worker",
            "clock": "clock",
            "simulator": "crm.simulator",
        }
        found = {}
        for process in psutil.Process(self.process.pid).children():
            try:
                line = " ".join(process.cmdline())
            except psutil.Error:
                continue
            found |= {name: process for name, mark in marks.items() if mark in line}
        return found

    def local_env(self) -> dict[str, str]:
        result = subprocess.run(
            [*FLASK, "local", "env"],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        return dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line)

    def stop(self) -> None:
        """For the end of a test, however it went."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
