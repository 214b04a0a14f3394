"""What time makes due: take-back, lapses, offers, the longest wait, silent customers, full load."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import (
    AgentStatus,
    Alarm,
    AlarmKind,
    Chat,
    ChatEvent,
    ChatOwner,
    ChatPriority,
    ChatStatus,
    Message,
    PendingReason,
    Setting,
    Task,
    User,
)
from crm.services import agents, chats, routing
from crm.services.chats import person
from crm.services.routing import sweep
from crm.services.settings import write_settings
from tests.factories import link_agent, make_chat, make_message, make_queue
from tests.services.desk import Desk, last_event, owner_of

# Open around the clock today, or not at all, whatever the hour of the test.
BOGOTA = ZoneInfo("America/Bogota")


@pytest.fixture
def desk(database: Flask) -> Desk:
    desk = Desk()
    with atomic():
        desk.campaign.take_back_seconds = 300
    return desk


@pytest.fixture
def settings(database: Flask):
    yield lambda **values: _write(values)
    with atomic():
        db.session.query(Setting).delete()


def _write(values: dict[str, Any]) -> None:
    with atomic():
        write_settings({name.replace("__", "."): value for name, value in values.items()})


def ago(seconds: float) -> datetime:
    return utcnow() - timedelta(seconds=seconds)


def add_unanswered(desk: Desk, agent: User, seconds: float, **fields: Any) -> Chat:
    """Assigned so long ago, its customer waiting all the while."""
    return desk.add_held(
        agent,
        **{
            "status": ChatStatus.ASSIGNED,
            "assigned_at": ago(seconds),
            "waiting_since": ago(seconds),
            **fields,
        },
    )


def tend(chat: Chat) -> Chat:
    """What the clock would ring for is done; nothing else is."""
    for chat_id in sweep.find_chats_to_tend():
        with atomic():
            routing.tend_chat(chat_id)
    db.session.expire_all()
    return db.session.get_one(Chat, chat.id)


# Take-back


def test_an_unanswered_chat_is_taken_back_ahead_of_the_others(desk: Desk):
    agent = desk.add_agent()
    early, late = add_unanswered(desk, agent, 290), add_unanswered(desk, agent, 310)
    assert tend(early).status is ChatStatus.ASSIGNED
    db.session.refresh(late)
    assert (late.status, late.queue_ahead, late.assigned_agent_id) == (
        ChatStatus.QUEUED,
        True,
        None,
    )
    assert last_event(late).reason == "no_answer"


def test_an_answer_in_time_keeps_the_chat(desk: Desk):
    agent = desk.add_agent()
    chat = add_unanswered(desk, agent, 310)
    with atomic():
        chats.record_human_reply(chat, agent)
    assert tend(chat).status is ChatStatus.ACTIVE


def test_take_back_may_be_off(desk: Desk):
    with atomic():
        desk.campaign.take_back_seconds = None
    assert tend(add_unanswered(desk, desk.add_agent(), 9999)).status is ChatStatus.ASSIGNED


def test_an_accepted_transfer_without_a_waiting_customer_may_rest(desk: Desk):
    chat = add_unanswered(desk, desk.add_agent(), 9999, waiting_since=None)
    assert tend(chat).status is ChatStatus.ASSIGNED


def test_take_back_counts_business_minutes(desk: Desk):
    """Open since three minutes ago: of the fifteen that passed, three count."""
    opened = datetime.now(BOGOTA) - timedelta(minutes=3)
    later = opened + timedelta(hours=2)
    with atomic():
        hours = [{"start": f"{opened:%H:%M:%S}", "end": f"{later:%H:%M:%S}"}]
        desk.campaign.business_hours = {f"{opened:%A}".lower(): hours}
    chat = add_unanswered(desk, desk.add_agent(), 900)
    assert tend(chat).status is ChatStatus.ASSIGNED
    with atomic():
        desk.campaign.take_back_seconds = 150
    assert tend(chat).status is ChatStatus.QUEUED


def test_who_let_it_lapse_does_not_get_it_back_for_half_an_hour(desk: Desk):
    agent, colleague = desk.add_agent(), desk.add_agent(limit=1)
    held = desk.add_held(colleague)
    chat = tend(add_unanswered(desk, agent, 310))
    with atomic():
        drained = routing.drain_campaign(desk.campaign.id)
    assert drained.assigned == [], "the colleague is only full, and will have room"
    with atomic():
        chats.close_chat(held, actor=person(colleague.id), reason="resolved")
        routing.drain_campaign(desk.campaign.id)
    assert owner_of(chat) == colleague.id
    receipt = last_event(chat).data["routing"]
    assert [(out["user_id"], out["why"]) for out in receipt["left_out"]] == [(agent.id, "lapsed")]


def test_after_half_an_hour_they_may_have_it_again(desk: Desk):
    agent = desk.add_agent()
    desk.add_held(desk.add_agent(limit=1))
    chat = tend(add_unanswered(desk, agent, 310))
    with atomic():
        chat.lapses = {str(agent.id): ago(31 * 60).isoformat()}
    with atomic():
        routing.drain_campaign(desk.campaign.id)
    assert owner_of(chat) == agent.id


def test_who_is_alone_gets_it_back(desk: Desk):
    agent = desk.add_agent()
    desk.add_agent(agent_status=AgentStatus.PAUSED)
    chat = tend(add_unanswered(desk, agent, 310))
    with atomic():
        routing.drain_campaign(desk.campaign.id)
    assert owner_of(chat) == agent.id


def test_two_lapses_in_a_row_pause_the_agent(desk: Desk):
    agent = desk.add_agent()
    tend(add_unanswered(desk, agent, 310))
    assert db.session.get_one(User, agent.id).agent_status is AgentStatus.AVAILABLE
    tend(add_unanswered(desk, agent, 310))
    agent = db.session.get_one(User, agent.id)
    assert (agent.agent_status, agent.agent_status_reason) == (AgentStatus.PAUSED, "no_answer")
    alarm = db.session.scalars(select(Alarm)).one()
    assert (alarm.kind, alarm.campaign_id) == (AlarmKind.AGENT_UNANSWERING, desk.campaign.id)


def test_an_answer_between_two_lapses_ends_the_row(desk: Desk):
    agent = desk.add_agent()
    tend(add_unanswered(desk, agent, 310))
    with atomic():
        chats.record_human_reply(add_unanswered_now(desk, agent), agent)
    tend(add_unanswered(desk, agent, 310))
    assert db.session.get_one(User, agent.id).agent_status is AgentStatus.AVAILABLE


def add_unanswered_now(desk: Desk, agent: User) -> Chat:
    return make_chat(campaign=desk.campaign, number=desk.number, agent=agent)


# Offline, and the phone


def test_of_an_agent_who_is_gone_active_chats_return_when_a_word_has_waited(desk: Desk):
    gone = desk.add_agent(agent_status=AgentStatus.OFFLINE)
    waits = desk.add_held(gone, waiting_since=ago(310))
    fresh = desk.add_held(gone, waiting_since=ago(60))
    silent = desk.add_held(gone)
    pending = desk.add_held(gone, status=ChatStatus.PENDING, pending_reason=PendingReason.CUSTOMER)
    tend(waits)
    for chat in (waits, fresh, silent, pending):
        db.session.refresh(chat)
    assert waits.status is ChatStatus.QUEUED
    assert last_event(waits).reason == "agent_offline"
    assert [chat.status for chat in (fresh, silent, pending)] == ["active", "active", "pending"]


def test_of_an_agent_at_work_active_chats_stay(desk: Desk):
    chat = desk.add_held(desk.add_agent(), waiting_since=ago(9999))
    assert tend(chat).status is ChatStatus.ACTIVE


def test_a_chat_that_the_phone_answered_goes_to_the_queue_when_the_phone_falls_silent(desk: Desk):
    with atomic():
        chat = make_chat(campaign=desk.campaign, number=desk.number, status=ChatStatus.ACTIVE,
                         owner=ChatOwner.PHONE, waiting_since=ago(200))  # fmt: skip
    assert tend(chat).status is ChatStatus.ACTIVE
    with atomic():
        chat.waiting_since = ago(310)
    assert tend(chat).status is ChatStatus.QUEUED
    assert last_event(chat).reason == "phone_silent"


# Offers


def offered(desk: Desk, **receiver: Any) -> tuple[Chat, User, User]:
    sender, taker = desk.add_agent(), desk.add_agent(**receiver)
    chat = desk.add_held(sender)
    with atomic():
        chats.offer_chat(chat, taker, actor=person(sender.id), reason="knows_more")
    return chat, sender, taker


def test_an_offer_ends_after_its_minute_and_the_sender_has_it(desk: Desk):
    chat, sender, taker = offered(desk)
    assert tend(chat).status is ChatStatus.TRANSFERRED
    assert chats.count_load(taker.id) == 1
    with atomic():
        chat.offered_at = ago(61)
    chat = tend(chat)
    assert (chat.status, chat.assigned_agent_id) == (ChatStatus.ACTIVE, sender.id)
    assert (chat.offered_agent_id, chat.transfer_count) == (None, 0)
    assert last_event(chat).reason == "expired"


def test_the_minute_is_a_setting(desk: Desk, settings):
    settings(routing__offer_seconds=600)
    chat, _sender, _taker = offered(desk)
    with atomic():
        chat.offered_at = ago(300)
    assert tend(chat).status is ChatStatus.TRANSFERRED


def test_an_offer_to_who_goes_offline_comes_back_at_once(desk: Desk):
    chat, sender, taker = offered(desk)
    with atomic():
        agents.set_agent_status(taker, AgentStatus.OFFLINE, actor=person(taker.id))
    with atomic():
        assert routing.tend_chat(chat.id)
    assert owner_of(chat) == sender.id
    assert last_event(chat).reason == "gone"


def test_an_offer_goes_to_the_head_of_the_queue_when_the_sender_has_left(desk: Desk):
    chat, sender, _taker = offered(desk)
    with atomic():
        agents.set_agent_status(sender, AgentStatus.PAUSED, actor=person(sender.id))
        chat.offered_at = ago(61)
    chat = tend(chat)
    assert (chat.status, chat.queue_ahead, chat.assigned_agent_id) == (
        ChatStatus.QUEUED,
        True,
        None,
    )


# The longest wait


def test_the_longest_wait_has_its_consequences_once(desk: Desk):
    with atomic():
        desk.campaign.wait_message = "Seguimos con usted."
        queue = make_queue(desk.campaign, max_wait_seconds=100)
    chat = desk.add_waiting(ago=110, queue_id=queue.id)
    with atomic():
        make_message(chat)
    chat = tend(tend(chat))
    assert (chat.status, chat.priority) == (ChatStatus.QUEUED, ChatPriority.HIGH)
    words = db.session.scalars(select(Message.content).where(Message.direction == "outbound"))
    assert words.all() == ["Seguimos con usted."]
    kinds = db.session.scalars(select(ChatEvent.kind).where(ChatEvent.chat_id == chat.id))
    assert kinds.all() == ["overdue"]
    assert db.session.scalars(select(Alarm.kind)).all() == [AlarmKind.QUEUE_OVERDUE]


def test_the_longest_wait_leads_to_the_overflow_queue_with_the_old_place(desk: Desk):
    with atomic():
        overflow = make_queue(desk.campaign)
        queue = make_queue(desk.campaign, max_wait_seconds=100, overflow_queue_id=overflow.id)
    chat = desk.add_waiting(ago=110, queue_id=queue.id)
    place = chat.queued_at
    chat = tend(chat)
    assert (chat.queue_id, chat.queued_at, chat.status) == (overflow.id, place, ChatStatus.QUEUED)
    assert tend(chat).priority is ChatPriority.HIGH, "one step, not one at each look"


def test_a_new_spell_may_be_overdue_again(desk: Desk):
    agent = desk.add_agent()
    chat = tend(desk.add_waiting(ago=700))
    assert chat.overdue_at is not None
    with atomic():
        chats.assign_chat(chat, agent, actor=person(agent.id), reason="by_hand")
    with atomic():
        chats.requeue_chat(chat, actor=person(agent.id), reason="returned")
    assert chat.overdue_at is None


def test_where_the_campaign_says_so_the_chat_is_abandoned_with_a_task(desk: Desk):
    with atomic():
        desk.campaign.abandon_enabled = True
        desk.campaign.abandon_message = "Le llamamos."
    agent = desk.add_agent(agent_status=AgentStatus.PAUSED)
    with atomic():
        link_agent(desk.campaign, make_supervisor())
    chat = desk.add_waiting(ago=700)
    with atomic():
        make_message(chat)
    chat = tend(chat)
    assert (chat.status, chat.close_reason) == (ChatStatus.ABANDONED, "abandoned")
    task = db.session.scalars(select(Task)).one()
    assert task.chat_id == chat.id
    assert task.assigned_to_user_id != agent.id


def make_supervisor() -> User:
    from tests.factories import make_user

    return make_user(role="supervisor")


def test_outside_hours_no_wait_passes(desk: Desk):
    with atomic():
        desk.campaign.business_hours = {"monday": []}
    chat = tend(desk.add_waiting(ago=99_999))
    assert chat.overdue_at is None


# Silent customers


def add_silent(desk: Desk, seconds: float) -> Chat:
    agent = desk.add_agent()
    return desk.add_held(agent, status=ChatStatus.PENDING, pending_reason=PendingReason.CUSTOMER,
                         last_inbound_at=ago(seconds))  # fmt: skip


def test_a_silent_customer_is_reminded_once_and_then_the_chat_closes(desk: Desk):
    with atomic():
        desk.campaign.inactivity_reminder_seconds = 3600
        desk.campaign.inactivity_reminder_message = "¿Sigue ahí?"
        desk.campaign.inactivity_close_seconds = 86_400
    chat = tend(tend(add_silent(desk, 4000)))
    words = db.session.scalars(select(Message.content).where(Message.direction == "outbound"))
    assert words.all() == ["¿Sigue ahí?"]
    with atomic():
        chat.last_inbound_at = ago(86_500)
    chat = tend(chat)
    assert (chat.status, chat.close_reason) == (ChatStatus.CLOSED, "no_reply")


def test_a_chat_whose_last_word_is_the_customer_s_never_closes_by_itself(desk: Desk):
    with atomic():
        desk.campaign.inactivity_close_seconds = 60
    chat = add_silent(desk, 4000)
    with atomic():
        chat.waiting_since = ago(4000)
    assert tend(chat).status is ChatStatus.PENDING


# Busy by itself


def test_at_full_load_an_agent_is_busy_by_itself_and_available_again(desk: Desk, settings):
    agent = desk.add_agent(limit=1)
    chat = desk.add_held(agent)
    assert agents.find_agents_to_settle() == []
    settings(routing__busy_when_full=True)
    assert agents.find_agents_to_settle() == [agent.id]
    with atomic():
        assert agents.settle_busy(agent.id)
    db.session.refresh(agent)
    assert (agent.agent_status, agent.agent_status_reason) == (AgentStatus.BUSY, "full_load")
    with atomic():
        assert not agents.settle_busy(agent.id)
        chats.close_chat(chat, actor=person(agent.id), reason="resolved")
    assert agents.find_agents_to_settle() == [agent.id]
    with atomic():
        assert agents.settle_busy(agent.id)
    db.session.refresh(agent)
    assert agent.agent_status is AgentStatus.AVAILABLE


def test_busy_by_hand_stays_busy(desk: Desk, settings):
    settings(routing__busy_when_full=True)
    agent = desk.add_agent(agent_status=AgentStatus.BUSY)
    with atomic():
        assert not agents.settle_busy(agent.id)
