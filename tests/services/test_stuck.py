"""Nothing may lie forgotten: what waits for nothing raises an alarm."""

import pytest
from sqlalchemy import select, text

from crm.db import atomic, db
from crm.models import Alarm
from crm.services import sending
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
    change("UPDATE message_queue SET status = 'completed'; UPDATE messages SET status = 'sent'")
    assert alarms_after_a_look() == set()


def test_a_lease_that_nobody_took_back_alarms(message):
    change(
        "UPDATE message_queue SET status = 'processing', owner = gen_random_uuid(),"
        " lease_until = clock_timestamp() - interval '1 hour'"
    )
    assert alarms_after_a_look() == {"delivery_stuck"}


# Each breaks the property in its own way, whatever the time.
@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("DELETE FROM message_queue", "in no queue"),
        ("UPDATE message_queue SET status = 'completed'", "in no queue"),
        ("UPDATE message_queue SET owner = gen_random_uuid()", "half claimed"),
        ("UPDATE message_queue SET submitted_at = now()", "half claimed"),
        ("UPDATE message_queue SET scheduled_at = now() + interval '3 days'", "no moment"),
        ("UPDATE whatsapp_numbers SET deleted_at = now()", "its number is gone"),
        ("UPDATE message_queue SET status = 'processing'", "no lease"),
        ("UPDATE message_queue SET status = 'uncertain'", "never submitted"),
    ],
)
def test_a_row_without_a_reason_or_a_moment_is_lost_at_once(message, sql, why):
    assert stuck.find_lost() == []
    change(sql)
    assert [(one.message_id, one.why) for one in stuck.find_lost()] == [(message.id, why)]
    assert alarms_after_a_look() == {"delivery_stuck"}


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT 1", "due"),
        # Stopped, and no moment at which it would be tried; or that moment has passed.
        ("UPDATE whatsapp_numbers SET status = 'error'", "nobody tries its number"),
        (
            "UPDATE whatsapp_numbers SET status = 'error'; INSERT INTO number_pace"
            " (whatsapp_number_id, held_until) SELECT id, now() - interval '1 hour'"
            " FROM whatsapp_numbers",
            "nobody tries its number",
        ),
        (
            "UPDATE message_queue SET status = 'uncertain', submitted_at = scheduled_at;"
            " UPDATE messages SET status = 'uncertain'",
            "nobody was told",
        ),
        (
            "UPDATE message_queue SET status = 'processing', owner = gen_random_uuid(),"
            " lease_until = scheduled_at",
            "its lease is over",
        ),
    ],
)
def test_what_nobody_does_in_time_is_lost(message, sql, why):
    change(LATE)
    change(sql)
    assert [one.why for one in stuck.find_lost()] == [why]
    assert stuck.find_lost(seconds=7200) == []


@pytest.mark.parametrize(
    "reason",
    [
        "UPDATE whatsapp_numbers SET sending_paused_at = now()",
        "UPDATE whatsapp_numbers SET status = 'error'; INSERT INTO number_pace"
        " (whatsapp_number_id, held_until) SELECT id, now() + interval '1 minute'"
        " FROM whatsapp_numbers",
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
    change(
        "UPDATE message_queue SET status = 'uncertain', submitted_at = now();"
        " UPDATE messages SET status = 'uncertain'"
    )
    make_queued_message(message.chat)
    db.session.commit()
    change("UPDATE message_queue SET scheduled_at = clock_timestamp() - interval '1 hour'")
    assert alarms_after_a_look() == set()


def test_a_number_that_never_sent_anything_is_held_until_a_moment(message):
    with atomic():
        sending.stop_number(
            message.whatsapp_number_id, code="190", reason="No.", seconds=60, tries=1
        )
    change(LATE)
    assert stuck.find_lost() == []
