"""Receipts find their message and move its tick; what finds none waits for it."""

import json
import random
import threading
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, func, select

from crm import events
from crm.db import atomic, db
from crm.extensions import redis_client
from crm.models import (
    EarlyReceipt,
    Message,
    MessageStatus,
    QueuedMessage,
    QueueStatus,
)
from crm.providers.base import Receipt, ReceiptError
from crm.services.messages.receipts import (
    apply_early_receipts,
    apply_receipts,
    take_early_reports,
)
from crm.services.messages.told import read_opaque_id
from tests.factories import make_chat, make_message, make_queued_message

START = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def chat(database):
    chat = make_chat()
    db.session.commit()
    return chat


@contextmanager
def counted_statements():
    """A list that gets every SQL statement of the block."""
    seen: list[str] = []

    def note(connection, cursor, statement, *rest):
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def receipt(status, message=None, *, seconds=0, attempt=1, code="131026", **fields):
    opaque = f"{message.client_key}.{attempt}" if message is not None else None
    return Receipt(
        **{
            "provider": "meta",
            "phone_number_id": "1",
            "whatsapp_message_id": "wamid.X",
            "status": status,
            "occurred_at": START + timedelta(seconds=seconds),
            "opaque_id": opaque,
            "errors": (ReceiptError(code),) if status == "failed" else (),
            **fields,
        }
    )


def apply(*receipts) -> int:
    with atomic():
        return apply_receipts(receipts)


def fresh(message):
    db.session.refresh(message)
    return message


def sent_message(chat, **fields):
    message = make_queued_message(
        chat,
        status=MessageStatus.SENT,
        queue={"status": QueueStatus.COMPLETED, "attempts": 1},
        **fields,
    )
    db.session.commit()
    return message


def test_it_moves_the_tick_by_our_own_id(chat):
    message = sent_message(chat, whatsapp_message_id="wamid.X")
    assert apply(receipt("delivered", message, seconds=2)) == 1
    assert fresh(message).status is MessageStatus.DELIVERED
    assert message.delivered_at == START + timedelta(seconds=2)


def test_it_moves_the_tick_by_the_providers_id(chat):
    message = sent_message(chat, whatsapp_message_id="wamid.X")
    apply(receipt("read"))
    assert fresh(message).status is MessageStatus.READ


def test_our_own_id_wins_over_the_providers(chat):
    mine = sent_message(chat, whatsapp_message_id="wamid.1")
    other = sent_message(chat, whatsapp_message_id="wamid.2")
    apply(receipt("read", mine, whatsapp_message_id="wamid.2"))
    assert fresh(mine).status is MessageStatus.READ
    assert mine.whatsapp_message_id == "wamid.1"
    assert fresh(other).status is MessageStatus.SENT


def test_a_played_voice_note_was_read_and_other_words_say_nothing(chat):
    message = sent_message(chat)
    assert apply(receipt("deleted", message), receipt("warning", message)) == 0
    apply(receipt("played", message))
    assert fresh(message).status is MessageStatus.READ


def test_a_receipt_of_an_unknown_message_waits_and_is_harmless_twice(chat):
    for _ in range(2):
        apply(receipt("sent"), receipt("delivered", seconds=1), receipt("delivered", seconds=1))
    assert db.session.scalar(select(func.count(EarlyReceipt.id))) == 2
    message = sent_message(chat)
    with atomic():
        reports = take_early_reports({message.id: ("wamid.X", message.client_key)})[message.id]
    assert sorted(one.status for one in reports) == ["delivered", "sent"]
    assert db.session.scalar(select(func.count(EarlyReceipt.id))) == 0


def test_a_receipt_that_missed_its_message_by_an_instant_is_applied_later(chat):
    apply(receipt("failed", code="131047"))
    message = sent_message(chat, whatsapp_message_id="wamid.X")
    with atomic():
        assert apply_early_receipts() == 1
    assert fresh(message).status is MessageStatus.FAILED
    assert message.error_code == "131047"
    assert "24 hours" in message.error_message
    assert db.session.scalar(select(func.count(EarlyReceipt.id))) == 0


def test_an_inbound_message_is_never_touched(chat):
    inbound = make_message(chat, whatsapp_message_id="wamid.X")
    db.session.commit()
    apply(receipt("read"))
    assert fresh(inbound).status is MessageStatus.DELIVERED
    assert inbound.read_at is None


def test_a_failure_says_why_in_plain_words(chat):
    message = sent_message(chat)
    apply(receipt("failed", message, seconds=4, code="131026"))
    assert fresh(message).status is MessageStatus.FAILED
    assert message.error_code == "131026"
    assert "the number has no WhatsApp" in (message.error_message or "")
    assert message.failed_at == START + timedelta(seconds=4)


def test_delivered_after_failed_wins_and_takes_the_error_away(chat):
    message = sent_message(chat)
    apply(receipt("failed", message))
    apply(receipt("delivered", message, seconds=9))
    assert fresh(message).status is MessageStatus.DELIVERED
    assert (message.error_code, message.error_message, message.failed_at) == (None, None, None)


def uncertain_message(chat):
    message = make_queued_message(
        chat,
        status=MessageStatus.UNCERTAIN,
        error_code="no_answer",
        whatsapp_message_id=None,
        queue={"status": QueueStatus.UNCERTAIN, "attempts": 1},
    )
    db.session.commit()
    return message


