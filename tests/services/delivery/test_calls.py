"""What is read just before the call, and whether it may begin."""

from datetime import timedelta

import pytest

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import (
    IdentityKind,
    MessageStatus,
    MessageType,
    NumberStatus,
    QueueStatus,
)
from crm.providers.outbound import Effect, ProviderError, Text
from crm.services.messages import outcomes
from tests.factories import make_chat, make_client, make_identity
from tests.services.delivery.steps import OTHER, age, claim_one, fresh, load, queue, submit


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
        assert outcomes.expire_leases([number.id]) == 1
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
