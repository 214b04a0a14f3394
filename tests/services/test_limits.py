"""The daily limit of a number: what counts, what waits, what fails, and what never waits."""

import uuid
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.lib.crypto import encrypt
from crm.models import Alarm, LimitAction, MessageType, NumberDay, Provider, QueuedMessage
from crm.providers.outbound import Deletion, Edit, ProviderError, Reaction, SendResult
from crm.services.messages import delivery, limits
from crm.services.messages.accepted import Accepted, record_sent
from crm.services.messages.claims import Outgoing, Settings
from crm.services.messages.loading import load_outgoing
from crm.services.messages.outbound import queue_outbound
from crm.services.wppconnect import orders, sessions
from tests.factories import make_chat, make_message, make_number, make_queued_message

ZONE = "America/Bogota"
TEMPLATE = {"template": {"name": "aviso", "language": "es", "category": "UTILITY"}}
AGENT, BOT, BULK = 100, 50, 0


@pytest.fixture
def settings(database):
    return Settings(graph_url="", encryption_keys=database.config["CRM"].encryption_keys)


@pytest.fixture
def number(database):
    number = make_number(rate_limit_per_minute=0, daily_message_limit=10)
    db.session.commit()
    return number


def chat_of(number, *, hours=1):
    chat = make_chat(number=number)
    chat.last_inbound_at = utcnow() - timedelta(hours=hours)
    db.session.commit()
    return chat


def queue(number, priority, *, outside=False, chat=None):
    """A text inside the window, or a template outside of it."""
    chat = chat or chat_of(number, hours=48 if outside else 1)
    kind = {"message_type": MessageType.TEMPLATE, "meta": TEMPLATE} if outside else {}
    message = make_queued_message(chat, max_retries=6, **kind)
    message.queued.priority = priority
    db.session.commit()
    return message


def sent(number, counted):
    with atomic():
        limits.count_sent({number.id: (counted, counted)}, zone=ZONE)


def claim(number, settings):
    with atomic():
        return delivery.claim_due({number.id: 20}, owner=uuid.uuid4(), settings=settings).claims


def claimed_ids(number, settings):
    return [one.message_id for one in claim(number, settings)]


def open_alarms():
    return set(db.session.scalars(select(Alarm.kind).where(Alarm.ended_at.is_(None))))


def test_only_what_leaves_outside_the_window_counts_on_meta(number, settings):
    queue(number, AGENT)
    queue(number, AGENT, outside=True)
    claims = claim(number, settings)
    with atomic():
        loads = load_outgoing(claims, settings=settings)
        record_sent(
            [
                Accepted(load.claim, SendResult(f"wamid.{n}"), counts=load.counts)
                for n, load in enumerate(loads)
            ],
            zone=ZONE,
        )
    day = db.session.scalars(select(NumberDay)).one()
    assert (day.sent, day.counted) == (2, 1)


def test_near_the_limit_mass_sending_waits_and_nothing_else(number, settings):
    sent(number, 8)
    agent, bot = queue(number, AGENT, outside=True), queue(number, BOT, outside=True)
    bulk = queue(number, BULK, outside=True)
    assert claimed_ids(number, settings) == [agent.id, bot.id]
    db.session.refresh(bulk.queued)
    assert bulk.queued.last_error == "daily_limit"
    assert bulk.queued.scheduled_at > utcnow()
    assert open_alarms() == {"daily_limit_near"}


def test_at_the_limit_a_bots_template_waits_and_its_answer_does_not(number, settings):
    sent(number, 10)
    agent, answer = queue(number, AGENT, outside=True), queue(number, BOT)
    queue(number, BOT, outside=True)
    queue(number, BULK)
    assert claimed_ids(number, settings) == [agent.id, answer.id]
    assert open_alarms() == {"daily_limit_reached"}


def test_on_wppconnect_everything_counts_and_agents_do_not_wait(number, settings):
    number.provider = Provider.WPPCONNECT
    db.session.commit()
    sent(number, 10)
    agent = queue(number, AGENT)
    queue(number, BOT)
    assert claimed_ids(number, settings) == [agent.id]


