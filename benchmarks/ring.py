"""From a ring to the start of its job: our worker beside RQ's own, which forks for each job.

Both take from the same Redis in the same run, in turns, one job at a time, as a single message of
an agent does. The floor is a bare BLPOP of a process that does nothing else.

    make bench ARGS=ring        or        python -m benchmarks.ring [--rings 200]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import redis
from cryptography.fernet import Fernet
from rq import Queue, Worker
from rq.serializers import JSONSerializer

from crm import create_app, embedded
from crm.config import Config
from crm.jobs.worker import serve_queue

ARRIVED = "bench:arrived"
BARE = "bench:bare"


def connect(url: str) -> redis.Redis:
    """Without redis-py's own limit of some seconds on an answer, which a BLPOP may well exceed."""
    return redis.Redis.from_url(url, socket_timeout=None)


def arrive(sent_at: float) -> None:
    """The job: says how long ago it was rung. CLOCK_MONOTONIC is one for all processes."""
    redis.Redis.from_url(os.environ["REDIS_URL"]).rpush(ARRIVED, time.monotonic() - sent_at)


def serve_bare(url: str) -> None:
    connection = connect(url)
    while True:
        _, sent_at = connection.blpop(BARE)  # type: ignore[misc]
        connection.rpush(ARRIVED, time.monotonic() - float(sent_at))


def serve_forking(url: str) -> None:
    connection = connect(url)
    worker = Worker(["forking"], connection=connection, serializer=JSONSerializer, worker_ttl=30)
    worker.work(logging_level="CRITICAL")


def serve_ours(settings: dict[str, str]) -> None:
    serve_queue(create_app(Config.from_env(settings)), "ours")


def measure(connection: redis.Redis, send: Callable[[], object], rings: int) -> list[float]:
    """Seconds from ring to start, one at a time."""
    taken = []
    for _ in range(rings):
        send()
        answer = connection.blpop([ARRIVED], timeout=60)
        if answer is None:
            raise SystemExit("a ring was not answered within a minute")
        taken.append(float(answer[1]))
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rings", type=int, default=200)
    rings = parser.parse_args().rings
    with (
        tempfile.TemporaryDirectory(prefix="charla-bench-") as folder,
        embedded.servers(Path(folder) / "servers", durable=False) as urls,
    ):
        settings = {
            "DATABASE_URL": urls.database_url,
            "REDIS_URL": urls.redis_url,
            "SECRET_KEY": "only-for-this-benchmark-of-the-ring",
            "CRM_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        }
        os.environ["REDIS_URL"] = urls.redis_url
        connection = connect(urls.redis_url)
        ways: dict[str, tuple[Callable[[], None], Callable[[], object]]] = {
            "floor: BLPOP": (
                partial(serve_bare, urls.redis_url),
                lambda: connection.rpush(BARE, time.monotonic()),
            ),
            "RQ Worker, a fork per job": (
                partial(serve_forking, urls.redis_url),
                lambda: enqueue(connection, "forking"),
            ),
            "our worker": (partial(serve_ours, settings), lambda: enqueue(connection, "ours")),
        }
        context = multiprocessing.get_context("fork")
        servants = [context.Process(target=serve, daemon=True) for serve, _ in ways.values()]
        for servant in servants:
            servant.start()
        try:
            report(connection, {name: send for name, (_, send) in ways.items()}, rings)
        finally:
            for servant in servants:
                servant.kill()


def enqueue(connection: redis.Redis, queue: str) -> None:
    Queue(queue, connection=connection, serializer=JSONSerializer).enqueue(
        "benchmarks.ring.arrive", time.monotonic(), result_ttl=0
    )


def report(connection: redis.Redis, ways: dict[str, Callable[[], object]], rings: int) -> None:
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for send in ways.values():
        measure(connection, send, 5)  # whoever is still loading
    for _ in range(4):
        for name, send in ways.items():
            taken[name] += measure(connection, send, rings // 4)
    floor = statistics.median(next(iter(taken.values())))
    for name, times in taken.items():
        times.sort()
        middle, late = statistics.median(times), times[int(len(times) * 0.99)]
        ratio = f"{middle / floor:5.1f} x floor"
        print(f"{name:<28} p50 {middle * 1000:7.2f} ms   p99 {late * 1000:7.2f} ms   {ratio}")


if __name__ == "__main__":
    main()
