"""Many messages at once (A16, D10): people pass a mass sending, and every chat keeps its order.

Small here; in `make faults` ten thousand beside fifty, and three thousand of one number.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import text

from crm.db import atomic, db
from crm.jobs import messages as job
from crm.jobs.under_way import THREADS_PER_NUMBER
from crm.models import Chat, WhatsappNumber
from crm.services.messages import stuck
from crm.services.messages.contents import Text
from crm.services.messages.outbound import Priority, queue_outbound
from tests.faults.processes import wait_until
from tests.faults.sizes import percentiles, size
from tests.jobs.crowd import gather, write_to_all
from tests.simulator.server import SimulatorServer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(size(180, 1200))]


@pytest.fixture(autouse=True)
def emptied(product: Flask) -> Iterator[None]:
    """A crowd is gone at once; row by row, as after other tests, takes longer than a statement
    may."""
    yield
    db.session.rollback()
    with db.engine.begin() as connection:
        connection.execute(text("TRUNCATE clients CASCADE"))


OPEN = text("""
    SELECT EXISTS (SELECT FROM message_queue WHERE status IN ('pending', 'processing'))
""")


def drain_beside(product: Flask, number_id: int) -> threading.Thread:
    def work() -> None:
        is_open = True
        while is_open:
            # A session for each look: one that stayed open during a job would be ended by Postgres.
            with product.app_context():
                job.deliver(number_id)
            with product.app_context():
                is_open = db.session.scalar(OPEN)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


class Taken:
    """How many messages WhatsApp has taken; reads of its ledger only what is new."""

    def __init__(self, whatsapp: SimulatorServer) -> None:
        self._ledger = whatsapp.data_dir / "accepted.jsonl"
        self._read = self._count = 0

    def count(self) -> int:
        if self._ledger.exists():
            with self._ledger.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            self._read += len(new)
            self._count += new.count(b"\n")
        return self._count


def test_mass_sending_lets_living_people_pass(
    product: Flask,
    whatsapp: SimulatorServer,
    number: WhatsappNumber,
) -> None:
    whatsapp.settings(enforce_window=False)
    many, live = size(400, 10_000), size(10, 50)
    chats = gather(number, count=many + live)
    write_to_all(chats[:many], "Promoción", priority=Priority.BULK)
    whatsapp.set_fault("slow", seconds=0.1)
    taken = Taken(whatsapp)
    draining = drain_beside(product, number.id)
    ahead: dict[str, tuple[int, float]] = {}
    for n, chat_id in enumerate(chats[many:], start=1):
        # All along the mass sending, and the last ones well before its end.
        due = n * many // (live + 5)
        wait_until(lambda due=due: taken.count() >= due, "the mass leaves", seconds=600)
        with atomic():
            queue_outbound(db.session.get_one(Chat, chat_id), Text(f"Respuesta {chat_id}"),
                           priority=Priority.AGENT)  # fmt: skip
        ahead[f"Respuesta {chat_id}"] = taken.count(), time.time()
    draining.join()

    rows = whatsapp.accepted()
    assert Counter(Counter(row["text"] for row in rows).values()) == {1: many + live}
    for place, row in enumerate(rows):
        if row["text"] in ahead:
            # Before it only what was claimed already when it was written.
            passed_by = place - ahead[row["text"]][0]
            assert passed_by <= 2 * THREADS_PER_NUMBER, row
    waits = [row["at"] - ahead[row["text"]][1] for row in rows if row["text"] in ahead]
    print(f"\n{live} answers beside a mass of {many}: {percentiles(waits)}")
    assert stuck.find_lost() == []


def test_a_pile_of_one_number_leaves_once_and_each_chat_in_its_order(
    product: Flask,
    whatsapp: SimulatorServer,
    number: WhatsappNumber,
) -> None:
    """No worker for a while: everything waits, and then it leaves."""
    whatsapp.settings(enforce_window=False)
    chats = gather(number, count=size(20, 100))
    each = size(8, 30)
    write_to_all(chats, "Pedido", each=each, priority=Priority.AGENT)
    begun = time.time()
    drain_beside(product, number.id).join()

    rows = whatsapp.accepted()
    order: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        _, chat_id, n = row["text"].split()
        order[chat_id].append(int(n))
    assert order == {str(chat_id): list(range(1, each + 1)) for chat_id in chats}
    print(f"\n{len(rows)} of one number: {percentiles([row['at'] - begun for row in rows])}")
    assert stuck.find_lost() == []
