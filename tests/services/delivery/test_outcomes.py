"""What became of a call: the yes, the no, and what nobody knows."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import (
    ClientIdentity,
    IdentityKind,
    MessageStatus,
    NumberPace,
    NumberStatus,
    QueuedMessage,
    QueueStatus,
    WhatsappNumber,
)
from crm.providers.base import Receipt
from crm.providers.meta.codes import CODES
from crm.providers.outbound import Effect
from crm.services.messages import delivery, outcomes
from crm.services.messages.backoff import Backoff
from crm.services.messages.receipts import apply_receipts
from tests.factories import make_chat, make_client, make_identity, make_number
from tests.services.delivery.steps import (
    ME,
    OTHER,
    age,
    claim,
    claim_one,
    fail,
    fresh,
    ids,
    queue,
    submit,
    succeed,
)


def test_a_yes_is_recorded_with_the_providers_id(number, chat, settings):
    message = queue(chat)
    before = chat.version
    found = claim_one(number, settings)
    submit(found, settings)
    assert succeed(found, "wamid.7")
    assert fresh(message).status is MessageStatus.SENT
    assert (message.whatsapp_message_id, message.retry_count) == ("wamid.7", 1)
    assert message.sent_at is not None
    row = fresh(message.queued)
    assert (row.status, row.lease_until) == (QueueStatus.COMPLETED, None)
    assert fresh(chat).version == before + 1


def receipt(status, message=None, wamid="wamid.OK"):
    return Receipt(
        provider="meta",
        phone_number_id="1",
        whatsapp_message_id=wamid,
        status=status,
        occurred_at=utcnow(),
        opaque_id=f"{message.client_key}.1" if message else None,
    )


def test_receipts_that_came_before_are_applied_at_once(number, chat, settings):
    message = queue(chat)
    found = claim_one(number, settings)
    submit(found, settings)
    with atomic():
        apply_receipts([receipt("delivered"), receipt("read")])
    succeed(found)
    assert fresh(message).status is MessageStatus.READ
    assert message.delivered_at is not None


def test_a_receipt_with_our_id_is_faster_than_the_answer(number, chat, settings):
    message = queue(chat)
    found = claim_one(number, settings)
    submit(found, settings)
    with atomic():
        apply_receipts([receipt("delivered", message)])
    fail(found, settings, Effect.UNKNOWN, "no_answer")
    assert fresh(message).status is MessageStatus.DELIVERED
    assert fresh(message.queued).status is QueueStatus.COMPLETED


def test_a_late_yes_settles_an_uncertain_row(number, chat, settings):
    message = queue(chat)
    found = claim_one(number, settings)
    submit(found, settings)
    age(message, lease_until=1)
    with atomic():
        outcomes.expire_leases([number.id])
    assert fresh(message).status is MessageStatus.UNCERTAIN
    assert fresh(message.queued).status is QueueStatus.UNCERTAIN
    assert succeed(found, "wamid.LATE")
    assert fresh(message).status is MessageStatus.SENT
    assert message.whatsapp_message_id == "wamid.LATE"
    assert message.error_code is None
    assert fresh(message.queued).status is QueueStatus.COMPLETED


def test_a_late_no_fails_instead_of_trying_out_of_order(number, chat, settings):
    message = queue(chat)
    found = claim_one(number, settings)
    submit(found, settings)
    age(message, lease_until=1)
    with atomic():
        outcomes.expire_leases([number.id])
    fail(found, settings, Effect.RETRY, "131000")
    assert fresh(message).status is MessageStatus.FAILED
    assert fresh(message.queued).status is QueueStatus.FAILED


def test_who_lost_the_fence_writes_nothing(number, chat, settings):
    message = queue(chat)
    old = claim_one(number, settings)
    age(message, lease_until=1)
    with atomic():
        outcomes.expire_leases([number.id])
    new = claim_one(number, settings, owner=OTHER)
    assert not succeed(old)
    assert not fail(old, settings, Effect.PERMANENT)
    assert fresh(message).status is MessageStatus.PENDING
    submit(new, settings)
    assert succeed(new)


def test_an_expired_lease_before_the_call_waits_again(number, chat, settings):
    message = queue(chat)
    claim_one(number, settings)
    age(message, lease_until=1)
    assert delivery.find_due_numbers() == [number.id]
    with atomic():
        assert outcomes.expire_leases([number.id]) == 1
        assert outcomes.expire_leases([number.id]) == 0
    row = fresh(message.queued)
    assert (row.status, row.owner, row.retries, row.crashes) == (
        QueueStatus.PENDING, None, 0, 1,
    )  # fmt: skip


def lose_a_worker(number, settings, *, suspects=False):
    """Claim what is due, and never come back; returns the messages that were claimed."""
    with atomic():
        claimed = delivery.claim_due(
            {number.id: 10}, owner=ME, settings=settings, suspects=suspects
        )
    db.session.execute(
        text("UPDATE message_queue SET lease_until = now() - interval '1 s'"
             " WHERE status = 'processing'")
    )  # fmt: skip
    db.session.commit()
    with atomic():
        outcomes.expire_leases([number.id])
    return ids(claimed)


def test_a_message_that_ends_its_worker_each_time_fails_in_the_end(number, chat, settings):
    message = queue(chat)
    for suspects in (False, False, True):
        assert lose_a_worker(number, settings, suspects=suspects) == [message.id]
    assert fresh(message).status is MessageStatus.FAILED
    assert message.error_code == "crashed"


def test_who_was_beside_a_message_that_ends_its_worker_does_not_fail_with_it(
    number, chat, settings
):
    poison, neighbour = queue(chat), queue(make_chat(number=number))
    for _ in range(2):
        assert set(lose_a_worker(number, settings)) == {poison.id, neighbour.id}
    # From now on they are nobody's neighbours: the job takes them one by one.
    fine = queue(make_chat(number=number))
    assert ids(claim(number, settings)) == [fine.id]
    assert delivery.find_suspects([number.id]) == [number.id]
    for suspect in (poison, neighbour):
        with atomic():
            (found,) = delivery.claim_due(
                {number.id: 1}, owner=ME, settings=settings, suspects=True
            ).claims
        assert found.message_id == suspect.id
        if suspect is poison:
            age(poison, lease_until=1)
            with atomic():
                outcomes.expire_leases([number.id])
        else:
            assert submit(found, settings)
            assert succeed(found)
    assert (fresh(poison).status, fresh(neighbour).status) == (
        MessageStatus.FAILED, MessageStatus.SENT,
    )  # fmt: skip


def test_passing_errors_are_tried_six_times_more_with_a_growing_delay(number, chat, settings):
    message = queue(chat)
    delays = []
    for _ in range(6):
        fail(claim_one(number, settings), settings)
        row = fresh(message.queued)
        assert row.status is QueueStatus.PENDING
        delays.append((row.scheduled_at - utcnow()).total_seconds())
        age(message, scheduled_at=1)
    for got, wanted in zip(delays, (2, 8, 30, 120, 600, 600), strict=True):
        assert wanted * 0.75 - 1 < got < wanted * 1.25
    fail(claim_one(number, settings), settings)
    assert fresh(message).status is MessageStatus.FAILED
    assert (message.error_code, message.retry_count) == ("131000", 7)
    assert message.queued.last_error is not None


@pytest.mark.parametrize("effect", [Effect.RATE, Effect.PAIR])
def test_limits_never_count(number, chat, settings, effect):
    message = queue(chat)
    for _ in range(20):
        fail(claim_one(number, settings), settings, effect, "130429")
        age(message, scheduled_at=1)
        db.session.execute(update(NumberPace).values(free_at=utcnow()))
        db.session.commit()
    row = fresh(message.queued)
    assert (row.status, row.retries) == (QueueStatus.PENDING, 0)
    assert fresh(message).status is MessageStatus.PENDING


def test_a_rate_refusal_slows_the_number_and_only_it(number, chat, settings):
    queue(chat)
    other_number = make_number(rate_limit_per_minute=0)
    queue(make_chat(number=other_number))
    fail(claim_one(number, settings), settings, Effect.RATE, "130429", wait_seconds=7)
    again = claim(number, settings)
    assert again.claims == []
    assert again.wait_seconds == pytest.approx(7, abs=0.5)
    assert len(claim(other_number, settings).claims) == 1


def test_a_pair_refusal_holds_this_chat_for_powers_of_four(number, chat, settings):
    message = queue(chat)
    other = queue(make_chat(number=number))
    for wanted in (1, 4, 16, 64):
        found = {one.message_id: one for one in claim(number, settings).claims}
        fail(found[message.id], settings, Effect.PAIR, "131056")
        left = (fresh(message.queued).scheduled_at - utcnow()).total_seconds()
        assert wanted - 1 < left < wanted * 1.3
        if other.id in found:
            assert succeed(found[other.id])
        age(message, scheduled_at=1)


def test_a_refused_number_is_held_and_nothing_fails(number, chat, settings):
    first, second = queue(chat), queue(make_chat(number=number))
    found = claim_one(number, settings, limit=1)
    fail(found, settings, Effect.CHANNEL, "190")
    assert fresh(number).status is NumberStatus.ERROR
    assert number.last_error == "Words."
    assert fresh(first).status is MessageStatus.PENDING
    assert claim(number, settings).claims == []
    assert delivery.find_due_numbers() == []

    # Its time has come: one message tries, and only one.
    db.session.execute(update(NumberPace).values(held_until=utcnow() - timedelta(seconds=1)))
    db.session.commit()
    assert delivery.find_due_numbers() == [number.id]
    probe = claim_one(number, settings)
    assert probe.is_probe
    assert claim(number, settings).claims == []
    fail(probe, settings, Effect.CHANNEL, "190")
    pace = db.session.get_one(NumberPace, number.id, populate_existing=True)
    assert pace.hold_tries == 2
    assert (pace.held_until - utcnow()).total_seconds() == pytest.approx(60, rel=0.2)

    # The token is mended.
    db.session.execute(update(NumberPace).values(held_until=utcnow() - timedelta(seconds=1)))
    db.session.commit()
    probe = claim_one(number, settings)
    submit(probe, settings)
    succeed(probe)
    assert fresh(number).status is NumberStatus.ACTIVE
    assert number.last_error is None
    assert len(claim(number, settings).claims) == 1
    assert {first.status, second.status} <= {MessageStatus.PENDING, MessageStatus.SENT}


def test_a_number_that_an_admin_switched_off_is_not_switched_on_by_an_answer(
    number, chat, settings
):
    queue(chat)
    found = claim_one(number, settings)
    number.status = NumberStatus.INACTIVE
    db.session.commit()
    fail(found, settings, Effect.CHANNEL, "190")
    assert fresh(number).status is NumberStatus.INACTIVE


def test_an_outcome_that_stays_open_is_shown_to_the_agent(number, chat, settings):
    message = queue(chat)
    found = claim_one(number, settings)
    submit(found, settings)
    fail(found, settings, Effect.UNKNOWN, "no_answer")
    assert delivery.find_due_numbers() == []
    age(message, submitted_at=601)
    assert delivery.find_due_numbers() == [number.id]
    with atomic():
        assert outcomes.flag_unresolved([number.id], settings=settings) == 1
        assert outcomes.flag_unresolved([number.id], settings=settings) == 0
    assert fresh(message).status is MessageStatus.UNCERTAIN
    assert message.error_code == "unresolved"
    assert delivery.find_due_numbers() == []


def test_an_id_that_is_another_messages_does_not_stop_the_yes(number, chat, settings):
    first, second = queue(chat), queue(make_chat(number=number))
    for found in claim(number, settings).claims:
        submit(found, settings)
        assert succeed(found, "wamid.SAME")
    assert {fresh(first).status, fresh(second).status} == {MessageStatus.SENT}


def test_the_answer_teaches_other_ids_of_the_client(number, chat, settings):
    queue(chat)
    found = claim_one(number, settings)
    submit(found, settings)
    succeed(found, wa_id="5215550001", user_id="MX.77")
    known = set(
        db.session.execute(
            select(ClientIdentity.kind, ClientIdentity.value).where(
                ClientIdentity.client_id == chat.client_id
            )
        )
    )
    assert {("wa_id", "5215550001"), ("user_id", "MX.77")} <= known


def test_an_id_of_somebody_else_stays_theirs(number, chat, settings):
    other = make_client()
    make_identity(other, kind=IdentityKind.USER_ID, value="MX.77")
    queue(chat)
    found = claim_one(number, settings)
    submit(found, settings)
    assert succeed(found, user_id="MX.77")
    owner = db.session.scalar(
        select(ClientIdentity.client_id).where(ClientIdentity.value == "MX.77")
    )
    assert owner == other.id


def test_every_table_row_leads_somewhere(number, chat, settings):
    """Each of Meta's codes, through the same door: never stuck, never sent twice by itself."""
    for code, meaning in CODES.items():
        message = queue(make_chat(number=number))
        found = claim_one(number, settings)
        submit(found, settings)
        fail(found, settings, meaning.effect, str(code))
        row = fresh(message.queued)
        wanted = QueueStatus.FAILED if meaning.effect is Effect.PERMANENT else QueueStatus.PENDING
        assert row.status is wanted, code
        db.session.execute(update(QueuedMessage).values(status="completed"))
        db.session.execute(update(WhatsappNumber).values(status="active"))
        db.session.execute(update(NumberPace).values(free_at=utcnow(), held_until=None))
        db.session.commit()


def test_the_backoff_grows_with_its_base():
    assert Backoff(0.02).retry(1) < 0.03
    assert Backoff(0.02).hold(9) < 20
    assert 4000 < Backoff().pair(50) < 5000
