"""A worker's end at every point of a message's way (A1, A3-A6), and messages that end it (A14)."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections import Counter
from collections.abc import Callable

import psutil
import pytest
from flask import Flask
from rq import Queue
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer
from sqlalchemy import TextClause, select, text

from crm.db import db
from crm.doorbell import ring
from crm.extensions import redis_client
from crm.jobs import messages as job
from crm.jobs.clock import sweep_all
from crm.jobs.under_way import THREADS_PER_NUMBER
from crm.jobs.worker import serve_queue
from crm.models import Message, MessageStatus, QueuedMessage, QueueStatus, WhatsappNumber
from crm.services.messages import stuck
from crm.services.messages.outbound import Priority
from tests.faults.forked import (
    POINTS,
    Forked,
    abort,
    be_killed,
    eat_memory,
    worker_that_waits,
    workers_that_choke,
)
from tests.faults.processes import PATIENCE, wait_until
from tests.faults.sizes import FULL, size
from tests.jobs.crowd import gather, write_to_all
from tests.jobs.sending import (
    accepted_texts,
    drain,
    drain_until_quiet,
    number_at,
    open_chat,
    statuses,
    write,
)
from tests.simulator.server import SimulatorServer

pytestmark = pytest.mark.faults

# What a message comes to whose worker was killed there: its status, and how often it was taken.
KILLED_AT = {
    "popped": (MessageStatus.SENT, 1),
    "claimed": (MessageStatus.SENT, 1),
    "submitted": (MessageStatus.UNCERTAIN, 0),
    "accepted": (MessageStatus.UNCERTAIN, 1),
    "committed": (MessageStatus.SENT, 1),
}


@pytest.fixture
def impatient(product: Flask) -> Flask:
    """Whose leases end soon: nobody here waits for a slow call."""
    product.config["CRM"] = dataclasses.replace(
        product.config["CRM"], lease_seconds=1, provider_seconds=0.8, uncertain_hold_seconds=0.2
    )
    return product


def jobs_of_rq() -> tuple[list[str], list[str]]:
    """The delivery's jobs that wait, and those that a worker has not given an answer for."""
    queue = Queue("delivery", connection=redis_client.client, serializer=JSONSerializer)
    started = StartedJobRegistry(queue=queue)
    return queue.job_ids, started.get_job_ids(cleanup=False)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM], ids=["kill-9", "term"])
def test_a_worker_that_ends_at_any_point_loses_and_doubles_nothing(
    impatient: Flask,
    whatsapp: SimulatorServer,
    number: WhatsappNumber,
    point: str,
    by: signal.Signals,
) -> None:
    chat = open_chat(whatsapp, number)
    first, second = write(chat, "uno"), write(chat, "dos")
    with worker_that_waits(impatient, point) as worker:
        (before, under_way) = jobs_of_rq()
        assert before == [], "the job has left the queue"
        # RQ itself knows of nobody who has it, at the first point; at the last one it has not
        # been told yet that all is done.
        assert len(under_way) == (0 if point == "popped" else 1)
        worker.send(by)
        code = worker.wait()
    if by is signal.SIGTERM:
        assert code == 0, "it ended by itself, with what was under way"
        if point != "popped":
            assert db_status(first) is MessageStatus.SENT
    if point == "committed":
        # RQ runs an unanswered job again; it finds nothing to do.
        assert db_status(first) is MessageStatus.SENT
        drain(number)
    drain_until_quiet(number)
    expected = KILLED_AT[point] if by is signal.SIGKILL else (MessageStatus.SENT, 1)
    texts = accepted_texts(whatsapp)[chat.client.phone_number.lstrip("+")]
    assert (db_status(first), texts.count("uno")) == expected
    assert db_status(second) is MessageStatus.SENT
    assert texts == ["uno", "dos"][-len(texts) :], "once each, in their order"
    assert stuck.find_lost() == []


def db_status(message: Message) -> MessageStatus:
    db.session.rollback()
    db.session.refresh(message)
    return message.status