def test_an_uncertain_message_is_settled_and_learns_its_id(chat):
    message = uncertain_message(chat)
    follower = make_queued_message(chat)
    db.session.commit()
    apply(receipt("sent", message))
    assert fresh(message).status is MessageStatus.SENT
    assert message.whatsapp_message_id == "wamid.X"
    assert message.error_code is None
    row = fresh(message.queued)
    assert row.status is QueueStatus.COMPLETED
    assert follower.status is MessageStatus.PENDING
    assert redis_client.llen("rq:queue:delivery") == 1, "the one behind it may leave now"


def test_an_id_that_is_another_messages_is_not_taken(chat):
    sent_message(chat, whatsapp_message_id="wamid.X")
    message = uncertain_message(chat)
    apply(receipt("delivered", message))
    assert fresh(message).status is MessageStatus.DELIVERED
    assert message.whatsapp_message_id is None


def test_a_receipt_cancels_the_next_try(chat):
    message = make_queued_message(chat, queue={"status": QueueStatus.PENDING, "attempts": 1})
    db.session.commit()
    apply(receipt("sent", message))
    assert fresh(message).status is MessageStatus.SENT
    assert fresh(message.queued).status is QueueStatus.COMPLETED


def test_a_row_that_is_being_sent_is_left_to_its_worker(chat):
    message = make_queued_message(chat, queue={"status": QueueStatus.PROCESSING, "attempts": 1})
    db.session.commit()
    apply(receipt("delivered", message))
    assert fresh(message).status is MessageStatus.DELIVERED
    assert fresh(message.queued).status is QueueStatus.PROCESSING


def test_a_failure_of_an_earlier_try_is_stale_but_its_delivery_is_not(chat):
    message = make_queued_message(chat, queue={"status": QueueStatus.PROCESSING, "attempts": 2})
    db.session.commit()
    assert apply(receipt("failed", message, attempt=1)) == 0
    assert fresh(message).status is MessageStatus.PENDING
    apply(receipt("delivered", message, attempt=1))
    assert fresh(message).status is MessageStatus.DELIVERED


def test_a_failure_that_we_made_up_gives_way_to_sent(chat):
    message = make_queued_message(
        chat,
        status=MessageStatus.FAILED,
        error_code="131000",
        queue={"status": QueueStatus.FAILED, "attempts": 7},
    )
    db.session.commit()
    apply(receipt("sent", message, attempt=3))
    assert fresh(message).status is MessageStatus.SENT
    assert fresh(message.queued).status is QueueStatus.COMPLETED


def heard(pubsub):
    """Every event up to now: what stands before a mark of our own."""
    redis_client.publish(events.CHANNEL, "mark")
    found = []
    for message in pubsub.listen():
        if message["data"] == b"mark":
            return found
        if message["type"] == "message":
            found.extend(json.loads(message["data"]))
    raise AssertionError("the line was cut")


def test_it_tells_the_browsers_once_and_only_of_what_changed(chat):
    first = sent_message(chat)
    last = sent_message(chat)
    with redis_client.client.pubsub() as pubsub:
        pubsub.subscribe(events.CHANNEL)
        heard(pubsub)
        before = fresh(chat).version
        apply(receipt("read", first), receipt("read", last))
        assert [(one["name"], one["data"].get("message_id")) for one in heard(pubsub)] == [
            ("message_changed", first.id),
            ("message_changed", last.id),
            ("chat_changed", None),
        ]
        assert fresh(chat).version == before + 1
        apply(receipt("read", first), receipt("delivered", last))
        changed = heard(pubsub)
    assert [one["data"].get("message_id") for one in changed] == [last.id, None]


def test_a_thousand_statuses_cost_a_handful_of_statements(chat):
    messages = [make_queued_message(chat, queue={"attempts": 1}) for _ in range(50)]
    db.session.commit()
    told = [receipt(status, one, whatsapp_message_id=f"wamid.{one.id}")
            for one in messages for status in ("sent", "delivered", "read")]  # fmt: skip
    with counted_statements() as few:
        apply(*told[:3])
    with counted_statements() as many:
        apply(*told[3:])
    assert len(many) <= len(few) < 12
    assert set(db.session.scalars(select(Message.status))) == {MessageStatus.READ}


def test_parallel_receipts_of_the_same_chats_end_right(database):
    chats = [make_chat() for _ in range(4)]
    messages = [sent_message(chat, whatsapp_message_id=f"wamid.{n}")
                for n, chat in enumerate(chats * 5)]  # fmt: skip
    told = [
        receipt(status, one, whatsapp_message_id=one.whatsapp_message_id)
        for one in messages
        for status in ("sent", "delivered", "read")
    ]
    errors = []

    def work(seed):
        own = random.Random(seed).sample(told, len(told))
        with database.app_context():
            try:
                for start in range(0, len(own), 7):
                    apply(*own[start : start + 7])
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    db.session.expire_all()
    assert set(db.session.scalars(select(Message.status))) == {MessageStatus.READ}
    assert set(db.session.scalars(select(QueuedMessage.status))) == {QueueStatus.COMPLETED}


# Fixed: it stands in the names of tests, which parallel runs must agree on.
SOME_KEY = uuid.UUID(int=7, version=4)


@pytest.mark.parametrize(
    "opaque", [None, "", "x", "5.5", f"{SOME_KEY}", f"{SOME_KEY}.", f"{SOME_KEY}.1.1",
               f"{SOME_KEY}.-1", f" {SOME_KEY}.1", f"{SOME_KEY}.٣"]
)  # fmt: skip
def test_an_opaque_id_that_is_not_ours_is_nobodys(opaque):
    assert read_opaque_id(opaque) == (None, None)


def test_an_opaque_id_of_ours_is_read():
    key = uuid.uuid4()
    assert read_opaque_id(f"{key}.12") == (key, 12)
