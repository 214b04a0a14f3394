"""What people complain of in other contact centres, each as it would happen here: rings through
Redis, jobs run by an RQ worker, the clock's sweep."""

from datetime import timedelta

import pytest
from flask import Flask

from crm import doorbell
from crm.db import atomic, db
from crm.extensions import redis_client
from crm.jobs.schedule import SWEEPS
from crm.lib.clock import utcnow
from crm.models import AgentStatus, Campaign, CampaignAgent, Chat, ChatStatus, PendingReason, User
from crm.services import agents, chats
from crm.services.chats import person
from tests.factories import link_agent, make_chat, make_message, make_user
from tests.jobs.test_routing import row, work
from tests.services.desk import Desk


@pytest.fixture
def desk(database: Flask) -> Desk:
    return Desk()


def arrive(desk: Desk) -> int:
    """A customer writes, and the way in rings."""
    with atomic():
        chat = make_chat(campaign=desk.campaign, number=desk.number)
        make_message(chat)
        doorbell.ring_on_commit("routing.route", chat.id)
    return chat.id


def sweep() -> None:
    """What the clock does every few seconds, and the jobs that it rings for."""
    for each in SWEEPS:
        if each.job.startswith("routing."):
            for key in each.find():
                doorbell.ring(each.job, key)
    work()


def test_chats_go_to_absent_agents(desk: Desk):
    """They do not: who is offline, paused, busy or has no page open gets none."""
    for status in (AgentStatus.OFFLINE, AgentStatus.PAUSED, AgentStatus.BUSY):
        desk.add_agent(agent_status=status)
    here = desk.add_agent().id
    gone = desk.add_agent()
    long_ago = utcnow() - timedelta(minutes=10)
    with atomic():
        gone.last_activity_at = long_ago
        agents.find_open_stretch(gone.id).started_at = long_ago
    with atomic():
        agents.record_presence([here])
    doorbell.ring("routing.release", gone.id)
    work()
    for _ in range(4):
        chat_id = arrive(desk)
        work()
        assert row(chat_id).assigned_agent_id == here


@pytest.mark.parametrize(
    "event",
    ["close", "snooze", "available", "limit", "campaign_limit", "membership", "hours", "lost"],
)
def test_the_queue_does_not_drain(desk: Desk, event: str):
    """It does, whatever frees a place; and where no ring came, by the sweep."""
    agent = desk.add_agent(limit=1, here=1)
    held = desk.add_held(agent)
    waiting = arrive(desk)
    work()
    assert row(waiting).status is ChatStatus.QUEUED
    taker = agent.id
    with atomic():
        # The jobs have let go of the session: these are read anew.
        agent, held = db.session.get_one(User, taker), db.session.get_one(Chat, held.id)
        campaign = db.session.get_one(Campaign, desk.campaign.id)
        if event in ("close", "lost"):
            chats.close_chat(held, actor=person(agent.id), reason="resolved")
        elif event == "snooze":
            chats.set_pending(held, actor=person(agent.id), reason=PendingReason.CUSTOMER)
        elif event == "available":
            other = make_user(agent_status=AgentStatus.PAUSED)
            link_agent(desk.campaign, other)
            taker = other.id
            agents.set_agent_status(other, AgentStatus.AVAILABLE, actor=person(other.id))
        elif event == "membership":
            taker = make_user().id
            link_agent(desk.campaign, db.session.get_one(User, taker))
        elif event in ("limit", "campaign_limit"):
            agent.max_concurrent_chats = 3
            db.session.query(CampaignAgent).update({"max_concurrent_chats": 3})
        else:
            chats.close_chat(held, actor=person(agent.id), reason="resolved")
            campaign.business_hours = {"monday": []}
    if event == "lost":
        redis_client.flushdb()
    if event in ("close", "snooze", "available"):
        work()  # their own ring is enough
    if event == "hours":
        work()
        assert row(waiting).status is ChatStatus.QUEUED
        with atomic():
            db.session.get_one(Campaign, desk.campaign.id).business_hours = None
    if event not in ("close", "snooze", "available"):
        sweep()
    assert row(waiting).assigned_agent_id == taker


def test_nobody_takes_back_an_unanswered_chat(desk: Desk):
    """The clock does, and somebody else gets it."""
    silent, colleague = desk.add_agent(), desk.add_agent()
    chat_id = desk.add_held(
        silent,
        status=ChatStatus.ASSIGNED,
        assigned_at=utcnow() - timedelta(minutes=6),
        waiting_since=utcnow() - timedelta(minutes=6),
    ).id
    with atomic():
        agents.record_presence([silent.id, colleague.id])
    sweep()
    assert row(chat_id).assigned_agent_id == colleague.id


def test_a_returning_customer_lands_on_somebody_who_left(desk: Desk):
    """Not on who has left, is away, or works elsewhere by now: on whoever is next."""
    here = desk.add_agent().id
    for away in (
        {"status": "inactive"},
        {"agent_status": AgentStatus.OFFLINE},
        {"agent_status": AgentStatus.PAUSED},
        {"member": {"is_active": False}},
    ):
        left = desk.add_agent(**away)
        chat = desk.add_held(left, status=ChatStatus.PENDING, pending_reason=PendingReason.CUSTOMER)
        with atomic():
            make_message(chat)
            doorbell.ring_on_commit("routing.route", chat.id)
        work()
        assert row(chat.id).assigned_agent_id == here, away


def test_full_agents_get_more(desk: Desk):
    """They do not, by the smaller of their two limits, whatever waits."""
    small, large = desk.add_agent(limit=2, here=5), desk.add_agent(limit=5, here=1)
    waiting = [arrive(desk) for _ in range(8)]
    for _ in range(3):
        sweep()
    owners = [row(chat_id).assigned_agent_id for chat_id in waiting]
    assert (owners.count(small.id), owners.count(large.id), owners.count(None)) == (2, 1, 5)
    assert db.session.query(Chat).filter_by(status=ChatStatus.QUEUED).count() == 5
