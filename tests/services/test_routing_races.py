"""Routers, agents and supervisors at the same moment: nobody is overfilled, nobody has two owners.

Real threads on real Postgres. What holds is judged from the log of events at every moment.
"""

import os
import random
from collections import Counter

import pytest
from sqlalchemy import delete, select

from crm.db import atomic, db, retrying
from crm.models import AgentStatus, Chat, ChatEvent, ChatStatus, User
from crm.services import agents, chats, routing
from crm.services.chats import AgentUnavailable, IllegalMove, person
from crm.services.routing import floor, sweep
from tests.factories import link_agent, make_campaign, make_chat, make_client
from tests.services.desk import Desk, load_of, overfull_moments, run_together

ROUNDS = 40
# `make faults` runs ten thousand of the first.
RACES = int(os.environ.get("CHARLA_RACES", ROUNDS))


def route(chat_id: int) -> routing.Drained:
    def unit() -> routing.Drained:
        with atomic():
            return routing.route_chat(chat_id)

    return retrying(unit)


def drain(campaign_id: int) -> routing.Drained:
    def unit() -> routing.Drained:
        with atomic():
            return routing.drain_campaign(campaign_id)

    return retrying(unit)


@pytest.mark.timeout(60 + RACES)
def test_two_routers_and_one_free_place_many_times(desk: Desk):
    agent = desk.add_agent(limit=1)
    for race in range(1, RACES + 1):
        pair = [desk.add_waiting().id, desk.add_waiting().id]
        run_together(lambda number, pair=pair: route(pair[number]), 2)
        db.session.expire_all()
        owners = [db.session.get_one(Chat, chat_id).assigned_agent_id for chat_id in pair]
        assert sorted(owners, key=bool) == [None, agent.id]
        with atomic():
            for chat_id in pair:
                chats.close_chat(
                    db.session.get_one(Chat, chat_id), actor=person(agent.id), reason="resolved"
                )
        if race % 100 == 0 or race == RACES:
            assert overfull_moments() == []
            with atomic():
                db.session.execute(delete(ChatEvent))
                db.session.execute(delete(Chat))


