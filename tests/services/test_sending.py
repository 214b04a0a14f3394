"""A number that may not send: paused by a person, stopped by its provider, and back again."""

import uuid

import pytest
from sqlalchemy import select, text

from crm.db import atomic, db
from crm.models import Alarm, AlarmKind, NumberStatus, QueueStatus
from crm.providers.meta import codes
from crm.providers.outbound import Effect, ProviderError, SendResult
from crm.services import sending
from crm.services.messages import delivery, outcomes
from crm.services.messages.accepted import Accepted, record_sent
from crm.services.messages.claims import Settings
from tests.factories import make_chat, make_number, make_queued_message, make_user

SETTINGS = Settings(graph_url="", encryption_keys=())


@pytest.fixture
def number(database):
    number = make_number(rate_limit_per_minute=0)
    db.session.commit()
    return number


@pytest.fixture
def message(number):
    message = make_queued_message(make_chat(number=number), max_retries=6)
    db.session.commit()
    return message


def claim(number):
    with atomic():
        return delivery.claim_due({number.id: 10}, owner=uuid.uuid4(), settings=SETTINGS).claims


def due():
    db.session.rollback()
    return delivery.find_due_numbers()


def refuse(number, code):
    (found,) = claim(number)
    meaning = codes.CODES[code]
    assert meaning.effect is Effect.CHANNEL
    error = ProviderError(meaning.reason, effect=meaning.effect, code=str(code))
    with atomic():
        outcomes.record_error(found, error, settings=SETTINGS)


def open_alarms():
    return set(db.session.scalars(select(Alarm.kind).where(Alarm.ended_at.is_(None))))


def test_a_paused_number_sends_nothing_and_keeps_everything(number, message):
    with atomic():
        sending.pause_sending(number, by=make_user().id)
        sending.pause_sending(number, by=make_user().id)
    assert (due(), claim(number)) == ([], [])
    assert sending.count_waiting(number.id) == 1
    with atomic():
        sending.resume_sending(number)
    assert due() == [number.id]
    assert len(claim(number)) == 1


def test_a_pause_of_one_number_is_none_of_another(number, message):
    other = make_number(rate_limit_per_minute=0)
    make_queued_message(make_chat(number=other))
    with atomic():
        sending.pause_sending(number, by=make_user().id)
    assert due() == [other.id]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (190, AlarmKind.TOKEN_EXPIRED),
        (131031, AlarmKind.ACCOUNT_RESTRICTED),
        (131048, AlarmKind.ACCOUNT_RESTRICTED),
        (131042, AlarmKind.NUMBER_UNPAID),
        (133010, AlarmKind.NUMBER_REFUSED),
    ],
)
def test_a_refused_number_stops_alarms_and_keeps_its_rows(number, message, code, kind):
    refuse(number, code)
    db.session.expire_all()
    assert number.status is NumberStatus.ERROR
    assert message.queued.status is QueueStatus.PENDING
    assert open_alarms() == {kind}
    assert (due(), claim(number)) == ([], [])


def test_resume_lets_one_message_try_and_its_yes_ends_the_alarm(number, message):
    make_queued_message(make_chat(number=number))
    db.session.commit()
    refuse_first(number)
    with atomic():
        sending.resume_sending(number)
    (probe,) = claim(number)
    assert probe.is_probe
    assert claim(number) == []
    with atomic():
        record_sent([Accepted(probe, SendResult("wamid.1"))], zone="UTC")
    db.session.expire_all()
    assert number.status is NumberStatus.ACTIVE
    assert open_alarms() == set()
    assert len(claim(number)) == 1


def refuse_first(number):
    """The first of several messages is refused, and the others come back with it."""
    found = claim(number)
    error = ProviderError("Words.", effect=Effect.CHANNEL, code="190")
    for one in found:
        with atomic():
            outcomes.record_error(one, error, settings=SETTINGS)


def test_a_second_refusal_holds_it_for_longer(number, message):
    refuse(number, 190)
    with atomic():
        db.session.execute(text("UPDATE number_pace SET held_until = clock_timestamp()"))
    refuse(number, 190)
    assert sending.find_hold_tries(number.id) == 2


def test_a_lost_phone_has_an_alarm_of_its_own(number, message):
    number.provider = "wppconnect"
    with atomic():
        sending.stop_number(
            number.id, code="wpp_disconnected", reason="Words.", seconds=30, tries=1
        )
    assert open_alarms() == set()
