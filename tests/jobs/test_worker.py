"""`flask worker` as a process of its own: one worker per queue, hard to stop, easy to ask."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from flask import Flask
from sqlalchemy import func, select

from crm import doorbell, embedded
from crm.db import db
from crm.extensions import redis_client
from crm.jobs.schedule import PERIODIC
from crm.jobs.worker import BusyUntil
from crm.models import Chat, ChatStatus, ScheduledRun
from tests.faults.processes import FLASK, ROOT, kill, wait_until
from tests.services.desk import Desk

PURGE = "housekeeping.purge"


class WorkerProcess:
    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.log = log
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                [*FLASK, "worker"],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    def forks(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def ready_queues(self) -> list[str]:
        lines = self.log.read_text().splitlines()
        ready = [line for line in lines if '"worker_ready"' in line]
        return [queue for queue in doorbell.QUEUES for line in ready if f'"{queue}"' in line]

    def wait_until_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return set(self.ready_queues()) == set(doorbell.QUEUES)

        wait_until(ready, "a worker per queue")

    def fork_of(self, queue: str) -> int:
        """The pid that last said it serves this queue."""
        lines = self.log.read_text().splitlines()
        ready = [line for line in lines if '"worker_ready"' in line and f'"{queue}"' in line]
        return int(ready[-1].split('"pid": ')[1].split(",")[0].rstrip("}"))


@pytest.fixture
def worker(app: Flask, environment: dict[str, str], tmp_path: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(environment, tmp_path / "worker.log")
    yield worker
    if worker.process.poll() is None:
        worker.process.terminate()
        worker.process.wait(60)


def ring_and_wait(hour: int) -> None:
    """Ring a job that leaves a trace, and wait for the trace."""
    slot = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
    assert doorbell.ring_again(PURGE, slot.isoformat())

    def done() -> bool:
        finished = ScheduledRun.finished_at.is_not(None)
        query = select(func.count()).where(ScheduledRun.slot == slot, finished)
        count = db.session.scalar(query)
        db.session.rollback()
        return count == 1

    wait_until(done, f"the run of {slot}")


def test_it_serves_every_queue_and_stops_on_sigterm(worker: WorkerProcess) -> None:
    worker.wait_until_ready()
    assert sorted(worker.ready_queues()) == sorted(doorbell.QUEUES)
    ring_and_wait(1)
    forks = worker.forks()
    assert len(forks) == len(doorbell.QUEUES)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(60) == 0
    assert not any(fork.is_running() for fork in forks)


def test_a_killed_fork_is_replaced_and_a_killed_worker_leaves_none(
    worker: WorkerProcess,
) -> None:
    worker.wait_until_ready()
    for hour in (1, 2):
        before = worker.fork_of("slow")
        kill(before)
        # The ring may go to the dead one's socket; the clock would ring again, as here.
        wait_until(lambda before=before: worker.fork_of("slow") != before, "another process")  # type: ignore[misc]
        ring_and_wait(hour)
    # Killed itself, it takes its forks along: the kernel ends them.
    forks = worker.forks()
    kill(worker.process.pid)
    worker.process.wait()
    _, alive = psutil.wait_procs(forks, timeout=30)
    assert not alive


@pytest.fixture
def clock(app: Flask, environment: dict[str, str], tmp_path: Path) -> Iterator[None]:
    """A clock whose full rounds lie hours apart, after its first one."""
    with open(tmp_path / "clock.log", "wb") as log:
        process = subprocess.Popen(
            [*FLASK, "clock"],
            cwd=ROOT,
            env={**os.environ, **environment, "CRM_SWEEP_SECONDS": "7200"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    yield
    process.terminate()
    assert process.wait(60) == 0


def test_a_chat_whose_ring_is_lost_finds_its_agent_all_the_same(
    worker: WorkerProcess, clock: None, database: Flask
) -> None:
    """A worker dies with the ring in its hands; Redis loses everything; nobody rings at all."""
    worker.wait_until_ready()
    last = PERIODIC[-1].job
    wait_until(lambda: redis_client.keys(f"crm:ring:{last}:*") or ran(last), "one full round")
    desk = Desk()
    agent_id = desk.add_agent(limit=9, here=9).id

    fork = worker.fork_of("routing")
    kill(fork, signal.SIGSTOP)
    first = desk.add_waiting()
    doorbell.ring("routing.drain", desk.campaign.id)
    # Redis gives it to the connection that blocks for it, whether anybody reads there or not.
    wait_until(lambda: redis_client.llen("rq:queue:routing:intermediate"), "the worker has it")
    kill(fork)
    wait_until(lambda: held_by(first.id) == agent_id, "found although its worker died")

    redis_client.flushall()
    second = desk.add_waiting()
    third = desk.add_waiting(status=ChatStatus.NEW, queued_at=None)
    for chat in (second, third):
        wait_until(lambda chat=chat: held_by(chat.id) == agent_id, "found although nobody rang")  # type: ignore[misc]
    assert len(worker.forks()) == len(doorbell.QUEUES)


def held_by(chat_id: int) -> int | None:
    db.session.rollback()
    return db.session.scalar(select(Chat.assigned_agent_id).where(Chat.id == chat_id))


def ran(job: str) -> bool:
    db.session.rollback()
    return db.session.scalar(select(ScheduledRun.id).where(ScheduledRun.job == job)) is not None


@pytest.mark.faults
def test_it_waits_for_a_redis_that_comes_late_and_survives_its_restart(
    app: Flask, environment: dict[str, str], tmp_path: Path
) -> None:
    servers = tmp_path / "servers"
    with embedded.servers(servers, durable=False) as urls:
        redis_url = urls.redis_url
    worker = WorkerProcess({**environment, "REDIS_URL": redis_url}, tmp_path / "worker.log")
    try:
        wait_until(lambda: '"redis_away"' in worker.log.read_text(), "it says that Redis is away")
        for hour in (1, 2):
            with embedded.servers(servers, durable=False) as urls:
                assert urls.redis_url == redis_url, "the same folder has the same sockets"
                redis_client.bind(redis_url)
                wait_until(lambda: worker.process.poll() is None and worker.forks(), "it lives")
                ring_and_wait(hour)
    finally:
        redis_client.bind(environment["REDIS_URL"])
        worker.process.terminate()
        assert worker.process.wait(60) == 0


def test_a_job_that_is_far_over_its_time_counts_as_stuck() -> None:
    busy = BusyUntil()
    assert not busy.is_over(), "idle"
    busy.set(1e12)
    assert not busy.is_over(), "at work within its time"
    busy.set(0.001)
    assert busy.is_over()
    busy.set(0)
    assert not busy.is_over()
