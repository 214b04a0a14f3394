"""The supervisor, with real processes: it is run as a program of its own and hit from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.processes import ROOT, kill, wait_until

# `sturdy` says when it was told to stop; `deaf` does not listen; `brief` ends at once with 0.
SETUP = """
import os, signal, sys, time
from os.path import exists
from crm.jobs.supervisor import Child, Supervisor

folder = sys.argv[1]

def note(name):
    with open(f"{folder}/{name}", "a") as file:
        file.write(f"{os.getpid()}\\n")

def sturdy():
    note("sturdy")
    def leave(*_):
        with open(f"{folder}/order", "a") as file:
            file.write("sturdy\\n")
        sys.exit(0)
    signal.signal(signal.SIGTERM, leave)
    while True:
        time.sleep(60)

def early_stage():
    note("early")
    def leave(*_):
        with open(f"{folder}/order", "a") as file:
            file.write("early\\n")
        sys.exit(0)
    signal.signal(signal.SIGTERM, leave)
    while True:
        time.sleep(60)

def deaf():
    note("deaf")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)

def brief():
    note("brief")

def parent_of_one():
    note("family")
    pid = os.fork()
    if not pid:
        note("grandchild")
        time.sleep(600)
        os._exit(0)
    while True:
        time.sleep(60)

children = {
    "sturdy": Child("sturdy", run=sturdy, stage=1),
    "early": Child("early", run=early_stage, stage=0),
    "deaf": Child("deaf", run=deaf, grace=0.5),
    "brief": Child("brief", run=brief),
    "family": Child("family", run=parent_of_one),
    "command": Child("command", command=[sys.executable, "-c", "import time; time.sleep(600)"]),
    "stuck": Child("stuck", run=deaf, grace=0.5, is_stuck=lambda: exists(f"{folder}/stuck")),
    "missing": Child("missing", command=["/no/such/program"]),
}
Supervisor([children[name] for name in sys.argv[2:]]).run()
"""


class Supervised:
    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        with open(folder / "said", "wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SETUP, str(folder), *names],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stderr=said,
            )

    def pids(self, name: str) -> list[int]:
        path = self.folder / name
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def wait_for(self, name: str, times: int) -> int:
        """Wait until the child has been started so often; its last pid."""
        wait_until(lambda: len(self.pids(name)) >= times, f"{name} started {times} times")
        return self.pids(name)[times - 1]


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[type[Supervised]]:
    made: list[Supervised] = []

    class Made(Supervised):
        def __init__(self, *names: str) -> None:
            super().__init__(tmp_path, *names)
            made.append(self)

    yield Made  # type: ignore[misc]
    for supervised in made:
        if supervised.process.poll() is None:
            supervised.process.terminate()
            supervised.process.wait(60)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_it_starts_a_killed_child_again(supervised: type[Supervised]) -> None:
    run = supervised("sturdy")
    kill(run.wait_for("sturdy", 1))
    second = run.wait_for("sturdy", 2)
    kill(second)
    third = run.wait_for("sturdy", 3)
    assert gone(second)
    assert not gone(third)


def test_it_starts_a_child_again_that_ended_well(supervised: type[Supervised]) -> None:
    run = supervised("brief")
    run.wait_for("brief", 3)
    assert run.process.poll() is None
    assert len(set(run.pids("brief"))) == len(run.pids("brief"))


def test_it_stops_later_stages_before_earlier_ones(supervised: type[Supervised]) -> None:
    run = supervised("early", "sturdy")
    run.wait_for("early", 1)
    run.wait_for("sturdy", 1)
    run.process.terminate()
    assert run.process.wait(30) == 0
    assert (run.folder / "order").read_text().split() == ["sturdy", "early"]


def test_it_kills_a_child_that_does_not_listen(supervised: type[Supervised]) -> None:
    run = supervised("deaf")
    pid = run.wait_for("deaf", 1)
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(30) == 0
    assert gone(pid)


def test_it_kills_a_stuck_child_and_starts_another(supervised: type[Supervised]) -> None:
    run = supervised("stuck")
    first = run.wait_for("deaf", 1)
    (run.folder / "stuck").touch()
    run.wait_for("deaf", 2)
    (run.folder / "stuck").unlink()
    assert gone(first)


def test_grandchildren_of_a_dead_child_end_before_its_successor_starts(
    supervised: type[Supervised],
) -> None:
    run = supervised("family")
    grandchild = run.wait_for("grandchild", 1)
    kill(run.wait_for("family", 1))
    run.wait_for("family", 2)
    assert gone(grandchild)


def test_children_end_with_a_killed_supervisor(supervised: type[Supervised]) -> None:
    run = supervised("sturdy", "deaf", "command")
    started = {run.wait_for("sturdy", 1), run.wait_for("deaf", 1)}
    children = psutil.Process(run.process.pid).children()
    assert len(children) == 3
    assert started < {child.pid for child in children}
    kill(run.process.pid)
    run.process.wait()
    wait_until(lambda: all(gone(child.pid) for child in children), "every child has ended")
    assert [child for child in children if not gone(child.pid)] == []


def test_a_program_that_is_not_there_keeps_nobody_else_from_running(
    supervised: type[Supervised],
) -> None:
    run = supervised("missing", "sturdy")
    run.wait_for("sturdy", 1)
    run.process.terminate()
    assert run.process.wait(30) == 0
    assert "missing: cannot be started" in (run.folder / "said").read_text()


# Each child is told to stop in the moment of its start, many times: a lost signal costs its grace.
STOPPED_AT_BIRTH = """
import time
from crm.jobs.supervisor import Child, Supervisor

for _ in range(100):
    supervisor = Supervisor()
    supervisor.add(Child("newborn", run=lambda: time.sleep(600), grace=600))
    supervisor.stop_all()
"""


def test_a_child_that_is_told_to_stop_right_after_its_start_does_so() -> None:
    program = [sys.executable, "-c", STOPPED_AT_BIRTH]
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run(program, cwd=ROOT, env=surroundings, timeout=60).returncode == 0
