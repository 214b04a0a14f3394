"""Nothing may lie forgotten: what waits for nothing raises an alarm."""

import pytest
from sqlalchemy import select, text

from crm.db import atomic, db
from crm.models import Alarm
from crm.services.messages import stuck
from tests.factories import make_chat, make_number, make_queued_message


@pytest.fixture
def message(database):
    message = make_queued_message(make_chat(number=make_number(rate_limit_per_minute=0)))
    db.session.commit()
    return message


def change(sql):
    with atomic():
        db.session.execute(text(sql))


def alarms_after_a_look():
    with atomic():
        stuck.watch()
    return set(db.session.scalars(select(Alarm.kind).where(Alarm.ended_at.is_(None))))


LATE = "UPDATE message_queue SET scheduled_at = clock_timestamp() - interval '1 hour'"


def test_what_is_due_and_does_not_leave_alarms_until_it_has_left(message):
    assert alarms_after_a_look() == set()
    change(LATE)
    assert alarms_after_a_look() == {"delivery_stuck"}
    change("UPDATE message_queue SET status = 'completed'")
    assert alarms_after_a_look() == set()


def test_a_lease_that_nobody_took_back_alarms(message):
    change(
        "UPDATE message_queue SET status = 'processing',"
        " lease_until = clock_timestamp() - interval '1 hour'"
    )
    assert alarms_after_a_look() == {"delivery_stuck"}


@pytest.mark.parametrize(
    "reason",
    [
        "UPDATE whatsapp_numbers SET sending_paused_at = now()",
        "UPDATE whatsapp_numbers SET status = 'error'",
        "UPDATE whatsapp_numbers SET status = 'inactive'",
        "INSERT INTO number_pace (whatsapp_number_id) SELECT id FROM whatsapp_numbers",
        "UPDATE message_queue SET scheduled_at = now() + interval '1 day'",
    ],
)
def test_what_waits_for_a_reason_does_not(message, reason):
    change(LATE)
    change(reason)
    assert alarms_after_a_look() == set()


def test_what_waits_behind_another_of_its_chat_does_not(message):
    change("UPDATE message_queue SET status = 'uncertain'")
    make_queued_message(message.chat)
    db.session.commit()
    change(LATE)
    assert alarms_after_a_look() == set()
