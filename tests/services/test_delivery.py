"""Claim, fence, order and outcomes, each as its own transaction."""

import uuid
from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import (
    ClientIdentity,
    IdentityKind,
    MessageStatus,
    MessageType,
    NumberPace,
    NumberStatus,
    QueuedMessage,
    QueueStatus,
    WhatsappNumber,
)
from crm.providers.base import Receipt
from crm.providers.meta.codes import CODES
from crm.providers.outbound import Effect, ProviderError, SendResult, Text
from crm.services.messages import delivery, outcomes
from crm.services.messages.accepted import Accepted, record_sent
from crm.services.messages.backoff import Backoff
from crm.services.messages.claims import Settings
from crm.services.messages.loading import load_outgoing
from crm.services.messages.receipts import apply_receipts
from tests.factories import make_chat, make_client, make_identity, make_number, make_queued_message

ME, OTHER = uuid.uuid4(), uuid.uuid4()


@pytest.fixture
def settings(database):
    config = database.config["CRM"]
    return Settings(graph_url="http://127.0.0.1:9", encryption_keys=config.encryption_keys)


@pytest.fixture
def number(database):
    number = make_number(rate_limit_per_minute=0)
    db.session.commit()
    return number


@pytest.fixture
def chat(number):
    chat = make_chat(number=number)
    db.session.commit()
    return chat


def queue(chat, **fields):
    message = make_queued_message(chat, max_retries=6, **fields)
    db.session.commit()
    return message


def claim(number, settings, *, owner=ME, limit=10):
    with atomic():
        return delivery.claim_due({number.id: limit}, owner=owner, settings=settings)


def claim_one(number, settings, **more):
    (found,) = claim(number, settings, **more).claims
    return found


def submit(found, settings):
    with atomic():
        return delivery.mark_submitted([found], settings=settings)[0]


def fail(found, settings, effect=Effect.RETRY, code="131000", **more):
    error = ProviderError("Words.", effect=effect, code=code, **more)
    with atomic():
        return outcomes.record_error(found, error, settings=settings)


def succeed(found, wamid="wamid.OK", **more):
    with atomic():
        return record_sent([Accepted(found, SendResult(wamid, **more))], zone="America/Bogota")[0]


def fresh(row):
    db.session.refresh(row)
    return row


def age(message, **columns):
    """Move times of a queue row into the past: {column: seconds}."""
    for column, seconds in columns.items():
        db.session.execute(
            text(
                f"UPDATE message_queue SET {column} = clock_timestamp() - make_interval(secs => :s)"
                " WHERE message_id = :id"
            ),
            {"s": seconds, "id": message.id},
        )
    db.session.commit()


def ids(claimed):
    return [one.message_id for one in claimed.claims]


# -- claiming ------------------------------------------------------------------------------------


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


# -- the call ------------------------------------------------------------------------------------


def load(found, settings):
    with atomic():
        (load,) = load_outgoing([found], settings=settings)
    if isinstance(load, ProviderError):
        raise load
    return load


def test_it_reads_all_that_the_provider_needs(number, chat, settings):
    message = queue(chat, content="Hola", meta={"quote": {"message_id": "wamid.Q"}})
    outgoing = load(claim_one(number, settings), settings)
    assert outgoing.channel.phone_number_id == number.meta_phone_number_id
    assert outgoing.channel.access_token == "test-access-token"
    assert outgoing.message.to.phone == chat.client.phone_number.lstrip("+")
    assert outgoing.message.content == Text("Hola")
    assert outgoing.message.opaque_id == f"{message.client_key}.1"
    assert outgoing.message.reply_to == "wamid.Q"


def test_it_writes_to_the_user_id_of_who_hides_their_number(number, settings):
    client = make_client(phone_number=None)
    make_identity(client, kind=IdentityKind.USER_ID, value="CO.1349")
    queue(make_chat(number=number, client=client))
    to = load(claim_one(number, settings), settings).message.to
    assert (to.phone, to.user_id) == (None, "CO.1349")


def test_an_answer_goes_to_whatsapps_own_spelling_of_the_number(number, settings):
    client = make_client(phone_number="+525512345678")
    make_identity(client, kind=IdentityKind.WA_ID, value="5215512345678")
    queue(make_chat(number=number, client=client))
    assert load(claim_one(number, settings), settings).message.to.phone == "5215512345678"


