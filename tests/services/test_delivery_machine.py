"""Random histories of the delivery: workers die anywhere, answers get lost, receipts come late.

A model of the provider keeps its own ledger. Whatever happens, it takes no message twice, takes
those of a chat in the order of writing, and in the end every message has an outcome that fits.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select, text

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import Message, MessageStatus, QueuedMessage, QueueStatus
from crm.providers.base import Receipt
from crm.providers.outbound import Effect, ProviderError, SendResult
from crm.services.messages import delivery, outcomes
from crm.services.messages.delivery import Claim, Settings
from crm.services.messages.outbound import queue_outbound
from crm.services.messages.receipts import apply_receipts
from tests.conftest import empty_database
from tests.factories import make_chat, make_number

SETTINGS = Settings(graph_url="", encryption_keys=())


@dataclass
class Worker:
    """A thread between two steps. `answer` is what came back from the provider, if anything."""

    claim: Claim
    has_called: bool = False
    answer: SendResult | ProviderError | None = None


class Delivery(RuleBasedStateMachine):
    @initialize()
    def lay_out(self) -> None:
        db.session.rollback()
        empty_database()
        self.number = make_number(rate_limit_per_minute=0)
        self.chats = [make_chat(number=self.number) for _ in range(2)]
        db.session.commit()
        self.workers: list[Worker] = []
        self.ledger: list[tuple[int, str]] = []  # (message id, opaque id), as accepted

    # -- what people and the product do ----------------------------------------------------------

    @rule(chat=st.integers(0, 1))
    def write(self, chat: int) -> None:
        with atomic():
            queue_outbound(self.chats[chat], text="Hola")

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        with atomic():
            claimed = delivery.claim_due(
                self.number.id, owner=uuid.uuid4(), settings=SETTINGS, limit=limit
            )
        self.workers += [Worker(claim) for claim in claimed.claims]

    @precondition(lambda self: self.waiting())
    @rule(
        pick=st.integers(0, 99),
        fate=st.sampled_from(["yes", "yes", "lost", "away", "busy", "pair", "refused", "dies"]),
    )
    def call(self, pick: int, fate: str) -> None:
        """Submit and, at once, call. `lost`: the provider took it and we never hear of it."""
        worker = self.waiting()[pick % len(self.waiting())]
        with atomic():
            may = delivery.mark_submitted(worker.claim, settings=SETTINGS)
        if not may or fate == "dies":
            self.workers.remove(worker)
            return
        worker.has_called = True
        opaque = f"{self.key_of(worker.claim.message_id)}.{worker.claim.attempt}"
        if fate in ("yes", "lost"):
            self.ledger.append((worker.claim.message_id, opaque))
        worker.answer = {
            "yes": SendResult(f"wamid.{opaque}"),
            "lost": ProviderError("?", effect=Effect.UNKNOWN, code="no_answer"),
            "away": ProviderError("?", effect=Effect.RETRY, code="not_sent"),
            "busy": ProviderError("?", effect=Effect.RATE, code="130429"),
            "pair": ProviderError("?", effect=Effect.PAIR, code="131056"),
            "refused": ProviderError("?", effect=Effect.PERMANENT, code="131026"),
        }[fate]

    @precondition(lambda self: self.answered())
    @rule(pick=st.integers(0, 99))
    def record(self, pick: int) -> None:
        worker = self.answered()[pick % len(self.answered())]
        self.workers.remove(worker)
        with atomic():
            if isinstance(worker.answer, SendResult):
                outcomes.record_sent(worker.claim, worker.answer)
            else:
                outcomes.record_error(worker.claim, worker.answer, settings=SETTINGS)

    # -- what goes wrong, and time ---------------------------------------------------------------

    @precondition(lambda self: self.workers)
    @rule(pick=st.integers(0, 99))
    def kill(self, pick: int) -> None:
        """kill -9 between any two steps."""
        self.workers.pop(pick % len(self.workers))

    @rule()
    def leases_end(self) -> None:
        """Also of workers that are only slow: they come back and find their fence gone."""
        self.set_back("lease_until")
        with atomic():
            outcomes.expire_leases(self.number.id)

    @rule()
    def backoffs_end(self) -> None:
        self.set_back("scheduled_at")
        db.session.execute(text("UPDATE number_pace SET free_at = now()"))
        db.session.commit()

    @rule()
    def holds_end(self) -> None:
        self.set_back("processing_completed_at")

    @precondition(lambda self: self.ledger)
    @rule(pick=st.integers(0, 99), status=st.sampled_from(["sent", "delivered", "read"]))
    def tell(self, pick: int, status: str) -> None:
        """A receipt of something that was taken: early, late or again."""
        self.tell_of(self.ledger[pick % len(self.ledger)], status)

    # -- what must hold --------------------------------------------------------------------------

    @invariant()
    def nothing_is_taken_twice(self) -> None:
        taken = [message_id for message_id, _ in getattr(self, "ledger", [])]
        assert len(taken) == len(set(taken)), taken

    @invariant()
    def the_order_of_each_chat_is_kept(self) -> None:
        for chat in getattr(self, "chats", []):
            own = set(db.session.scalars(select(Message.id).where(Message.chat_id == chat.id)))
            taken = [message_id for message_id, _ in self.ledger if message_id in own]
            assert taken == sorted(taken)

    def teardown(self) -> None:
        """Everything comes back to life: each message ends, and rightly."""
        if not hasattr(self, "chats"):
            return
        self.workers.clear()
        for _ in range(60):
            self.leases_end()
            self.holds_end()
            self.backoffs_end()
            self.claim(10)
            while self.waiting():
                self.call(0, "yes")
            while self.answered():
                self.record(0)
            db.session.expire_all()
            if not self.open_rows():
                break
        assert not self.open_rows(), "something is stuck"
        for entry in self.ledger:
            self.tell_of(entry, "delivered")
        self.nothing_is_taken_twice()
        self.the_order_of_each_chat_is_kept()
        taken = {message_id for message_id, _ in self.ledger}
        db.session.expire_all()
        for message in db.session.scalars(select(Message)):
            if message.id in taken:
                assert message.status in (MessageStatus.DELIVERED, MessageStatus.READ)
            else:
                assert message.status in (MessageStatus.FAILED, MessageStatus.UNCERTAIN)

    # -- tools -----------------------------------------------------------------------------------

    def waiting(self) -> list[Worker]:
        return [worker for worker in self.workers if not worker.has_called]

    def answered(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.has_called]

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
def test_no_history_loses_doubles_or_reorders(database):
    run_state_machine_as_test(
        Delivery,
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
