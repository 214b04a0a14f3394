"""A chat comes back: with the customer's word, by its time, reopened."""

from datetime import timedelta

import pytest

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import AgentStatus, ChatStatus, PendingReason, User
from crm.services import chats, routing
from crm.services.chats import person
from crm.services.routing import sweep
from tests.factories import make_message
from tests.services.arrivals import route
from tests.services.desk import Desk


@pytest.mark.parametrize("reason", [PendingReason.CUSTOMER, PendingReason.SNOOZED])
def test_a_pending_chat_returns_with_the_customer_s_word_to_its_agent(desk: Desk, reason):
    agent = desk.add_agent(limit=1)
    desk.add_held(agent)  # full: a returning customer may exceed the limit
    chat = desk.add_held(agent, status=ChatStatus.PENDING, pending_reason=reason,
                         snoozed_until=utcnow() + timedelta(hours=2))  # fmt: skip
    with atomic():
        make_message(chat, content="¿Ya?")
    chat = route(chat)
    assert (chat.status, chat.assigned_agent_id) == (ChatStatus.ASSIGNED, agent.id)
    assert (chat.pending_reason, chat.snoozed_until) == (None, None)


@pytest.mark.parametrize("status", [AgentStatus.OFFLINE, AgentStatus.PAUSED])
def test_a_returning_customer_does_not_land_on_somebody_who_is_away(
    desk: Desk, status: AgentStatus
):
    gone, here = desk.add_agent(agent_status=status), desk.add_agent()
    chat = desk.add_held(gone, status=ChatStatus.PENDING, pending_reason=PendingReason.CUSTOMER)
    with atomic():
        make_message(chat, content="¿Hola?")
    assert route(chat).assigned_agent_id == here.id


def test_a_pending_chat_without_a_new_word_stays(desk: Desk):
    agent = desk.add_agent()
    chat = desk.add_held(agent, status=ChatStatus.PENDING, pending_reason=PendingReason.CUSTOMER)
    assert route(chat).status is ChatStatus.PENDING


def test_a_lost_ring_for_a_pending_chat_is_found(desk: Desk):
    agent = desk.add_agent()
    chat = desk.add_held(agent, status=ChatStatus.PENDING, pending_reason=PendingReason.CUSTOMER)
    with atomic():
        chat.waiting_since = utcnow() - timedelta(seconds=30)
    assert sweep.find_unrouted_chats() == [chat.id]


def test_a_snooze_returns_by_its_time(desk: Desk):
    agent = desk.add_agent()
    chat = desk.add_held(agent, status=ChatStatus.PENDING, pending_reason=PendingReason.SNOOZED,
                         snoozed_until=utcnow() + timedelta(hours=1))  # fmt: skip
    assert sweep.find_chats_to_tend() == []
    with atomic():
        chat.snoozed_until = utcnow() - timedelta(seconds=1)
    assert sweep.find_chats_to_tend() == [chat.id]
    with atomic():
        routing.tend_chat(chat.id)
    db.session.refresh(chat)
    assert (chat.status, chat.assigned_agent_id) == (ChatStatus.ACTIVE, agent.id)


def test_a_snooze_of_somebody_who_is_away_goes_to_the_head_of_the_queue(desk: Desk):
    agent = desk.add_agent(agent_status=AgentStatus.OFFLINE)
    chat = desk.add_held(agent, status=ChatStatus.PENDING, pending_reason=PendingReason.SNOOZED,
                         snoozed_until=utcnow() - timedelta(seconds=1))  # fmt: skip
    with atomic():
        routing.tend_chat(chat.id)
    db.session.refresh(chat)
    assert (chat.status, chat.queue_ahead) == (ChatStatus.QUEUED, True)


def test_a_reopened_chat_goes_to_its_last_agent_or_to_the_head_of_the_queue(desk: Desk):
    agent = desk.add_agent()
    chat = desk.add_held(agent, status=ChatStatus.CLOSED)
    with atomic():
        chats.reopen_chat(chat, actor=chats.CLIENT, reason="customer_wrote")
    assert route(chat).assigned_agent_id == agent.id
    with atomic():
        chats.close_chat(chat, actor=person(agent.id), reason="resolved")
        db.session.get_one(User, agent.id).agent_status = AgentStatus.PAUSED
    with atomic():
        chats.reopen_chat(chat, actor=chats.CLIENT, reason="customer_wrote")
    chat = route(chat)
    assert (chat.status, chat.queue_ahead) == (ChatStatus.QUEUED, True)


def test_an_abandoned_chat_reopens_with_its_old_place(desk: Desk):
    chat = desk.add_waiting(ago=500)
    old_place = chat.queued_at
    with atomic():
        chats.abandon_chat(chat, reason="max_wait")
    with atomic():
        chats.reopen_chat(chat, actor=chats.CLIENT, reason="customer_wrote")
    db.session.refresh(chat)
    assert (chat.status, chat.queued_at) == (ChatStatus.QUEUED, old_place)