def refused(found, settings):
    with pytest.raises(ProviderError) as caught:
        load(found, settings)
    return caught.value


def test_the_window_is_asked_again_at_sending(number, chat, settings):
    queue(chat)
    found = claim_one(number, settings)
    chat.last_inbound_at = utcnow() - timedelta(hours=25)
    db.session.commit()
    error = refused(found, settings)
    assert (error.effect, error.code) == (Effect.PERMANENT, "window_closed")


def test_a_block_meanwhile_stops_it(number, chat, settings):
    queue(chat)
    found = claim_one(number, settings)
    chat.client.is_blocked = True
    db.session.commit()
    assert refused(found, settings).code == "blocked"


def test_an_opt_out_meanwhile_stops_advertising_and_no_answer(number, chat, settings):
    advert = {"template": {"name": "oferta", "language": "es", "category": "MARKETING"}}
    queue(chat, message_type=MessageType.TEMPLATE, meta=advert)
    found = claim_one(number, settings)
    chat.client.opt_in_date = utcnow()
    db.session.commit()
    assert load(found, settings).message.content.name == "oferta"
    chat.client.opt_in = False
    db.session.commit()
    assert refused(found, settings).code == "opted_out"


def test_a_client_without_any_address_fails_alone(number, settings):
    queue(make_chat(number=number, client=make_client(phone_number=None)))
    error = refused(claim_one(number, settings), settings)
    assert (error.effect, error.code) == (Effect.PERMANENT, "recipient_missing")


def test_a_token_that_cannot_be_read_stops_the_number_and_not_the_message(number, chat, settings):
    message = queue(chat)
    number.meta_access_token = "gibberish"
    db.session.commit()
    found = claim_one(number, settings)
    error = refused(found, settings)
    assert (error.effect, error.code) == (Effect.CHANNEL, "token_unreadable")
    with atomic():
        outcomes.record_error(found, error, settings=settings, called=False)
    assert fresh(number).status is NumberStatus.ERROR
    assert fresh(message).status is MessageStatus.PENDING
    assert message.retry_count == 0


def test_the_call_begins_only_under_the_fence(number, chat, settings):
    message = queue(chat)
    found = claim_one(number, settings)
    assert submit(found, settings)
    assert fresh(message.queued).submitted_at is not None
    assert not submit(found, settings), "never twice"


def test_who_lost_the_lease_does_not_call(number, chat, settings):
    message = queue(chat)
    found = claim_one(number, settings)
    age(message, lease_until=1)
    assert not submit(found, settings)
    with atomic():
        assert outcomes.expire_leases(number.id) == 1
    again = claim_one(number, settings, owner=OTHER)
    assert again.attempt == 2
    assert not submit(found, settings)
    assert submit(again, settings)


def test_a_message_that_arrived_meanwhile_is_not_called_again(number, chat, settings):
    message = queue(chat)
    found = claim_one(number, settings)
    message.status = MessageStatus.DELIVERED
    db.session.commit()
    assert not submit(found, settings)
    assert fresh(message.queued).status is QueueStatus.COMPLETED


# -- outcomes ------------------------------------------------------------------------------------


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
        outcomes.expire_leases(number.id)
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
        outcomes.expire_leases(number.id)
    fail(found, settings, Effect.RETRY, "131000")
    assert fresh(message).status is MessageStatus.FAILED
    assert fresh(message.queued).status is QueueStatus.FAILED


def test_who_lost_the_fence_writes_nothing(number, chat, settings):
    message = queue(chat)
    old = claim_one(number, settings)
    age(message, lease_until=1)
    with atomic():
        outcomes.expire_leases(number.id)
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
        assert outcomes.expire_leases(number.id) == 1
        assert outcomes.expire_leases(number.id) == 0
    row = fresh(message.queued)
    assert (row.status, row.owner, row.retries) == (QueueStatus.PENDING, None, 1)


def test_a_message_that_ends_its_worker_each_time_fails_in_the_end(number, chat, settings):
    message = queue(chat)
    for _ in range(7):
        claim_one(number, settings)
        age(message, lease_until=1)
        with atomic():
            outcomes.expire_leases(number.id)
    assert fresh(message).status is MessageStatus.FAILED
    assert message.error_code == "crashed"


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
        assert outcomes.flag_unresolved(number.id, settings=settings) == 1
        assert outcomes.flag_unresolved(number.id, settings=settings) == 0
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
