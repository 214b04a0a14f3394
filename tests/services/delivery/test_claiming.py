"""What may leave now: under a lease and a fence, in the order of the chat, at the number's pace."""

from datetime import timedelta

import pytest

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import (
    NumberPace,
    NumberStatus,
    Provider,
    QueueStatus,
)
from crm.providers.outbound import Effect
from crm.services.messages import delivery
from tests.factories import make_chat
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


def test_it_claims_what_is_due_under_a_lease_and_a_fence(number, chat, settings):
    message = queue(chat)
    found = claim_one(number, settings)
    row = fresh(message.queued)
    assert (found.message_id, found.attempt, found.owner) == (message.id, 1, ME)
    assert (row.status, row.owner, row.attempts) == (QueueStatus.PROCESSING, ME, 1)
    assert row.submitted_at is None
    assert timedelta(seconds=25) < row.lease_until - utcnow() < timedelta(seconds=31)


def test_a_claimed_row_is_claimed_by_nobody_else(number, chat, settings):
    queue(chat)
    claim_one(number, settings)
    assert claim(number, settings, owner=OTHER).claims == []


def test_what_is_not_due_yet_waits(number, chat, settings):
    message = queue(chat, queue={"scheduled_at": utcnow() + timedelta(minutes=5)})
    assert claim(number, settings).claims == []
    with atomic():
        assert delivery.find_next_due_seconds() == pytest.approx(300, abs=5)
    age(message, scheduled_at=1)
    assert ids(claim(number, settings)) == [message.id]


def test_between_chats_priority_goes_before_age(number, settings):
    bulk, bot, agent, agent_later = (
        queue(make_chat(number=number), queue={"priority": priority})
        for priority in (0, 50, 100, 100)
    )
    assert ids(claim(number, settings, limit=1)) == [agent.id]
    assert ids(claim(number, settings, limit=1)) == [agent_later.id]
    assert set(ids(claim(number, settings))) == {bot.id, bulk.id}


def test_within_a_chat_one_at_a_time_in_the_order_of_writing(number, chat, settings):
    bot = queue(chat, queue={"priority": 50})
    agent = queue(chat, queue={"priority": 100})
    found = claim_one(number, settings)
    assert found.message_id == bot.id, "the order of writing counts, not the priority"
    assert claim(number, settings).claims == []
    submit(found, settings)
    succeed(found)
    assert ids(claim(number, settings)) == [agent.id]


def test_a_backoff_holds_the_chat_and_no_other(number, chat, settings):
    first, _second = queue(chat), queue(chat)
    other = queue(make_chat(number=number))
    found = {one.message_id: one for one in claim(number, settings).claims}
    assert set(found) == {first.id, other.id}
    fail(found[first.id], settings)
    succeed(found[other.id])
    assert fresh(first.queued).status is QueueStatus.PENDING
    assert claim(number, settings).claims == []


def test_a_failed_message_releases_its_chat_at_once(number, chat, settings):
    queue(chat)
    second = queue(chat)
    fail(claim_one(number, settings), settings, Effect.PERMANENT, "131026")
    assert ids(claim(number, settings)) == [second.id]


def test_an_uncertain_message_holds_its_chat_for_a_while(number, chat, settings):
    first, second = queue(chat), queue(chat)
    fail(claim_one(number, settings), settings, Effect.UNKNOWN, "no_answer")
    assert claim(number, settings).claims == []
    age(first, processing_completed_at=31)
    assert ids(claim(number, settings)) == [second.id]


@pytest.mark.parametrize(
    "status",
    [NumberStatus.INACTIVE, NumberStatus.PENDING, NumberStatus.DISCONNECTED, NumberStatus.ERROR],
)
def test_a_number_that_is_not_active_sends_nothing_and_fails_nothing(
    number, chat, settings, status
):
    message = queue(chat)
    number.status = status
    db.session.commit()
    assert claim(number, settings).claims == []
    assert delivery.find_due_numbers() == []
    number.status = NumberStatus.ACTIVE
    db.session.commit()
    assert delivery.find_due_numbers() == [number.id]
    assert ids(claim(number, settings)) == [message.id]


def test_the_pace_holds_over_all_claimers(number, settings):
    number.rate_limit_per_minute = 60
    for _ in range(5):
        queue(make_chat(number=number))
    db.session.commit()
    first = claim(number, settings)
    second = claim(number, settings, owner=OTHER)
    assert (len(first.claims), second.claims) == (1, [])
    assert second.wait_seconds == pytest.approx(0.9, abs=0.2)


def test_a_fast_number_may_start_several_at_once_but_not_all(number, settings):
    number.rate_limit_per_minute = 4800
    for _ in range(30):
        queue(make_chat(number=number))
    db.session.commit()
    assert len(claim(number, settings, limit=30).claims) == 9


def test_no_two_pauses_of_a_phone_are_alike(number, settings):
    number.provider, number.rate_limit_per_minute = Provider.WPPCONNECT, 60
    db.session.commit()
    pauses = []
    for _ in range(6):
        queue(make_chat(number=number))
        before = utcnow()
        assert len(claim(number, settings).claims) == 1
        pace = db.session.get_one(NumberPace, number.id, populate_existing=True)
        # A second apart in the mean; what the claim itself took is not known.
        assert pace.free_at - before >= timedelta(seconds=0.6)
        assert pace.free_at - utcnow() <= timedelta(seconds=1.4)
        pauses.append(pace.free_at - before)
        pace.free_at = utcnow() - timedelta(minutes=1)
        db.session.commit()
    assert len({round(pause.total_seconds(), 1) for pause in pauses}) > 1