@pytest.mark.parametrize("end", [abort, be_killed, eat_memory] if FULL else [abort])
def test_a_message_that_ends_every_worker_fails_alone_and_the_queue_goes_on(
    impatient: Flask,
    whatsapp: SimulatorServer,
    number: WhatsappNumber,
    end: Callable[[], None],
) -> None:
    poison_id = write(open_chat(whatsapp, number), "veneno").id
    for n in range(6):
        write(open_chat(whatsapp, number), f"bien {n}")
    number_id = number.id
    with workers_that_choke(impatient, poison_id, end):
        deadline = time.monotonic() + PATIENCE
        while any_open():
            assert time.monotonic() < deadline, "the queue stands still"
            sweep_all()
            time.sleep(0.1)
        poison = db.session.get_one(Message, poison_id)
        assert poison.status is MessageStatus.FAILED
        assert poison.error_code == "crashed"
        assert poison.queued is not None
        assert poison.queued.attempts == 3
        write(open_chat(whatsapp, db.session.get_one(WhatsappNumber, number_id)), "después")
        while any_open():
            assert time.monotonic() < deadline, "no worker came back"
            sweep_all()
            time.sleep(0.1)
    texts = Counter(row["text"] for row in whatsapp.accepted())
    assert texts == Counter([*(f"bien {n}" for n in range(6)), "después"])
    assert stuck.find_lost() == []


def any_open() -> bool:
    db.session.rollback()
    waiting = QueuedMessage.status.in_([QueueStatus.PENDING, QueueStatus.PROCESSING])
    return db.session.scalar(select(QueuedMessage.id).where(waiting).limit(1)) is not None


# Of the worker's own connections; the others are there before it.
CONNECTIONS = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
UNDER_WAY = text(
    "SELECT count(*) FROM message_queue WHERE status = 'processing' AND submitted_at IS NOT NULL"
)


def test_a_stop_lets_every_call_under_way_end_and_be_written_down(
    product: Flask,
    whatsapp: SimulatorServer,
    number: WhatsappNumber,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A provider that hangs for all: every thread waits when the worker is asked to stop, at some
    moment in or between jobs, which are short here."""
    monkeypatch.setattr(job, "SECONDS", 0.2)
    product.config["CRM"] = dataclasses.replace(
        product.config["CRM"], provider_seconds=size(2, 4), lease_seconds=30
    )
    whatsapp.settings(enforce_window=False)
    whatsapp.set_fault("timeout", seconds=10)
    rows = [whatsapp.add_number(f"10000000000020{n}", f"+5760155503{n}") for n in range(size(1, 9))]
    numbers = [number, *(number_at(product, whatsapp, row["id"]) for row in rows)]
    for each in numbers:
        write_to_all(gather(each, count=THREADS_PER_NUMBER + 6), "Hola", priority=Priority.AGENT)
    many = THREADS_PER_NUMBER * len(numbers)
    ring("messages.deliver", number.id)
    before = look(CONNECTIONS)
    worker = Forked(lambda: serve_queue(product, "delivery"))
    try:
        process = psutil.Process(worker.pid)
        wait_until(
            lambda: look(UNDER_WAY) == many and process.num_threads() > many,
            "every thread is at the provider's door",
        )
        held = look(CONNECTIONS) - before
        print(
            f"\n{many} calls under way: {process.num_threads()} threads, {process.num_fds()} files,"
            f" {held} connections to Postgres, {process.memory_info().rss // 2**20} MB"
        )
        # Who claims, and who writes outcomes; no call holds any.
        assert held <= 2
        begun = time.monotonic()
        worker.send(signal.SIGTERM)
        assert worker.wait() == 0
        print(f"ended {time.monotonic() - begun:.1f} s after SIGTERM; a call takes {size(2, 4)} s")
    finally:
        worker.end()
    db.session.rollback()
    assert statuses() == {MessageStatus.UNCERTAIN: many, MessageStatus.PENDING: 6 * len(numbers)}
    assert look(UNDER_WAY) == 0
    assert stuck.find_lost() == []


def look(statement: TextClause) -> int:
    db.session.rollback()
    return db.session.scalars(statement).one()
