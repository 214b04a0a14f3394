"""A chat comes in: rules, bot, who is blocked and who goes first."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import (
    AgentStatus,
    BotFlow,
    BotSession,
    ChatPriority,
    ChatStatus,
    ClientTag,
    RoutingStrategy,
    RuleAction,
    Setting,
)
from crm.services import routing
from crm.services.routing import arrive, sweep
from crm.services.settings import write_settings
from tests.factories import link_agent, make_campaign, make_client, make_queue, make_rule, make_user
from tests.services.arrivals import arrive_chat, said, set_terms
from tests.services.desk import Desk, last_event, owner_of


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