def test_two_routers_of_one_chat_assign_it_once(desk: Desk):
    for _ in range(3):
        desk.add_agent(limit=99, here=99)
    for _ in range(ROUNDS // 3):
        with atomic():
            chat = make_chat(campaign=desk.campaign, number=desk.number)
        run_together(lambda _, chat_id=chat.id: route(chat_id), 3)
        kinds = db.session.scalars(
            select(ChatEvent.kind).where(ChatEvent.chat_id == chat.id).order_by(ChatEvent.id)
        ).all()
        assert kinds == ["queued", "assigned"]


def test_a_shared_agent_is_not_filled_twice_by_two_campaigns(desk: Desk):
    agent = desk.add_agent(limit=1)
    with atomic():
        other = make_campaign()
        link_agent(other, agent)
    for _ in range(ROUNDS // 3):
        here, there = desk.add_waiting(), desk.add_waiting(campaign=other)
        campaign_ids = [desk.campaign.id, other.id]
        run_together(lambda number, ids=campaign_ids: drain(ids[number]), 2)
        assert load_of(agent) == 1
        with atomic():
            for chat in (here, there):
                chats.close_chat(chat, actor=person(agent.id), reason="resolved")
    assert overfull_moments() == []


def test_a_pick_and_a_router_at_once_do_not_overfill(desk: Desk):
    """The pick may exceed; the router must see it, or wait for it."""
    agent = desk.add_agent(limit=1)
    for _ in range(ROUNDS // 3):
        first, second = desk.add_waiting(), desk.add_waiting()

        def work(number: int, picked: int = second.id) -> None:
            if number:
                route_first()
                return
            try:
                with atomic():
                    chats.pick_chat(
                        db.session.get_one(Chat, picked), db.session.get_one(User, agent.id)
                    )
            except IllegalMove:
                pass  # the router gave it to them first

        def route_first(chat_id: int = first.id) -> None:
            route(chat_id)

        run_together(work, 2)
        with atomic():
            for chat in (first, second):
                chats.close_chat(chat, actor=person(agent.id), reason="resolved")
    assert overfull_moments() == []


def test_round_robin_holds_under_parallel_routers(desk: Desk):
    team = [desk.add_agent(limit=99, here=99) for _ in range(4)]
    waiting = [desk.add_waiting().id for _ in range(24)]
    run_together(lambda number: [route(chat_id) for chat_id in waiting[number::4]], 4)
    events = db.session.scalars(
        select(ChatEvent).where(ChatEvent.kind == "assigned").order_by(ChatEvent.created_at)
    ).all()
    given = [event.data["agent"] for event in events]
    assert len(given) == 24
    for start in range(24):
        for end in range(start + 1, 25):
            counts = Counter({agent.id: 0 for agent in team})
            counts.update(given[start:end])
            assert max(counts.values()) - min(counts.values()) <= 1, "in any window"


def test_going_offline_while_routers_run_strands_no_chat(desk: Desk):
    """Whatever comes first: an offline agent keeps no unanswered chat from before."""
    agent = desk.add_agent(limit=9, here=9)
    for _ in range(ROUNDS // 3):
        with atomic():
            agents.set_agent_status(agent, AgentStatus.AVAILABLE, actor=person(agent.id))
        chat = desk.add_waiting()

        def work(number: int, chat_id: int = chat.id) -> None:
            if number:
                route(chat_id)
                return

            def leave() -> None:
                with atomic():
                    user = db.session.get_one(User, agent.id)
                    agents.set_agent_status(user, AgentStatus.OFFLINE, actor=person(user.id))

            retrying(leave)

        run_together(work, 2)
        for user_id in sweep.find_gone_agents(absent_seconds=3600):
            with atomic():
                agents.release_unanswered(user_id)
        db.session.refresh(chat)
        assert chat.status is ChatStatus.QUEUED
        assert chat.assigned_agent_id is None
        with atomic():
            chats.close_chat(chat, actor=person(agent.id), reason="resolved")


def test_presence_does_not_wait_for_routing_nor_routing_for_presence(desk: Desk):
    agent = desk.add_agent()
    with db.engine.begin() as other:
        other.execute(select(User.id).where(User.id == agent.id).with_for_update(key_share=True))
        with atomic():
            agents.record_presence([agent.id])
    db.session.refresh(agent)
    assert agent.last_activity_at is None, "a held row is skipped until the next beat"
    with atomic():
        agents.record_presence([agent.id])
    db.session.refresh(agent)
    assert agent.last_activity_at is not None


def test_a_busy_day_never_overfills_and_leaves_nobody_waiting(desk: Desk):
    """Four threads of arrivals, answers, closings, picks, reassignments and status switches."""
    with atomic():
        other = make_campaign(priority=5, routing_strategy="least_busy")
    team = [desk.add_agent(limit=2 + number % 2, here=2) for number in range(4)]
    with atomic():
        for agent in team[:2]:
            link_agent(other, agent, max_concurrent_chats=1)
    people = [agent.id for agent in team]
    campaign_ids = [desk.campaign.id, other.id]

    def one_thing(dice: random.Random) -> None:
        what = dice.choice(["arrive"] * 4 + ["answer", "close", "close", "pick", "give", "switch"])
        if what == "arrive":
            with atomic():
                chat = make_chat(
                    campaign=db.session.get_one(type(other), dice.choice(campaign_ids)),
                    number=db.session.get_one(type(desk.number), desk.number.id),
                    client=make_client(),
                )
            route(chat.id)
            return
        user = db.session.get_one(User, dice.choice(people))
        if what == "switch":
            status = dice.choice([AgentStatus.AVAILABLE] * 3 + [AgentStatus.OFFLINE])
            with atomic():
                agents.set_agent_status(user, status, actor=person(user.id))
            return
        mine = what in ("answer", "close")
        query = select(Chat).where(Chat.status.in_(("assigned", "active") if mine else ("queued",)))
        found = db.session.scalars(query.limit(20)).all()
        if not found:
            return
        chat = dice.choice(found)
        with atomic():
            if what == "answer":
                chats.record_human_reply(chat, user)
            elif what == "close":
                chats.close_chat(chat, actor=person(user.id), reason="resolved")
            elif what == "pick":
                chats.pick_chat(chat, user)
            else:
                chats.assign_chat(chat, user, actor=person(user.id), reason="by_hand")

    def day(number: int) -> None:
        dice = random.Random(100 + number)
        for _ in range(40):
            try:
                retrying(lambda: one_thing(dice))
            except (IllegalMove, AgentUnavailable):
                pass  # somebody was faster: what people are told
            finally:
                db.session.remove()

    run_together(day, 4)
    assert overfull_moments() == []
    for campaign_id in campaign_ids:
        while drain(campaign_id).more:
            pass
    # Nobody waits in a campaign that has room.
    waiting = set(
        db.session.scalars(select(Chat.campaign_id).where(Chat.status == ChatStatus.QUEUED))
    )
    assert floor.read_floor(waiting, lock=False).serving() == []
    # One owner, as the state says.
    for chat in db.session.scalars(select(Chat)):
        owned = chat.assigned_agent_id is not None
        assert owned or chat.status in (ChatStatus.QUEUED, ChatStatus.NEW, ChatStatus.CLOSED)
        assert not (owned and chat.status in (ChatStatus.QUEUED, ChatStatus.NEW))
