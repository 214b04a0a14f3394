"""`flask --app wsgi worker`: loads the application once and forks one RQ worker per queue.

One queue per process, because RQ takes from several queues by a plain BLPOP, after which the job
exists nowhere until it runs. No RQ scheduler: its fork would keep a dead worker's socket alive, and
the next ring would go there. Jobs run inside the worker's process (SimpleWorker), not in a fork per
job: a ring then starts its job several times sooner (benchmarks/ring.py prints both), and the
connections to Postgres and to the provider stay open. What RQ's fork would give, an end for a job
that hangs in C code, our supervisor gives: it kills a worker that is far over its job's time.
"""

from __future__ import annotations

import importlib
import mmap
import os
import socket
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import redis
import structlog
from flask import Flask
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import SimpleWorker

from crm.db import db
from crm.doorbell import JOBS, QUEUES
from crm.jobs import shutdown
from crm.jobs.supervisor import Child, Supervisor
from crm.lib.memory import kept_for_good, share_heaps

log = structlog.get_logger(__name__)

WORKER_TTL = 30
MAINTENANCE_SECONDS = 15
MONITORING_SECONDS = 5
# RQ raises in the job at its time-out; what does not come back this long after it hangs in C code.
STUCK_SECONDS = 15
# Longer than the longest call to a provider (20 s): a friendly stop lets it finish.
GRACE_SECONDS = 25
# A worker that has done this many jobs makes place for a fresh one: leaks stay small.
JOBS_PER_LIFE = 5000


class BusyUntil:
    """A moment (time.monotonic()) in memory that a worker shares with its supervisor; 0 = idle."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    def set(self, moment: float) -> None:
        self._memory[:] = struct.pack("d", moment)

    def is_over(self) -> bool:
        (moment,) = struct.unpack("d", self._memory[:])
        return 0 < moment < time.monotonic()


class QueueWorker(SimpleWorker):
    """RQ's SimpleWorker for one queue, without its command channel, with a watch over its time."""

    # RQ doubles its pause up to a minute; a ring must not wait for that once Redis is back.
    max_connection_wait_time = 2.0

    def __init__(self, *args: Any, busy_until: BusyUntil, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._busy_until = busy_until

    def execute_job(self, job: Job, queue: Queue) -> None:
        limit = job.timeout if job.timeout and job.timeout > 0 else Queue.DEFAULT_TIMEOUT
        self._busy_until.set(time.monotonic() + limit + STUCK_SECONDS)
        try:
            super().execute_job(job, queue)
        finally:
            self._busy_until.set(0)

    def handle_warm_shutdown_request(self) -> None:
        shutdown.ask()

    def subscribe(self) -> None:
        """RQ's commands (stop a job, shut down) come over Redis; nobody here sends any."""

    def unsubscribe(self) -> None:
        """See subscribe."""


def run_workers(app: Flask) -> None:
    """Keep one worker per queue alive until SIGTERM or SIGINT."""
    with kept_for_good():
        import_jobs()
    Supervisor(
        [_worker_child(app, queue) for queue in QUEUES],
        say=lambda text: log.warning("worker_supervisor", said=text),
    ).run()


def import_jobs() -> None:
    """Load every job before the fork: shared memory, and a missing function stops the start."""
    for name in JOBS:
        module, function = name.rsplit(".", 1)
        getattr(importlib.import_module(f"crm.jobs.{module}"), function)


def _worker_child(app: Flask, queue: str) -> Child:
    busy_until = BusyUntil()
    return Child(
        name=f"worker {queue}",
        run=_starting_idle(busy_until, partial(serve_queue, app, queue, busy_until=busy_until)),
        grace=GRACE_SECONDS,
        is_stuck=busy_until.is_over,
    )


def _starting_idle(busy_until: BusyUntil, run: Callable[[], None]) -> Callable[[], None]:
    """The successor of a killed worker must not inherit its moment."""

    def fresh() -> None:
        busy_until.set(0)
        run()

    return fresh


def serve_queue(app: Flask, queue: str, *, busy_until: BusyUntil | None = None) -> None:
    """Be the worker of one queue until SIGTERM or the end of this life. Runs in its own process."""
    share_heaps()
    with app.app_context():
        # The parent's connections, if any, stay the parent's: forget them without a goodbye.
        db.engine.dispose(close=False)
        connection = _connect(app.config["CRM"].redis_url)
        worker = QueueWorker(
            [queue],
            name=f"{queue}-{socket.gethostname()}-{os.getpid()}-{int(time.time())}",
            connection=connection,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL,
            maintenance_interval=MAINTENANCE_SECONDS,
            job_monitoring_interval=MONITORING_SECONDS,
            busy_until=busy_until or BusyUntil(),
        )
        log.info("worker_ready", queue=queue, pid=os.getpid())
        worker.work(logging_level="WARNING", max_jobs=JOBS_PER_LIFE, with_scheduler=False)
        shutdown.finish()


def _connect(url: str) -> redis.Redis:
    """A connection that may block for a ring; waits here, quietly, while Redis is away."""
    connection = redis.Redis.from_url(
        url, socket_connect_timeout=5, socket_timeout=WORKER_TTL, health_check_interval=15
    )
    said = False
    while True:
        try:
            connection.ping()
            return connection
        except redis.RedisError as error:
            if not said:
                log.warning("redis_away", error=type(error).__name__)
                said = True
            time.sleep(0.5)
