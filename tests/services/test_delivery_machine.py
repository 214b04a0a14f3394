"""Random histories of the delivery: workers die anywhere, answers get lost, receipts come late.

A model of the provider keeps its own ledger. Whatever happens, it takes no message twice, takes
those of a chat in the order of writing, and in the end every message has an outcome that fits.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import Message, MessageStatus, QueuedMessage, QueueStatus
from crm.providers.base import Receipt
from crm.providers.outbound import Effect, ProviderError, SendResult, Text
from crm.services.messages import delivery, outcomes, stuck
from crm.services.messages.accepted import Accepted, record_sent
from crm.services.messages.claims import Claim, Settings
from crm.services.messages.outbound import queue_outbound
from crm.services.messages.receipts import apply_receipts
from tests.conftest import empty_database
from tests.factories import make_chat, make_number

SETTINGS = Settings(graph_url="", encryption_keys=())
# As often as they stand here.
STEPS = (
    ["write"] * 4 + ["claim"] * 5 + ["call"] * 6 + ["record"] * 4
    + ["kill", "leases_end", "time_passes", "time_passes", "tell", "tell"]
)  # fmt: skip
FATES = ("yes", "yes", "yes", "lost", "away", "busy", "pair", "refused", "dies")
YES = 0
ERRORS = {
    "lost": ProviderError("?", effect=Effect.UNKNOWN, code="no_answer"),
    "away": ProviderError("?", effect=Effect.RETRY, code="not_sent"),
    "busy": ProviderError("?", effect=Effect.RATE, code="130429"),
    "pair": ProviderError("?", effect=Effect.PAIR, code="131056"),
    "refused": ProviderError("?", effect=Effect.PERMANENT, code="131026"),
}


@dataclass
class Worker:
    """A thread between two steps. `answer` is what came back from the provider, if anything."""

    claim: Claim
    has_called: bool = False
    answer: SendResult | ProviderError | None = None


class Delivery:
    """One history. Each step takes a number that picks what it is about."""

    def __init__(self) -> None:
        # A session of its own: ids begin anew, and rows of the last history would shine through.
        db.session.remove()
        empty_database()
        self.number = make_number(rate_limit_per_minute=0)
        self.chats = [make_chat(number=self.number) for _ in range(2)]
        db.session.commit()
        self.workers: list[Worker] = []
        self.ledger: list[tuple[int, str]] = []  # (message id, opaque id), as accepted

    # -- what people and the product do ----------------------------------------------------------

    def write(self, pick: int) -> None:
        with atomic():
            queue_outbound(self.chats[pick % 2], Text("Hola"))

    def claim(self, pick: int) -> None:
        with atomic():
            rooms = {self.number.id: 1 + pick % 3}
            claimed = delivery.claim_due(
                rooms, owner=uuid.uuid4(), settings=SETTINGS, suspects=pick % 4 == 0
            )
        self.workers += [Worker(claim) for claim in claimed.claims]

    def call(self, pick: int) -> None:
        """Submit and, at once, call. `lost`: the provider took it and we never hear of it."""
        worker = self.find_worker(pick, has_called=False)
        if worker is None:
            return
        fate = FATES[pick % len(FATES)]
        with atomic():
            (may,) = delivery.mark_submitted([worker.claim], settings=SETTINGS)
        if not may or fate == "dies":
            self.workers.remove(worker)
            return
        worker.has_called = True
        opaque = f"{self.key_of(worker.claim.message_id)}.{worker.claim.attempt}"
        if fate in ("yes", "lost"):
            self.ledger.append((worker.claim.message_id, opaque))
        worker.answer = SendResult(f"wamid.{opaque}") if fate == "yes" else ERRORS[fate]

    def record(self, pick: int) -> None:
        worker = self.find_worker(pick, has_called=True)
        if worker is None:
            return
        self.workers.remove(worker)
        with atomic():
            if isinstance(worker.answer, SendResult):
                record_sent([Accepted(worker.claim, worker.answer)], zone="UTC")
            else:
                assert worker.answer is not None
                outcomes.record_error(worker.claim, worker.answer, settings=SETTINGS)

    # -- what goes wrong, and time ---------------------------------------------------------------

    def kill(self, pick: int) -> None:
        """kill -9 between any two steps."""
        if self.workers:
            self.workers.pop(pick % len(self.workers))

    def leases_end(self, pick: int) -> None:
        """Also of workers that are only slow: they come back and find their fence gone."""
        self.set_back("lease_until")
        with atomic():
            outcomes.expire_leases([self.number.id])
        # Time is moved about here, so only what is wrong at any time counts.
        assert stuck.find_lost(seconds=10**6, unresolved_seconds=10**6) == []

    def time_passes(self, pick: int) -> None:
        """Back-offs and the hold of uncertain ones are over."""
        self.set_back("scheduled_at")
        self.set_back("processing_completed_at")
        db.session.execute(text("UPDATE number_pace SET free_at = now()"))
        db.session.commit()

    def tell(self, pick: int) -> None:
        """A receipt of something that was taken: early, late or again."""
        if self.ledger:
            status = ("sent", "delivered", "read")[pick % 3]
            self.tell_of(self.ledger[pick % len(self.ledger)], status)

    # -- what must hold --------------------------------------------------------------------------

    def check(self) -> None:
        taken = [message_id for message_id, _ in self.ledger]
        assert len(taken) == len(set(taken)), f"taken twice: {taken}"
        for chat in self.chats:
            own = set(db.session.scalars(select(Message.id).where(Message.chat_id == chat.id)))
            in_order = [message_id for message_id in taken if message_id in own]
            assert in_order == sorted(in_order), f"out of order: {in_order}"

    def end(self) -> None:
        """Everything comes back to life: each message ends, and rightly."""
        self.workers.clear()
        for _ in range(60):
            self.leases_end(0)
            self.time_passes(0)
            self.claim(8)  # suspects first
            self.claim(2)
            while self.workers:
                self.call(YES)
                self.record(0)
            if not self.open_rows():
                break
        assert not self.open_rows(), "something is stuck"
        for entry in self.ledger:
            self.tell_of(entry, "delivered")
        self.check()
        taken = {message_id for message_id, _ in self.ledger}
        db.session.expire_all()
        for message in db.session.scalars(select(Message)):
            if message.id in taken:
                assert message.status in (MessageStatus.DELIVERED, MessageStatus.READ)
            else:
                assert message.status in (MessageStatus.FAILED, MessageStatus.UNCERTAIN)
        with atomic():
            outcomes.flag_unresolved([self.number.id], settings=SETTINGS)
        assert stuck.find_lost(seconds=0) == []

    # -- tools -----------------------------------------------------------------------------------

    def find_worker(self, pick: int, *, has_called: bool) -> Worker | None:
        found = [worker for worker in self.workers if worker.has_called == has_called]
        return found[pick % len(found)] if found else None

    def open_rows(self) -> list[int]:
        is_open = QueuedMessage.status.in_([QueueStatus.PENDING, QueueStatus.PROCESSING])
        return list(db.session.scalars(select(QueuedMessage.id).where(is_open)))

    def key_of(self, message_id: int) -> uuid.UUID:
        return db.session.scalars(select(Message.client_key).where(Message.id == message_id)).one()

    def set_back(self, column: str) -> None:
        db.session.execute(
            text(f"UPDATE message_queue SET {column} = {column} - interval '1 hour'")
        )
        db.session.commit()

    def tell_of(self, entry: tuple[int, str], status: str) -> None:
        _, opaque = entry
        receipt = Receipt(
            provider="meta",
            phone_number_id=self.number.meta_phone_number_id or "",
            whatsapp_message_id=f"wamid.{opaque}",
            status=status,
            occurred_at=utcnow(),
            opaque_id=opaque,
        )
        with atomic():
            apply_receipts([receipt])


@pytest.mark.timeout(300)
@settings(
    max_examples=20,
    deadline=None,
    database=None,
    # A failure shows the history as it was found: making it shorter takes longer than reading it.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 999)), min_size=30, max_size=60))
def test_no_history_loses_doubles_or_reorders(database, history):
    house = Delivery()
    for step, pick in history:
        getattr(house, step)(pick)
        house.check()
    house.end()
