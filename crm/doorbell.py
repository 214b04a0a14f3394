"""The doorbell: "there is work" for a worker, by name.

Postgres says what is to be done; a ring only says *now*. Rings are coalesced per (job, key) while
one waits, a lost one costs seconds (the clock's sweep rings again), and a doubled one finds nothing
to do. `ring_on_commit("messages.deliver", 3)` runs `crm.jobs.messages.deliver(3)`; the name is
checked at the call, so that a typo fails at the caller and services need not import jobs.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import structlog
from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer

from crm.db import db, on_commit
from crm.extensions import redis_client

log = structlog.get_logger(__name__)

# "signs" is for calls that are short and that somebody waits for: how a session stands, blue ticks.
# "tending" keeps what time makes due, a job a chat, out of the way of chats that look for an agent.
QUEUES = ("delivery", "routing", "tending", "bots", "media", "signs", "slow")
# A ring that no worker took within this time may be repeated.
RING_SECONDS = 60


@dataclass(frozen=True)
class JobSpec:
    queue: str
    timeout: int


# Every job there is. `module.function` below crm.jobs.
JOBS = {
    "messages.deliver": JobSpec("delivery", 90),
    "messages.watch": JobSpec("slow", 60),
    "messages.read_words": JobSpec("slow", 120),
    "routing.route": JobSpec("routing", 60),
    "routing.drain": JobSpec("routing", 60),
    "routing.serve": JobSpec("routing", 60),
    "routing.release": JobSpec("routing", 60),
    "routing.tend": JobSpec("tending", 60),
    "housekeeping.purge": JobSpec("slow", 300),
    "emails.send": JobSpec("slow", 90),
    "audit.seal": JobSpec("slow", 120),
    "media.fetch": JobSpec("media", 600),
    "media.count": JobSpec("slow", 60),
    "media.tidy": JobSpec("slow", 600),
    "wppconnect.check": JobSpec("signs", 120),
    "wppconnect.close": JobSpec("signs", 60),
    "wppconnect.catch_up": JobSpec("slow", 300),
    "wppconnect.reconcile": JobSpec("signs", 120),
    "alarms.announce": JobSpec("slow", 60),
    "clients.merge": JobSpec("slow", 60),
    "messages.import_history": JobSpec("slow", 600),
    "ledger.watch": JobSpec("slow", 60),
    "ledger.count": JobSpec("slow", 120),
    "ledger.replay": JobSpec("slow", 90),
    "ledger.serve": JobSpec("slow", 90),
    "ledger.purge": JobSpec("slow", 300),
    "numbers.count": JobSpec("slow", 120),
    "numbers.total": JobSpec("slow", 120),
    "numbers.watch": JobSpec("slow", 60),
    "numbers.refresh": JobSpec("slow", 120),
    "presence.read": JobSpec("signs", 30),
    "presence.typing": JobSpec("signs", 30),
    "presence.pause": JobSpec("signs", 30),
    "templates.sync": JobSpec("slow", 120),
    "templates.sync_all": JobSpec("slow", 300),
}


def ring_on_commit(name: str, key: int | str) -> None:
    """Ring once the current transaction is committed."""
    _spec(name)
    on_commit(lambda: ring(name, key))


def ring(name: str, key: int | str) -> bool:
    """Ring now. True if a job was put on its queue, False if one waits already or Redis is away."""
    spec = _spec(name)
    job_id = uuid4().hex
    try:
        # The key names its job, so that a lost ring can be told from one that waits.
        if not redis_client.set(_ring_key(name, key), job_id, nx=True, ex=RING_SECONDS):
            return False
        _queue_of(spec).enqueue(
            f"crm.jobs.{name}",
            key,
            job_id=job_id,
            job_timeout=spec.timeout,
            result_ttl=0,
            failure_ttl=24 * 3600,
            description=f"{name}({key})",
        )
        return True
    except RedisError as error:
        log.warning("ring_failed", job=name, key=key, error=type(error).__name__)
        return False


def ring_again(name: str, key: int | str) -> bool:
    """Ring for work that the clock found undone. True if a job was put on its queue.

    A worker that was killed right after it took a job from the queue left the ring's key behind,
    which would silence everybody until it ends. If its job waits in the queue no more, that ring is
    lost, or the job starts this very moment; then one ring too many finds nothing to do.
    """
    if ring(name, key):
        return True
    try:
        job_id = redis_client.get(_ring_key(name, key))
        if job_id and redis_client.lpos(_queue_of(_spec(name)).key, job_id) is not None:
            return False
    except RedisError:
        return False
    clear_ring(name, key)
    return ring(name, key)


def job(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Mark a function of `crm.jobs` as the job `name`.

    At its start the ring's key is cleared: what is committed from now on rings again. The function
    runs within the worker's application context; its database session ends with it.
    """
    _spec(name)

    def wrap(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(key: int | str) -> None:
            started = time.monotonic()
            clear_ring(name, key)
            try:
                function(key)
            finally:
                db.session.remove()
                log.info("job", job=name, key=key, ms=round((time.monotonic() - started) * 1000))

        run.job_name = name  # type: ignore[attr-defined]
        return run

    return wrap


def clear_ring(name: str, key: int | str) -> None:
    try:
        redis_client.delete(_ring_key(name, key))
    except RedisError as error:
        # The key ends by itself; until then the clock's sweep finds the work.
        log.warning("ring_not_cleared", job=name, key=key, error=type(error).__name__)


def _queue_of(spec: JobSpec) -> Queue:
    # RQ wants the bare client; JSON because pickle would run what anyone writes to Redis.
    return Queue(spec.queue, connection=redis_client.client, serializer=JSONSerializer)


def _ring_key(name: str, key: int | str) -> str:
    return f"crm:ring:{name}:{key}"


def _spec(name: str) -> JobSpec:
    try:
        return JOBS[name]
    except KeyError:
        raise LookupError(f"no job is called {name!r}; crm.doorbell.JOBS lists them") from None
