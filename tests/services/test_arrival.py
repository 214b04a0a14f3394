"""A chat comes in or comes back: rules, bot, hours, queue, and what the customer is told."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import (
    AgentStatus,
    BotFlow,
    BotSession,
    CampaignStatus,
    Chat,
    ChatPriority,
    ChatStatus,
    ClientTag,
    Message,
    OverflowAction,
    PendingReason,
    Queue,
    RoutingStrategy,
    RuleAction,
    Setting,
    Task,
    User,
)
from crm.services import chats, routing
from crm.services.chats import person
from crm.services.routing import arrive, sweep
from crm.services.settings import write_settings
from tests.factories import (
    link_agent,
    make_campaign,
    make_chat,
    make_client,
    make_message,
    make_queue,
    make_rule,
    make_user,
)
from tests.services.desk import Desk, last_event, owner_of

NEVER_OPEN = {"monday": [], "holidays": []}


@pytest.fixture
def desk(database: Flask) -> Desk:
    return Desk()


def arrive_chat(desk: Desk, text: str = "Hola", **fields: Any) -> Chat:
    """A customer writes: the chat with its first message, routed."""
    with atomic():
        chat = make_chat(campaign=desk.campaign, number=desk.number, **fields)
        make_message(chat, content=text)
    return route(chat)


def route(chat: Chat) -> Chat:
    with atomic():
        routing.route_chat(chat.id)
    db.session.expire_all()
    return db.session.get_one(Chat, chat.id)


def said(chat: Chat) -> list[str | None]:
    query = select(Message.content).where(
        Message.chat_id == chat.id, Message.direction == "outbound"
    )
    return list(db.session.scalars(query.order_by(Message.id)))


def set_terms(desk: Desk, **terms: Any) -> None:
    with atomic():
        for name, value in terms.items():
            setattr(desk.campaign, name, value)


# Rules, as a chat meets them


def test_a_rule_decides_the_queue_and_the_timeline_says_which(desk: Desk):
    with atomic():
        make_queue(desk.campaign, name="General", priority=9)
        sales = make_queue(desk.campaign, name="Mayoristas")
        make_rule(desk.campaign, name="México", priority=9, action=RuleAction.ASSIGN_QUEUE,
                  conditions={"country": "MX"}, target_queue_id=sales.id)  # fmt: skip
        make_rule(desk.campaign, name="Por mayor", action=RuleAction.ASSIGN_QUEUE,
                  conditions={"keyword": "mayor"}, target_queue_id=sales.id,
                  set_priority="high", required_skills=["ingles"])  # fmt: skip
    chat = arrive_chat(desk, "Compro al por MAYOR.")
    assert (chat.queue_id, chat.priority) == (sales.id, ChatPriority.HIGH)
    assert chat.required_skills == ["ingles"]
    receipt = last_event(chat).data["rule"]
    assert receipt["rule"] == "Por mayor"
    assert receipt["missed"] == [{"rule": "México", "failed": "country"}]


def test_tags_of_the_client_are_asked(desk: Desk):
    with atomic():
        vip = make_queue(desk.campaign)
        make_queue(desk.campaign, priority=5)
        make_rule(desk.campaign, action=RuleAction.ASSIGN_QUEUE, conditions={"client_tag": "vip"},
                  target_queue_id=vip.id)  # fmt: skip
        client = make_client()
        db.session.add(ClientTag(client_id=client.id, tag="vip"))
    assert arrive_chat(desk, client=client).queue_id == vip.id
    assert arrive_chat(desk).queue_id != vip.id


def test_the_agent_of_a_rule_gets_it_if_a_candidate(desk: Desk):
    first, wanted = desk.add_agent(), desk.add_agent()
    with atomic():
        make_rule(desk.campaign, action=RuleAction.ASSIGN_AGENT, target_user_id=wanted.id)
    chat = arrive_chat(desk)
    assert chat.assigned_agent_id == wanted.id
    assert last_event(chat).reason == "rule_agent"
    with atomic():
        wanted.agent_status = AgentStatus.PAUSED
    assert arrive_chat(desk).assigned_agent_id == first.id, "else the queue, by the strategy"


@pytest.mark.parametrize("strategy", [RoutingStrategy.MANUAL, RoutingStrategy.SKILLS])
def test_the_agent_of_a_rule_gets_it_under_every_strategy(desk: Desk, strategy: RoutingStrategy):
    desk.add_agent()
    wanted = desk.add_agent()
    with atomic():
        make_rule(desk.campaign, action=RuleAction.ASSIGN_AGENT, target_user_id=wanted.id)
    set_terms(desk, routing_strategy=strategy)
    assert arrive_chat(desk).assigned_agent_id == wanted.id


def test_the_agent_of_a_rule_is_not_overfilled(desk: Desk):
    wanted = desk.add_agent(limit=1)
    with atomic():
        make_rule(desk.campaign, action=RuleAction.ASSIGN_AGENT, target_user_id=wanted.id)
    assert arrive_chat(desk).assigned_agent_id == wanted.id
    waiting = arrive_chat(desk)
    assert (waiting.status, waiting.assigned_agent_id) == (ChatStatus.QUEUED, None)


def test_a_rule_turns_away_with_its_message(desk: Desk):
    with atomic():
        make_rule(desk.campaign, action=RuleAction.REJECT, message="Escriba al 601 555 0199.")
    set_terms(desk, welcome_message="Bienvenido.")
    chat = arrive_chat(desk)
    assert (chat.status, chat.close_reason) == (ChatStatus.CLOSED, "rejected")
    assert said(chat) == ["Escriba al 601 555 0199."]


def test_a_rule_passes_on_to_another_campaign_with_its_agents(desk: Desk):
    desk.add_agent()
    with atomic():
        other = make_campaign(name="Soporte")
        queue = make_queue(other)
        expert = make_user()
        link_agent(other, expert)
        make_rule(desk.campaign, action=RuleAction.TRANSFER_CAMPAIGN, target_campaign_id=other.id)
    chat = arrive_chat(desk)
    assert (chat.campaign_id, chat.queue_id) == (other.id, queue.id)
    assert chat.assigned_agent_id == expert.id


def make_flow(**fields: Any) -> BotFlow:
    flow = BotFlow(**{"name": "Saludo", "is_published": True, "start_node_id": "inicio", **fields})
    db.session.add(flow)
    db.session.flush()
    return flow


def test_the_campaign_s_bot_talks_first_and_hands_over_to_the_rules(desk: Desk):
    agent = desk.add_agent()
    with atomic():
        flow = make_flow()
        make_queue(desk.campaign, priority=5)
        warranty = make_queue(desk.campaign)
        make_rule(desk.campaign, action=RuleAction.ASSIGN_QUEUE, target_queue_id=warranty.id,
                  conditions={"bot_variable": {"name": "tema", "operator": "=",
                                               "value": "garantía"}})  # fmt: skip
        desk.campaign.bot_enabled, desk.campaign.bot_flow_id = True, flow.id
    chat = arrive_chat(desk)
    assert (chat.status, chat.owner) == (ChatStatus.BOT, "bot")
    assert db.session.scalars(select(BotSession.flow_id)).all() == [flow.id]
    with atomic():
        wanted = arrive.hand_over(chat, variables={"tema": "GARANTIA"})
        routing.serve_after(chat, wanted)
    db.session.refresh(chat)
    assert (chat.queue_id, chat.assigned_agent_id) == (warranty.id, agent.id)
    assert chat.bot_context == {"tema": "GARANTIA"}


def test_a_bot_that_never_says_a_word_loses_the_chat_to_people(desk: Desk):
    agent = desk.add_agent()
    with atomic():
        flow = make_flow()
        make_rule(desk.campaign, action=RuleAction.ASSIGN_BOT, target_bot_flow_id=flow.id)
    chat = arrive_chat(desk)
    assert chat.status is ChatStatus.BOT
    assert sweep.find_chats_to_tend() == []
    with atomic():
        chat.bot_started_at = utcnow() - timedelta(minutes=2)
    assert sweep.find_chats_to_tend() == [chat.id]
    with atomic():
        routing.tend_chat(chat.id)
    with atomic():
        routing.drain_campaign(desk.campaign.id)
    assert owner_of(chat) == agent.id


def test_an_unpublished_flow_does_not_begin(desk: Desk):
    with atomic():
        desk.campaign.bot_enabled, desk.campaign.bot_flow_id = (
            True,
            make_flow(is_published=False).id,
        )
    assert arrive_chat(desk).status is ChatStatus.QUEUED


def test_a_blocked_client_is_closed_in_silence(desk: Desk):
    desk.add_agent()
    chat = arrive_chat(desk, client=make_client(is_blocked=True))
    assert (chat.status, chat.close_reason) == (ChatStatus.CLOSED, "blocked")
    assert said(chat) == []


def test_a_vip_segment_has_high_priority(desk: Desk):
    with atomic():
        write_settings({"routing.vip_segments": ["Élite"]})
        client = make_client(segment="elite")
    assert arrive_chat(desk, client=client).priority is ChatPriority.HIGH
    assert arrive_chat(desk).priority is ChatPriority.NORMAL
    with atomic():
        db.session.query(Setting).delete()


# What the customer is told


def test_the_welcome_is_said_once_at_the_opening(desk: Desk):
    desk.add_agent()
    set_terms(desk, welcome_message="Bienvenido a Ventas.")
    chat = arrive_chat(desk)
    assert said(chat) == ["Bienvenido a Ventas."]
    route(chat)
    assert said(chat) == ["Bienvenido a Ventas."]


def test_who_waits_hears_their_place_and_who_is_served_does_not(desk: Desk):
    set_terms(
        desk,
        queue_message="Es el {{position}}, en {{estimated_wait}}. {{nada}}",
        max_wait_seconds=600,
    )
    first, second = arrive_chat(desk), arrive_chat(desk)
    assert said(first) == ["Es el 1, en 5 min."]
    assert said(second) == ["Es el 2, en 5 min."]
    desk.add_agent(limit=9, here=9)
    assert said(arrive_chat(desk)) == []


def test_the_place_is_said_again_only_when_it_has_changed_and_not_too_often(desk: Desk):
    set_terms(desk, queue_message="Puesto {{position}}", queue_message_interval_seconds=120)
    first, second = arrive_chat(desk), arrive_chat(desk)

    def tend(ago: float) -> None:
        with atomic():
            second.queue_told_at = utcnow() - timedelta(seconds=ago)
        if second.id in sweep.find_chats_to_tend():
            with atomic():
                routing.tend_chat(second.id)

    tend(200)
    assert said(second) == ["Puesto 2"], "the same place is no news"
    with atomic():
        chats.close_chat(first, actor=chats.SYSTEM, reason="resolved")
    tend(60)
    assert said(second) == ["Puesto 2"], "not so soon"
    tend(200)
    assert said(second) == ["Puesto 2", "Puesto 1"]


def test_outside_hours_the_offline_message_is_said_once_in_a_closed_period(desk: Desk):
    desk.add_agent()
    set_terms(desk, business_hours=NEVER_OPEN, offline_message="Abrimos mañana.",
              welcome_message="Hola", queue_message="Puesto {{position}}")  # fmt: skip
    chat = arrive_chat(desk)
    assert said(chat) == ["Abrimos mañana."]
    assert chat.status is ChatStatus.QUEUED
    with atomic():
        chats.close_chat(chat, actor=chats.SYSTEM, reason="resolved")
    again = arrive_chat(desk, client=chat.client)
    assert said(again) == [], "the same closed period"
    with atomic():
        chat.offline_told_until = utcnow() - timedelta(hours=1)
        chats.close_chat(again, actor=chats.SYSTEM, reason="resolved")
    assert said(arrive_chat(desk, client=chat.client)) == ["Abrimos mañana."]


def test_a_paused_campaign_says_so_and_lets_the_chat_wait(desk: Desk):
    desk.add_agent()
    set_terms(desk, status=CampaignStatus.PAUSED, offline_message="Estamos en pausa.")
    chat = arrive_chat(desk)
    assert (chat.status, said(chat)) == (ChatStatus.QUEUED, ["Estamos en pausa."])


def test_a_text_that_may_not_leave_stops_nothing(desk: Desk):
    agent = desk.add_agent()
    set_terms(desk, welcome_message="Bienvenido.")
    desk.number.deleted_at = utcnow()
    chat = arrive_chat(desk)
    assert (said(chat), chat.assigned_agent_id) == ([], agent.id)


# A full queue


def full_queue(desk: Desk, **fields: Any) -> Queue:
    with atomic():
        queue = make_queue(desk.campaign, priority=5, max_size=1, **fields)
    desk.add_waiting(queue_id=queue.id)
    return queue


def test_a_full_queue_may_let_wait_all_the_same(desk: Desk):
    queue = full_queue(desk)
    chat = arrive_chat(desk)
    assert (chat.status, chat.queue_id) == (ChatStatus.QUEUED, queue.id)
    assert last_event(chat).data["overflow"] == {"full": [queue.name], "action": "queue"}


def test_a_full_queue_may_turn_away(desk: Desk):
    full_queue(desk, overflow_action=OverflowAction.REJECT, overflow_message="Estamos llenos.")
    chat = arrive_chat(desk)
    assert (chat.status, chat.close_reason) == (ChatStatus.CLOSED, "overflow")
    assert said(chat) == ["Estamos llenos."]


def test_a_full_queue_may_pass_on_and_the_next_full_one_too(desk: Desk):
    with atomic():
        third = make_queue(desk.campaign)
        second = make_queue(desk.campaign, max_size=1, overflow_action=OverflowAction.TRANSFER,
                            overflow_queue_id=third.id)  # fmt: skip
    full_queue(desk, overflow_action=OverflowAction.TRANSFER, overflow_queue_id=second.id)
    assert arrive_chat(desk).queue_id == second.id
    assert arrive_chat(desk).queue_id == third.id


def test_a_circle_of_full_queues_ends(desk: Desk):
    first = full_queue(desk, overflow_action=OverflowAction.TRANSFER)
    with atomic():
        second = make_queue(desk.campaign, max_size=1, overflow_action=OverflowAction.TRANSFER,
                            overflow_queue_id=first.id)  # fmt: skip
        first.overflow_queue_id = second.id
    desk.add_waiting(queue_id=second.id)
    assert arrive_chat(desk).status is ChatStatus.QUEUED


def test_the_campaign_s_size_counts_over_all_its_queues(desk: Desk):
    with atomic():
        make_queue(
            desk.campaign,
            priority=5,
            overflow_action=OverflowAction.REJECT,
            overflow_message="Lleno.",
        )
        other = make_queue(desk.campaign)
    desk.add_waiting(queue_id=other.id)
    set_terms(desk, max_queue_size=1)
    assert arrive_chat(desk).status is ChatStatus.CLOSED


def test_a_full_queue_may_take_a_message_with_a_task_to_call_back(desk: Desk):
    full_queue(desk, overflow_action=OverflowAction.VOICEMAIL, overflow_message="Deje su mensaje.")
    supervisor = desk.add_agent(role="supervisor")
    chat = arrive_chat(desk)
    assert (chat.status, chat.pending_reason) == (ChatStatus.PENDING, PendingReason.CALLBACK)
    assert said(chat) == ["Deje su mensaje."]
    task = db.session.scalars(select(Task)).one()
    assert (task.chat_id, task.assigned_to_user_id) == (chat.id, supervisor.id)
    with atomic():
        make_message(chat, content="Llámenme al 300 555 0101")
    assert route(chat).status is ChatStatus.PENDING, "they leave the message they were asked for"


def test_the_last_agent_calls_back_if_there_is_one(desk: Desk):
    agent = desk.add_agent(agent_status=AgentStatus.OFFLINE)
    full_queue(desk, overflow_action=OverflowAction.VOICEMAIL, overflow_message="Deje su mensaje.")
    client = make_client()
    with atomic():
        make_chat(campaign=desk.campaign, number=desk.number, client=client, agent=agent,
                  status=ChatStatus.CLOSED)  # fmt: skip
    chat = arrive_chat(desk, client=client)
    assert chat.assigned_agent_id == agent.id
    assert db.session.scalars(select(Task.assigned_to_user_id)).one() == agent.id


# Coming back


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