def test_an_edit_and_a_deletion_bring_nothing_new_and_do_not_count(number, settings):
    number.provider = Provider.WPPCONNECT
    number.wppconnect_server_url, number.wppconnect_session_name = "http://127.0.0.1:9", "linea"
    number.wppconnect_api_key = encrypt("k", settings.encryption_keys)
    db.session.commit()
    chat = chat_of(number)
    said = make_message(
        chat, direction="outbound", status="sent", whatsapp_message_id=f"{number.id}:3EB0A"
    )
    with atomic():
        for content in (Edit(said.whatsapp_message_id, "Mañana"), Deletion("1:3EB0B")):
            queue_outbound(chat, content)
        queue_outbound(chat, Reaction(said.whatsapp_message_id, "👍"))
    with atomic():
        orders.connect(number, keys=settings.encryption_keys)
        sessions.find_session(number.id).token = encrypt("t", settings.encryption_keys)
    for wamid in ("3EB0C", "3EB0D", "3EB0E"):
        claims = claim(number, settings)
        [leaving] = load_outgoing(claims, settings=settings)
        result = SendResult(f"{number.id}:{wamid}", None)
        with atomic():
            record_sent([Accepted(claims[0], result, counts=leaving.counts)], zone=ZONE)
    day = db.session.scalars(select(NumberDay)).one()
    # The reaction alone: it reaches the customer as something new.
    assert (day.sent, day.counted) == (1, 1)


def test_an_agents_answer_does_not_wait_behind_what_waits_for_the_limit(number, settings):
    sent(number, 10)
    chat = chat_of(number)
    queue(number, BULK, chat=chat)
    answer = queue(number, AGENT, chat=chat)
    assert claimed_ids(number, settings) == [answer.id]


def test_a_number_that_only_warns_goes_on(number, settings):
    number.limit_action = LimitAction.WARN
    db.session.commit()
    sent(number, 10)
    bulk = queue(number, BULK, outside=True)
    assert claimed_ids(number, settings) == [bulk.id]
    assert open_alarms() == {"daily_limit_reached"}


def test_a_number_that_refuses_fails_what_counts(number, settings):
    number.limit_action = LimitAction.REFUSE
    db.session.commit()
    sent(number, 10)
    for priority in (AGENT, BOT, BULK):
        queue(number, priority, outside=True)
    claims = claim(number, settings)
    with atomic():
        loads = load_outgoing(claims, settings=settings)
    assert isinstance(loads[0], Outgoing)
    assert [isinstance(load, ProviderError) and load.code for load in loads[1:]] == [
        "daily_limit",
        "daily_limit",
    ]


def test_a_higher_limit_lets_go_what_waited(number, settings):
    sent(number, 10)
    bulk = queue(number, BULK, outside=True)
    assert claim(number, settings) == []
    number.daily_message_limit = 100
    db.session.commit()
    with atomic():
        limits.lift_limit(number.id)
    assert claimed_ids(number, settings) == [bulk.id]
    assert open_alarms() == set()


def test_the_first_message_of_a_new_day_ends_the_alarm(number, settings):
    sent(number, 10)
    queue(number, BULK)
    claim(number, settings)
    with atomic():
        db.session.execute(text("UPDATE number_days SET day = day - 1"))
        db.session.execute(text("UPDATE message_queue SET scheduled_at = clock_timestamp()"))
    assert len(claim(number, settings)) == 1
    sent(number, 1)
    assert open_alarms() == set()


def test_without_a_limit_nothing_is_held(number, settings):
    number.daily_message_limit = None
    db.session.commit()
    sent(number, 10_000)
    queue(number, BULK, outside=True)
    assert len(claim(number, settings)) == 1


def test_what_waits_for_tomorrow_is_due_at_its_first_moment(number, settings):
    sent(number, 10)
    queue(number, BULK)
    claim(number, settings)
    hour = db.session.scalar(
        text("SELECT to_char(scheduled_at AT TIME ZONE :zone, 'HH24:MI:SS') FROM message_queue"),
        {"zone": ZONE},
    )
    assert hour == "00:00:00"
    assert db.session.scalars(select(QueuedMessage.attempts)).one() == 0
