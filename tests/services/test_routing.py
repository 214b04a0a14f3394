"""How a chat finds its agent: where it goes, the line, turns, and what the clock finds."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import (
    AgentStatus,
    CampaignStatus,
    Chat,
    ChatEvent,
    ChatPriority,
    ChatStatus,
    RoutingStrategy,
    User,
)
from crm.services import chats, routing
from crm.services.routing import sweep
from tests.factories import link_agent, make_campaign, make_chat, make_queue, make_user
from tests.services.desk import Desk, last_event, load_of, owner_of, turn_of

CLOSED_TODAY = {"holidays": [], "monday": []}


def route(chat: Chat) -> routing.Drained:
    with atomic():
        return routing.route_chat(chat.id)


def drain(desk: Desk, **options: Any) -> routing.Drained:
    with atomic():
        return routing.drain_campaign(desk.campaign.id, **options)


def new_chat(desk: Desk, **fields: Any) -> Chat:
    with atomic():
        return make_chat(campaign=desk.campaign, number=desk.number, **fields)


# Where a new chat goes


def test_a_new_chat_takes_the_first_queue_and_an_agent(desk: Desk):
    with atomic():
        make_queue(desk.campaign, name="Baja", priority=1)
        first = make_queue(desk.campaign, name="Alta", priority=5)
        make_queue(desk.campaign, name="Alta después", priority=5)
        make_queue(desk.campaign, name="Cerrada", priority=9, is_active=False)
    agent = desk.add_agent()
    chat = new_chat(desk)
    assert route(chat).assigned == [(chat.id, agent.id)]
    assert owner_of(chat) == agent.id
    assert chat.status is ChatStatus.ASSIGNED
    assert chat.queue_id == first.id
    kinds = db.session.scalars(
        select(ChatEvent.kind).where(ChatEvent.chat_id == chat.id).order_by(ChatEvent.id)
    ).all()
    assert kinds == ["queued", "assigned"]


def test_a_campaign_without_a_queue_loses_no_chat(desk: Desk):
    agent = desk.add_agent()
    chat = new_chat(desk)
    route(chat)
    assert owner_of(chat) == agent.id
    assert chat.queue_id is None


@pytest.mark.parametrize("status", ["bot", "assigned", "active", "pending", "closed"])
def test_a_late_ring_for_a_chat_that_has_moved_on_does_nothing(desk: Desk, status: str):
    desk.add_agent()
    with atomic():
        chat = make_chat(campaign=desk.campaign, number=desk.number, status=ChatStatus(status))
    version = chat.version
    assert route(chat).assigned == []
    db.session.refresh(chat)
    assert (chat.status, chat.version) == (status, version)


def test_a_ring_for_a_chat_that_does_not_exist_does_nothing(desk: Desk):
    with atomic():
        assert routing.route_chat(987654).assigned == []


def test_routing_twice_assigns_once(desk: Desk):
    desk.add_agent()
    chat = new_chat(desk)
    assert len(route(chat).assigned) == 1
    assert route(chat).assigned == []


# The line


def test_the_line_is_served_by_queue_then_chat_priority_then_arrival(desk: Desk):
    with atomic():
        vip = make_queue(desk.campaign, priority=5)
        general = make_queue(desk.campaign, priority=0)
    old = desk.add_waiting(ago=90, queue_id=general.id)
    older = desk.add_waiting(ago=99, queue_id=general.id)
    urgent = desk.add_waiting(ago=1, queue_id=general.id, priority=ChatPriority.URGENT)
    high = desk.add_waiting(ago=5, queue_id=general.id, priority=ChatPriority.HIGH)
    low = desk.add_waiting(ago=500, queue_id=general.id, priority=ChatPriority.LOW)
    back = desk.add_waiting(ago=2, queue_id=general.id, queue_ahead=True)
    in_vip = desk.add_waiting(ago=1, queue_id=vip.id, priority=ChatPriority.LOW)
    agent = desk.add_agent(limit=50, here=50)
    served = [chat_id for chat_id, _ in drain(desk).assigned]
    expected = [in_vip, urgent, high, back, older, old, low]
    assert served == [chat.id for chat in expected]
    assert load_of(agent) == len(expected)


def test_an_agent_of_two_campaigns_serves_the_higher_first(desk: Desk):
    agent = desk.add_agent(limit=1)
    with atomic():
        higher = make_campaign(priority=10)
        link_agent(higher, agent)
    here = desk.add_waiting(ago=600)
    there = desk.add_waiting(campaign=higher)
    drain(desk)
    assert owner_of(there) == agent.id
    assert owner_of(here) is None


def test_a_place_goes_to_the_highest_campaign_even_round_two_corners(desk: Desk):
    """An event in one campaign frees nobody for a lower one while a higher one waits."""
    first = desk.add_agent(agent_status=AgentStatus.BUSY)
    shared = desk.add_agent(limit=1)
    with atomic():
        middle, highest = make_campaign(priority=1), make_campaign(priority=10)
        link_agent(middle, first)
        link_agent(middle, shared)
        link_agent(highest, shared)
        db.session.delete(shared.campaign_links[0])  # not in the desk's own campaign
    desk.add_waiting()
    lower = desk.add_waiting(campaign=middle, ago=600)
    higher = desk.add_waiting(campaign=highest)
    drain(desk)
    assert owner_of(higher) == shared.id
    assert owner_of(lower) is None


def test_a_newcomer_does_not_overtake_those_who_wait(desk: Desk):
    waiting = desk.add_waiting(ago=60)
    agent = desk.add_agent(limit=1)
    newcomer = new_chat(desk)
    route(newcomer)
    assert owner_of(waiting) == agent.id
    assert owner_of(newcomer) is None
    assert newcomer.status is ChatStatus.QUEUED


def test_a_full_campaign_ahead_does_not_block_another_behind(desk: Desk):
    with atomic():
        starved = make_campaign(priority=10)
    busy = desk.add_agent(agent_status=AgentStatus.BUSY)
    with atomic():
        link_agent(starved, busy)
    for _ in range(3):
        desk.add_waiting(campaign=starved, ago=100)
    agent = desk.add_agent()
    chat = desk.add_waiting()
    drain(desk)
    assert owner_of(chat) == agent.id


def test_a_pass_gives_away_so_many_and_says_that_there_is_more(desk: Desk):
    desk.add_agent(limit=50, here=50)
    for _ in range(5):
        desk.add_waiting()
    first = drain(desk, limit=3)
    assert (len(first.assigned), first.more) == (3, True)
    second = drain(desk, limit=3)
    assert (len(second.assigned), second.more) == (2, False)


def test_chats_without_a_skilled_agent_do_not_block_those_behind(desk: Desk):
    with atomic():
        desk.campaign.routing_strategy = RoutingStrategy.SKILLS
        queue = make_queue(desk.campaign, max_wait_seconds=600)
    agent = desk.add_agent(limit=20, here=20)
    for _ in range(6):
        desk.add_waiting(ago=60, required_skills=["french"], queue_id=queue.id)
    plain = desk.add_waiting(ago=1)
    drained = drain(desk, limit=3)
    assert drained.assigned == [(plain.id, agent.id)]


def test_a_skill_that_nobody_has_gives_way_after_half_of_the_wait(desk: Desk):
    with atomic():
        desk.campaign.routing_strategy = RoutingStrategy.SKILLS
        queue = make_queue(desk.campaign, max_wait_seconds=600)
    agent = desk.add_agent(member={"skills": ["english"]})
    early = desk.add_waiting(ago=299, required_skills=["english", "french"], queue_id=queue.id)
    late = desk.add_waiting(ago=301, required_skills=["english", "french"], queue_id=queue.id)
    drain(desk)
    assert owner_of(late) == agent.id
    assert owner_of(early) is None
    assert last_event(late).reason == "skills_partial"


def test_a_chat_that_somebody_holds_is_passed_over_and_said(desk: Desk):
    """A message is being written into it: routing does not wait, and comes back."""
    desk.add_agent()
    held = desk.add_waiting()
    with db.engine.begin() as other:
        other.execute(select(Chat.id).where(Chat.id == held.id).with_for_update(key_share=True))
        drained = drain(desk)
    assert drained.assigned == []
    assert drained.held
    assert len(drain(desk).assigned) == 1


# When nothing is assigned by itself


@pytest.mark.parametrize("status", [CampaignStatus.PAUSED, CampaignStatus.ENDED])
def test_a_paused_campaign_waits(desk: Desk, status: CampaignStatus):
    with atomic():
        desk.campaign.status = status
    desk.add_agent()
    chat = new_chat(desk)
    route(chat)
    assert owner_of(chat) is None
    assert chat.status is ChatStatus.QUEUED
    assert last_event(chat).data["routing"]["why"] == f"campaign_{status}"


def test_outside_business_hours_nothing_is_assigned_but_a_pick_is(desk: Desk):
    with atomic():
        desk.campaign.business_hours = CLOSED_TODAY
    agent = desk.add_agent()
    chat = new_chat(desk)
    route(chat)
    assert owner_of(chat) is None
    assert last_event(chat).data["routing"]["why"] == "outside_hours"
    assert sweep.find_drainable_campaigns() == []
    with atomic():
        chats.pick_chat(chat, agent)
    assert owner_of(chat) == agent.id


def test_a_manual_campaign_waits_for_a_pick(desk: Desk):
    with atomic():
        desk.campaign.routing_strategy = RoutingStrategy.MANUAL
    desk.add_agent()
    chat = new_chat(desk)
    route(chat)
    assert owner_of(chat) is None
    assert last_event(chat).data["routing"]["why"] == "manual"


# Round robin


def test_round_robin_survives_a_restart_because_postgres_remembers(desk: Desk):
    agents = [desk.add_agent(limit=50, here=50) for _ in range(3)]
    given: list[int] = []
    for _ in range(9):
        chat = new_chat(desk)
        route(chat)
        given.append(owner_of(chat) or 0)
        db.session.remove()  # a new process knows nothing but what is stored
    assert given == [agent.id for agent in agents] * 3


def test_round_robin_differs_by_at_most_one_while_others_come_and_go(desk: Desk):
    staying = [desk.add_agent(limit=99, here=99) for _ in range(3)]
    coming = desk.add_agent(limit=99, here=99, agent_status=AgentStatus.OFFLINE)
    counts = dict.fromkeys((agent.id for agent in staying), 0)
    for turn in range(24):
        with atomic():
            db.session.get_one(User, coming.id).agent_status = (
                AgentStatus.AVAILABLE if turn % 5 < 2 else AgentStatus.PAUSED
            )
        chat = new_chat(desk)
        route(chat)
        owner = owner_of(chat)
        if owner in counts:
            counts[owner] += 1
        assert max(counts.values()) - min(counts.values()) <= 1


def test_turns_of_one_pass_have_an_order(desk: Desk):
    agents = [desk.add_agent(limit=2) for _ in range(3)]
    for _ in range(4):
        desk.add_waiting()
    drain(desk)
    turns = [turn_of(desk, agent) for agent in agents]
    assert len(set(turns)) == 3
    # The first has had a second turn and comes last now.
    assert sorted(agents, key=lambda agent: turn_of(desk, agent))[-1].id == agents[0].id  # type: ignore[arg-type, return-value]


def test_least_busy_spreads_a_backlog_by_relative_load(desk: Desk):
    with atomic():
        desk.campaign.routing_strategy = RoutingStrategy.LEAST_BUSY
    small, large = desk.add_agent(limit=2, here=2), desk.add_agent(limit=8, here=8)
    for _ in range(5):
        desk.add_waiting()
    drain(desk)
    assert (load_of(small), load_of(large)) == (1, 4)


def test_a_returning_client_lands_with_the_agent_they_know(desk: Desk):
    with atomic():
        desk.campaign.routing_strategy = RoutingStrategy.LAST_AGENT
    desk.add_agent()
    known = desk.add_agent()
    with atomic():
        before = make_chat(
            campaign=desk.campaign,
            number=desk.number,
            agent=known,
            status=ChatStatus.CLOSED,
            assigned_at=utcnow() - timedelta(days=2),
        )
        client = before.client
    chat = new_chat(desk, client=client)
    route(chat)
    assert owner_of(chat) == known.id
    assert last_event(chat).reason == "last_agent"


def test_a_returning_client_does_not_land_on_somebody_who_left(desk: Desk):
    with atomic():
        desk.campaign.routing_strategy = RoutingStrategy.LAST_AGENT
    here = desk.add_agent()
    left = desk.add_agent(status="inactive")
    with atomic():
        client = make_chat(
            campaign=desk.campaign, number=desk.number, agent=left, status=ChatStatus.CLOSED
        ).client
    chat = new_chat(desk, client=client)
    route(chat)
    assert owner_of(chat) == here.id


# What the clock finds


def test_the_sweep_finds_new_chats_that_nobody_rang_for(desk: Desk):
    lost = new_chat(desk, created_at=utcnow() - timedelta(seconds=10))
    new_chat(desk)  # its ring is on the way
    new_chat(desk, created_at=utcnow() - timedelta(seconds=10), status=ChatStatus.ACTIVE)
    assert sweep.find_unrouted_chats() == [lost.id]


def test_the_sweep_finds_campaigns_where_a_chat_waits_and_somebody_has_room(desk: Desk):
    desk.add_waiting()
    assert sweep.find_drainable_campaigns() == []
    agent = desk.add_agent(agent_status=AgentStatus.PAUSED)
    assert sweep.find_drainable_campaigns() == []
    with atomic():
        db.session.get_one(User, agent.id).agent_status = AgentStatus.AVAILABLE
    assert sweep.find_drainable_campaigns() == [desk.campaign.id]
    drain(desk)
    assert sweep.find_drainable_campaigns() == []


def test_the_sweep_rings_for_nobody_whom_the_free_ones_may_not_have(desk: Desk):
    """It looks every second: a chat that waits for skills must not ring all the while."""
    with atomic():
        desk.campaign.routing_strategy = RoutingStrategy.SKILLS
    agent = desk.add_agent(member={"skills": ["ventas"]})
    for _ in range(3):
        desk.add_waiting(required_skills=["frances"])
    assert sweep.find_drainable_campaigns() == []
    wanted = desk.add_waiting(required_skills=["ventas"])
    assert sweep.find_drainable_campaigns() == [desk.campaign.id]
    drain(desk)
    assert owner_of(wanted) == agent.id
    assert sweep.find_drainable_campaigns() == []
    # After half of the longest wait the best partial match will do.
    desk.add_waiting(required_skills=["frances"], ago=10_000)
    assert sweep.find_drainable_campaigns() == [desk.campaign.id]


def test_serving_an_agent_looks_at_all_their_campaigns(desk: Desk):
    agent = desk.add_agent()
    with atomic():
        other = make_campaign()
        link_agent(other, agent)
    chat = desk.add_waiting(campaign=other)
    with atomic():
        assert routing.drain_agent(agent.id).assigned == [(chat.id, agent.id)]


def test_serving_somebody_without_campaigns_does_nothing(desk: Desk):
    desk.add_waiting()
    with atomic():
        loner = make_user()
    with atomic():
        assert routing.drain_agent(loner.id).assigned == []
