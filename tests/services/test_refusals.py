"""What a refusal says about the person and the number, as an answer and as a status."""

import pytest
from sqlalchemy import select, text

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import Alarm, Message, MessageStatus, NumberStatus
from crm.providers.base import Receipt, ReceiptError
from crm.providers.meta import codes
from crm.providers.outbound import ProviderError
from crm.services import sending
from crm.services.messages import delivery, outcomes
from crm.services.messages.claims import Settings
from crm.services.messages.receipts import apply_receipts
from tests.factories import make_chat, make_number, make_queued_message

SETTINGS = Settings(graph_url="", encryption_keys=())


@pytest.fixture
def message(database) -> Message:
    message = make_queued_message(make_chat(number=make_number(rate_limit_per_minute=0)))
    message.client.opt_in_date = utcnow()
    db.session.commit()
    return message


def refuse(message, code):
    owner = "11111111-1111-1111-1111-111111111111"
    with atomic():
        (found,) = delivery.claim_due(
            {message.whatsapp_number_id: 1}, owner=owner, settings=SETTINGS
        ).claims
    meaning = codes.meaning_of(int(code))
    with atomic():
        error = ProviderError(meaning.reason, effect=meaning.effect, code=code)
        outcomes.record_error(found, error, settings=SETTINGS)


def report(message, code):
    message.status, message.whatsapp_message_id = MessageStatus.SENT, "wamid.R"
    db.session.execute(text("UPDATE message_queue SET status = 'completed'"))
    db.session.commit()
    with atomic():
        apply_receipts(
            [Receipt("meta", "1", "wamid.R", "failed", utcnow(), errors=(ReceiptError(code),))]
        )


def open_alarms():
    return set(db.session.scalars(select(Alarm.kind).where(Alarm.ended_at.is_(None))))


@pytest.mark.parametrize("way", [refuse, report])
def test_who_stopped_advertising_gets_none_any_more(message, way):
    way(message, "131050")
    db.session.expire_all()
    assert message.status is MessageStatus.FAILED
    assert message.error_message == codes.CODES[131050].reason
    assert message.client.opt_in_date is None


@pytest.mark.parametrize("way", [refuse, report])
def test_another_refusal_says_nothing_about_the_person(message, way):
    way(message, "131026")
    db.session.expire_all()
    assert message.status is MessageStatus.FAILED
    assert message.client.opt_in_date is not None
    assert open_alarms() == set()


def test_a_status_about_the_number_alarms_and_stops_nothing(message):
    report(message, "131042")
    db.session.expire_all()
    assert message.status is MessageStatus.FAILED
    assert open_alarms() == {"number_unpaid"}
    assert message.whatsapp_number.status is NumberStatus.ACTIVE
    with atomic():
        sending.resume_sending(message.whatsapp_number)
    assert open_alarms() == set()
