"""The delivery job against a simulated WhatsApp of its own, whose ledger is the judge."""

import dataclasses
import threading
import time
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from crm.db import atomic, db
from crm.doorbell import ring
from crm.extensions import redis_client
from crm.jobs import messages as job
from crm.lib.clock import utcnow
from crm.models import (
    Message,
    MessageStatus,
    NumberStatus,
    QueuedMessage,
    QueueStatus,
    WhatsappNumber,
)
from crm.services.messages.contents import Text
from crm.services.messages.outbound import Priority, queue_outbound
from tests.faults.processes import wait_until
from tests.jobs.sending import (
    accepted_texts,
    drain,
    drain_until_quiet,
    number_at,
    open_chat,
    statuses,
    write,
)
from tests.simulator.server import NUMBER, NUMBER_2


def test_it_sends_what_is_queued_and_keeps_the_providers_id(whatsapp, number):
    message = write(open_chat(whatsapp, number), "Buenos días")
    drain(number)
    db.session.refresh(message)
    (row,) = whatsapp.accepted()
    assert (row["text"], row["wamid"]) == ("Buenos días", message.whatsapp_message_id)
    assert row["biz_opaque_callback_data"] == f"{message.client_key}.1"
    assert message.status is MessageStatus.SENT


def test_many_chats_at_once_each_in_its_order(whatsapp, number):
    chats = [open_chat(whatsapp, number) for _ in range(12)]
    for n in range(6):
        for chat in chats:
            write(chat, f"mensaje {n}")
    drain(number)
    assert statuses() == {MessageStatus.SENT: 72}
    for words in accepted_texts(whatsapp).values():
        assert words == [f"mensaje {n}" for n in range(6)]


def test_one_job_serves_the_other_numbers_too(product, whatsapp, number):
    other = number_at(product, whatsapp, NUMBER_2)
    write(open_chat(whatsapp, number), "uno")
    write(open_chat(whatsapp, other), "dos")
    drain(number)
    assert statuses() == {MessageStatus.SENT: 2}


