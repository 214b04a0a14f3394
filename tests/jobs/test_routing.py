"""The routing jobs, rung through Redis and run by an RQ worker."""

from datetime import timedelta

import pytest
from flask import Flask
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty
from sqlalchemy import select

from crm import doorbell
from crm.db import atomic, db
from crm.extensions import redis_client
from crm.jobs import routing as jobs
from crm.jobs.schedule import SWEEPS
from crm.lib.clock import utcnow
from crm.models import AgentState, AgentStatus, Chat, ChatStatus, User
from crm.services import agents, chats
from crm.services.chats import person
from tests.factories import make_chat
from tests.services.desk import Desk


class Worker(SimpleWorker):
    """Runs what is queued in this process, on the test's own application."""

    death_penalty_class = TimerDeathPenalty


@pytest.fixture
def desk(database: Flask) -> Desk:
    return Desk()


def work() -> int:
    """Run everything that routing rings for; returns how many jobs ran. A failed one is raised."""
    queues = [
        Queue(name, connection=redis_client.client, serializer=JSONSerializer)
        for name in ("tending", "routing")
    ]
    count = sum(queue.count for queue in queues)
    worker = Worker(queues, connection=redis_client.client, serializer=JSONSerializer)
    worker.work(burst=True, logging_level="CRITICAL")
    for queue in queues:
        failed = queue.failed_job_registry.get_job_ids()
        assert not failed, queue.fetch_job(failed[0]).latest_result().exc_string  # type: ignore[union-attr]
    return count


def row(chat_id: int) -> Chat:
    db.session.expire_all()
    return db.session.get_one(Chat, chat_id)


def test_a_ring_for_a_new_chat_finds_its_agent(desk: Desk):
    agent_id = desk.add_agent().id
    with atomic():
        chat_id = make_chat(campaign=desk.campaign, number=desk.number).id
        doorbell.ring_on_commit("routing.route", chat_id)
    assert work() == 1
    assert row(chat_id).assigned_agent_id == agent_id


def test_a_line_longer_than_one_pass_is_served_to_its_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    passes = []
    step = jobs.service.drain_campaign

    def three_at_a_time(campaign_id: int) -> jobs.Drained:
        passes.append(campaign_id)
        return step(campaign_id, limit=3)

    monkeypatch.setattr(jobs.service, "drain_campaign", three_at_a_time)
    desk.add_agent(limit=50, here=50)
    ids = [desk.add_waiting().id for _ in range(8)]
    doorbell.ring("routing.drain", desk.campaign.id)
    work()
    assert len(passes) == 3
    assert all(row(chat_id).status is ChatStatus.ASSIGNED for chat_id in ids)


def test_what_is_left_when_the_time_is_up_is_rung_for_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(jobs, "SECONDS", 0)
    desk.add_agent()
    chat_id = desk.add_waiting().id
    jobs.drain(desk.campaign.id)
    assert row(chat_id).status is ChatStatus.QUEUED
    monkeypatch.undo()
    assert work() == 1
    assert row(chat_id).status is ChatStatus.ASSIGNED


def test_closing_a_chat_lets_the_next_one_in(desk: Desk):
    agent = desk.add_agent(limit=1)
    agent_id, held, waiting = agent.id, desk.add_held(agent), desk.add_waiting().id
    with atomic():
        chats.close_chat(held, actor=person(agent_id), reason="resolved")
    work()
    assert row(waiting).assigned_agent_id == agent_id


def test_becoming_available_gets_what_waits(desk: Desk):
    agent = desk.add_agent(agent_status=AgentStatus.PAUSED)
    agent_id, waiting = agent.id, desk.add_waiting().id
    with atomic():
        agents.set_agent_status(agent, AgentStatus.AVAILABLE, actor=person(agent_id))
    work()
    assert row(waiting).assigned_agent_id == agent_id


def test_going_offline_hands_the_unanswered_on_to_a_colleague(desk: Desk):
    agent, colleague_id = desk.add_agent(), desk.add_agent().id
    chat_id = desk.add_held(agent, status=ChatStatus.ASSIGNED).id
    with atomic():
        agents.set_agent_status(agent, AgentStatus.OFFLINE, actor=person(agent.id))
    work()
    chat = row(chat_id)
    assert (chat.status, chat.assigned_agent_id) == (ChatStatus.ASSIGNED, colleague_id)


def test_an_absent_agent_is_released_by_what_the_clock_rings(desk: Desk, app: Flask):
    agent, colleague_id = desk.add_agent(), desk.add_agent().id
    agent_id, chat_id = agent.id, desk.add_held(agent, status=ChatStatus.ASSIGNED).id
    long_ago = utcnow() - timedelta(seconds=app.config["CRM"].absent_seconds + 10)
    with atomic():
        agent.last_activity_at = long_ago
        for state in db.session.scalars(select(AgentState).where(AgentState.user_id == agent_id)):
            state.started_at = long_ago
        agents.record_presence([colleague_id])
    doorbell.ring("routing.release", agent_id)
    work()
    assert db.session.get_one(User, agent_id).agent_status is AgentStatus.OFFLINE
    assert row(chat_id).assigned_agent_id == colleague_id


def test_a_release_for_somebody_present_changes_nothing(desk: Desk):
    agent_id = desk.add_agent().id
    doorbell.ring("routing.release", agent_id)
    work()
    assert db.session.get_one(User, agent_id).agent_status is AgentStatus.AVAILABLE


def test_with_every_ring_lost_the_clock_s_sweep_still_routes_everything(desk: Desk):
    agent_id = desk.add_agent().id
    with atomic():
        new = make_chat(
            campaign=desk.campaign,
            number=desk.number,
            created_at=utcnow() - timedelta(seconds=10),
        ).id
    queued = desk.add_waiting().id
    redis_client.flushdb()
    for sweep in SWEEPS:
        if sweep.job.startswith("routing."):
            for key in sweep.find():
                doorbell.ring(sweep.job, key)
    work()
    assert [row(chat_id).assigned_agent_id for chat_id in (new, queued)] == [agent_id] * 2