def test_any_number_of_rings_and_workers_send_once(product, whatsapp, number):
    for n in range(20):
        write(open_chat(whatsapp, number), f"único {n}")

    number_id = number.id

    def work():
        with product.app_context():
            job.deliver(number_id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    drain(number)
    texts = [row["text"] for row in whatsapp.accepted()]
    assert sorted(texts) == sorted(f"único {n}" for n in range(20))
    assert statuses() == {MessageStatus.SENT: 20}


def test_two_workers_keep_the_order_of_one_chat(product, whatsapp, number):
    chat = open_chat(whatsapp, number)
    for n in range(30):
        write(chat, f"mensaje {n}")

    number_id = number.id

    def work():
        with product.app_context():
            job.deliver(number_id)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    drain_until_quiet(number)
    (words,) = accepted_texts(whatsapp).values()
    assert words == [f"mensaje {n}" for n in range(30)]


@pytest.mark.parametrize("fault", ["cut_reply", "hang_after_accept", "malformed_reply"])
def test_an_answer_that_is_lost_is_uncertain_and_never_sent_again(whatsapp, number, fault):
    chat, other = open_chat(whatsapp, number), open_chat(whatsapp, number)
    whatsapp.set_fault(fault, wa_id=chat.client.phone_number.lstrip("+"), count=1, seconds=3)
    lost = write(chat, "perdido")
    behind = write(chat, "detrás")
    fine = write(other, "bien")
    drain_until_quiet(number)

    assert statuses() == {MessageStatus.UNCERTAIN: 1, MessageStatus.SENT: 2}
    db.session.refresh(lost)
    assert lost.status is MessageStatus.UNCERTAIN
    assert Counter(row["text"] for row in whatsapp.accepted()) == {
        "perdido": 1,
        "detrás": 1,
        "bien": 1,
    }
    assert accepted_texts(whatsapp)[chat.client.phone_number[1:]] == ["perdido", "detrás"]
    assert behind.id > lost.id
    assert fine.id


def test_silence_without_acceptance_is_uncertain_too(whatsapp, number):
    whatsapp.set_fault("timeout", count=1, seconds=3)
    write(open_chat(whatsapp, number), "perdido")
    drain_until_quiet(number)
    assert statuses() == {MessageStatus.UNCERTAIN: 1}
    assert whatsapp.accepted() == []


def test_a_hung_chat_stops_nobody(whatsapp, number):
    hung = [open_chat(whatsapp, number) for _ in range(4)]
    for chat in hung:
        whatsapp.set_fault("timeout", wa_id=chat.client.phone_number.lstrip("+"), seconds=3)
        write(chat, "colgado")
    others = [open_chat(whatsapp, number) for _ in range(10)]
    for chat in others:
        write(chat, "bien")
    drain_until_quiet(number)
    assert statuses() == {MessageStatus.SENT: 10, MessageStatus.UNCERTAIN: 4}
    first_given_up = db.session.scalar(
        select(func.min(QueuedMessage.processing_completed_at)).where(
            QueuedMessage.status == QueueStatus.UNCERTAIN
        )
    )
    last_sent = db.session.scalar(select(func.max(Message.sent_at)))
    assert last_sent < first_given_up, "the ten left while the four were still hanging"


def test_a_passing_error_of_meta_is_tried_again_until_it_works(whatsapp, number):
    whatsapp.set_fault("server_error", count=3)
    chat = open_chat(whatsapp, number)
    write(chat, "uno")
    write(chat, "dos")
    drain_until_quiet(number)
    assert statuses() == {MessageStatus.SENT: 2}
    (words,) = accepted_texts(whatsapp).values()
    assert words == ["uno", "dos"]


def test_a_rate_limit_fails_nothing(whatsapp, number):
    whatsapp.set_fault("rate_limit", count=8)
    for _ in range(10):
        write(open_chat(whatsapp, number), "Hola")
    drain_until_quiet(number)
    assert statuses() == {MessageStatus.SENT: 10}
    assert len(whatsapp.accepted()) == 10
    assert set(db.session.scalars(select(QueuedMessage.retries))) == {0}


def test_a_pair_limit_holds_one_chat_only(whatsapp, number):
    chat, other = open_chat(whatsapp, number), open_chat(whatsapp, number)
    whatsapp.set_fault("pair_limit", wa_id=chat.client.phone_number.lstrip("+"), count=3)
    for n in range(3):
        write(chat, f"{n}")
    write(other, "otro")
    drain_until_quiet(number)
    assert statuses() == {MessageStatus.SENT: 4}
    texts = [row["text"] for row in whatsapp.accepted()]
    assert texts[0] == "otro"
    assert texts[1:] == ["0", "1", "2"]


def test_a_refusal_is_final_after_one_call(whatsapp, number):
    whatsapp.set_fault("refuse", code=131026)
    message = write(open_chat(whatsapp, number), "Hola")
    drain_until_quiet(number)
    db.session.refresh(message)
    assert (message.status, message.error_code) == (MessageStatus.FAILED, "131026")
    assert message.retry_count == 1


def test_an_expired_token_holds_the_queue_until_it_is_mended(whatsapp, number):
    whatsapp.set_fault("token_expired")
    chats = [open_chat(whatsapp, number) for _ in range(3)]
    for chat in chats:
        write(chat, "uno")
        write(chat, "dos")
    drain(number)
    assert statuses() == {MessageStatus.PENDING: 6}
    assert db.session.scalar(select(WhatsappNumber.status)) is NumberStatus.ERROR
    assert "token" in db.session.scalar(select(WhatsappNumber.last_error))
    whatsapp.clear_faults()
    drain_until_quiet(number)
    assert statuses() == {MessageStatus.SENT: 6}
    assert db.session.scalar(select(WhatsappNumber.status)) is NumberStatus.ACTIVE
    for words in accepted_texts(whatsapp).values():
        assert words == ["uno", "dos"]


def test_whatsapp_away_is_tried_again(product, whatsapp, number):
    write(open_chat(whatsapp, number), "Hola")
    config = product.config["CRM"]
    product.config["CRM"] = dataclasses.replace(
        config, meta_graph_url="http://127.0.0.1:9", retry_base_seconds=60
    )
    drain(number)
    waiting = db.session.scalars(select(QueuedMessage)).one()
    assert statuses() == {MessageStatus.PENDING: 1}
    assert waiting.last_error.startswith("not_sent")
    product.config["CRM"] = config
    waiting.scheduled_at = utcnow() - timedelta(seconds=1)  # its time has come
    db.session.commit()
    drain(number)
    assert statuses() == {MessageStatus.SENT: 1}
    assert [row["text"] for row in whatsapp.accepted()] == ["Hola"]


def test_the_pace_of_a_number_is_kept(whatsapp, number):
    number.rate_limit_per_minute = 600  # ten a second
    db.session.commit()
    for _ in range(15):
        write(open_chat(whatsapp, number), "Hola")
    drain_until_quiet(number)
    times = sorted(row["at"] for row in whatsapp.accepted())
    assert len(times) == 15
    # Two may start at once, then one each tenth of a second.
    assert times[-1] - times[0] > 1.1


def test_an_emptied_redis_takes_the_mark_of_its_lost_ring_along(whatsapp, number):
    write(open_chat(whatsapp, number), "Hola")
    assert not ring("messages.deliver", number.id), "the message has rung"
    redis_client.flushall()
    assert ring("messages.deliver", number.id)
    drain(number)
    assert statuses() == {MessageStatus.SENT: 1}


# Transactions that began before the call and are still open, while it is under way.
HELD_OPEN = text("""
    SELECT (SELECT count(*) FROM pg_stat_activity a
            WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
              AND a.xact_start < q.submitted_at)
    FROM message_queue q WHERE q.status = 'processing' AND q.submitted_at IS NOT NULL
""")


def test_no_transaction_is_open_while_the_provider_is_asked(product, whatsapp, number):
    whatsapp.set_fault("slow", seconds=1)
    write(open_chat(whatsapp, number), "Hola")
    seen, is_over = [], threading.Event()

    def watch():
        with product.app_context():
            while not is_over.is_set():
                seen.extend(db.session.scalars(HELD_OPEN))
                db.session.rollback()
                time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    drain(number)
    is_over.set()
    watcher.join()
    assert seen, "the watcher saw the call under way"
    # A look of the draining thread may have begun just before; it does not last.
    assert seen[-1] == 0


def test_a_row_that_nobody_can_read_fails_alone(whatsapp, number):
    good, bad = open_chat(whatsapp, number), open_chat(whatsapp, number)
    broken = write(bad, "Hola")
    broken.message_type = "location"  # without its place
    db.session.commit()
    write(bad, "Después")
    write(good, "Buenos días")
    drain_until_quiet(number)
    db.session.refresh(broken)
    assert (broken.status, broken.error_code) == (MessageStatus.FAILED, "crashed")
    assert {row["text"] for row in whatsapp.accepted()} == {"Después", "Buenos días"}


def test_an_answer_takes_the_mass_message_before_it_in_its_chat_along(whatsapp, number):
    """It would else wait until the mass sending comes to this customer."""
    bulk = [open_chat(whatsapp, number) for _ in range(60)]
    with atomic():
        for chat in bulk:
            queue_outbound(chat, Text("Promoción"), priority=Priority.BULK)
    write(bulk[-1], "Respuesta")
    queued = select(QueuedMessage.chat_id).order_by(
        QueuedMessage.priority.desc(), QueuedMessage.scheduled_at
    )
    assert db.session.scalars(queued).all()[:2] == [bulk[-1].id] * 2
    drain_until_quiet(number)
    assert accepted_texts(whatsapp)[bulk[-1].client.phone_number[1:]] == ["Promoción", "Respuesta"]


def test_a_number_that_hangs_keeps_no_other_waiting_for_the_end_of_the_job(
    product, whatsapp, number, monkeypatch
):
    """A job ends in time, and the calls that hang do not hold up the next one."""
    other = number_at(product, whatsapp, NUMBER_2)
    # It hangs for longer than all of this takes, and then the line is cut.
    product.config["CRM"] = dataclasses.replace(
        product.config["CRM"], lease_seconds=30, provider_seconds=20
    )
    whatsapp.set_fault("timeout", number_id=NUMBER, seconds=4)
    hung, fine = write(open_chat(whatsapp, number), "colgado"), open_chat(whatsapp, other)
    monkeypatch.setattr(job, "SECONDS", 0.3)
    drain(number)
    db.session.refresh(hung)
    assert hung.status is MessageStatus.PENDING, "its call is under way still"
    write(fine, "bien")

    def is_there() -> bool:
        drain(number)
        return bool(accepted_texts(whatsapp))

    wait_until(is_there, "what the other number says")
    db.session.refresh(hung)
    assert hung.status is MessageStatus.PENDING
    drain_until_quiet(number)
    assert statuses() == {MessageStatus.SENT: 1, MessageStatus.UNCERTAIN: 1}


def test_a_hundred_refusals_at_once_are_written_down_with_few_connections(
    product, whatsapp, number
):
    """All threads have an error to record at the same moment, and the pool is small."""
    added = [whatsapp.add_number(f"10000000000010{n}", f"+5760155502{n}") for n in range(4)]
    others = [number_at(product, whatsapp, row["id"]) for row in added]
    numbers = [number, *others]
    whatsapp.set_fault("slow", seconds=0.5, count=100)
    whatsapp.set_fault("server_error", count=100)
    for each in numbers:
        for _ in range(20):
            write(open_chat(whatsapp, each), "Hola")
    pool = db.engine.pool
    most, is_over = [], threading.Event()

    def watch():
        while not is_over.wait(0.002):
            most.append(pool.checkedout())

    watcher = threading.Thread(target=watch)
    watcher.start()
    drain(number)
    is_over.set()
    watcher.join()
    whatsapp.clear_faults()
    drain_until_quiet(number)
    assert statuses() == {MessageStatus.SENT: 100}, "a refusal that is not recorded is uncertain"
    # Half of the pool for the threads, and one each for who claims, who writes outcomes, this test.
    assert max(most) <= product.config["CRM"].database_pool_size + 3
