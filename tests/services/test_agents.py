"""Agents: timed states, signs of life, absence, and what goes back when somebody leaves."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import (
    AgentState,
    AgentStatus,
    Chat,
    ChatStatus,
    Permission,
    PermissionType,
    User,
    UserPermission,
)
from crm.permissions import PERMISSIONS, scope_of
from crm.services import agents, chats
from crm.services.chats import SYSTEM, AgentUnavailable, person
from crm.services.routing import sweep
from tests.factories import make_user
from tests.services.desk import Desk, last_event

FAR = 3600.0


def switch(agent: User, status: AgentStatus, reason: str | None = None) -> bool:
    with atomic():
        return agents.set_agent_status(agent, status, reason=reason, actor=person(agent.id))


def states_of(agent: User) -> list[AgentState]:
    return list(
        db.session.scalars(
            select(AgentState).where(AgentState.user_id == agent.id).order_by(AgentState.id)
        )
    )


def away_for(agent: User, seconds: float) -> None:
    """The last sign of life, and the last switch, were so long ago."""
    with atomic():
        agent.last_activity_at = utcnow() - timedelta(seconds=seconds)
        for state in states_of(agent):
            state.started_at = utcnow() - timedelta(seconds=seconds)


def test_a_switch_ends_one_stretch_and_begins_the_next(desk: Desk):
    agent = desk.add_agent()
    away_for(agent, 600)
    assert switch(agent, AgentStatus.PAUSED, "lunch")
    first, second = states_of(agent)
    assert first.ended_at == second.started_at
    assert first.duration_seconds == pytest.approx(600, abs=60)
    assert (second.status, second.reason, second.ended_at) == (AgentStatus.PAUSED, "lunch", None)
    assert (agent.agent_status, agent.agent_status_reason) == (AgentStatus.PAUSED, "lunch")


def test_the_same_switch_again_changes_nothing(desk: Desk):
    agent = desk.add_agent()
    assert not switch(agent, AgentStatus.AVAILABLE)
    assert len(states_of(agent)) == 1


def test_a_pause_with_another_reason_is_another_stretch(desk: Desk):
    agent = desk.add_agent()
    switch(agent, AgentStatus.PAUSED, "lunch")
    assert switch(agent, AgentStatus.PAUSED, "meeting")
    assert [state.reason for state in states_of(agent)] == [None, "lunch", "meeting"]


@pytest.mark.parametrize("status", [AgentStatus.AVAILABLE, AgentStatus.BUSY])
def test_a_reason_belongs_to_a_pause_only(desk: Desk, status: AgentStatus):
    agent = desk.add_agent(agent_status=AgentStatus.PAUSED, agent_status_reason="lunch")
    switch(agent, status, "lunch")
    assert agent.agent_status_reason is None


def test_a_person_without_any_state_yet_gets_their_first(desk: Desk):
    agent = desk.add_agent(agent_status=AgentStatus.OFFLINE)
    with atomic():
        for state in states_of(agent):
            db.session.delete(state)
    switch(agent, AgentStatus.AVAILABLE)
    (state,) = states_of(agent)
    assert state.status is AgentStatus.AVAILABLE


def test_an_account_that_is_not_active_cannot_become_available_but_can_go(desk: Desk):
    agent = desk.add_agent(status="suspended")
    with pytest.raises(AgentUnavailable):
        switch(agent, AgentStatus.BUSY)
    assert switch(agent, AgentStatus.OFFLINE)


def test_becoming_available_rings_for_their_chats(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    rung: list[tuple[str, object]] = []
    monkeypatch.setattr("crm.doorbell.ring", lambda name, key: rung.append((name, key)))
    agent = desk.add_agent(agent_status=AgentStatus.PAUSED)
    switch(agent, AgentStatus.AVAILABLE)
    assert rung == [("routing.serve", agent.id)]


def test_going_offline_gives_back_what_was_not_answered(desk: Desk):
    agent, colleague = desk.add_agent(), desk.add_agent()
    unanswered = desk.add_held(agent, status=ChatStatus.ASSIGNED)
    answered = desk.add_held(agent, status=ChatStatus.ACTIVE)
    pending = desk.add_held(agent, status=ChatStatus.PENDING)
    hers = desk.add_held(colleague, status=ChatStatus.ASSIGNED)
    switch(agent, AgentStatus.OFFLINE)
    for chat in (unanswered, answered, pending, hers):
        db.session.refresh(chat)
    assert (unanswered.status, unanswered.assigned_agent_id) == (ChatStatus.QUEUED, None)
    assert unanswered.queue_ahead, "ahead of those who wait for the first time"
    event = last_event(unanswered)
    assert (event.reason, event.actor_kind) == ("agent_offline", "system")
    assert event.data["agent_before"] == agent.id
    assert [answered.assigned_agent_id, pending.assigned_agent_id] == [agent.id] * 2
    assert hers.status is ChatStatus.ASSIGNED


@pytest.mark.parametrize("status", [AgentStatus.PAUSED, AgentStatus.BUSY])
def test_a_break_keeps_the_chats(desk: Desk, status: AgentStatus):
    agent = desk.add_agent()
    chat = desk.add_held(agent, status=ChatStatus.ASSIGNED)
    switch(agent, status)
    db.session.refresh(chat)
    assert chat.assigned_agent_id == agent.id


def test_a_chat_that_came_in_between_goes_back_by_the_sweep(desk: Desk):
    agent = desk.add_agent()
    switch(agent, AgentStatus.OFFLINE)
    chat = desk.add_held(
        agent, status=ChatStatus.ASSIGNED, assigned_at=utcnow() - timedelta(seconds=5)
    )
    assert sweep.find_gone_agents(absent_seconds=FAR) == [agent.id]
    with atomic():
        assert agents.release_unanswered(agent.id) == 1
    db.session.refresh(chat)
    assert chat.status is ChatStatus.QUEUED
    assert sweep.find_gone_agents(absent_seconds=FAR) == []


def test_a_chat_given_on_purpose_to_an_absent_person_stays(desk: Desk):
    agent, boss = desk.add_agent(), desk.add_agent(role="supervisor")
    switch(agent, AgentStatus.OFFLINE)
    chat = desk.add_waiting()
    with atomic():
        chats.assign_chat(chat, agent, actor=person(boss.id), reason="by_hand")
    assert sweep.find_gone_agents(absent_seconds=FAR) == []
    with atomic():
        assert agents.release_unanswered(agent.id) == 0
    db.session.refresh(chat)
    assert chat.assigned_agent_id == agent.id


def test_releasing_somebody_who_is_back_does_nothing(desk: Desk):
    agent = desk.add_agent()
    desk.add_held(agent, status=ChatStatus.ASSIGNED)
    with atomic():
        assert agents.release_unanswered(agent.id) == 0


# Signs of life


def test_presence_is_recorded_for_many_at_once_and_for_nobody_else(desk: Desk):
    here = [desk.add_agent() for _ in range(3)]
    elsewhere = desk.add_agent()
    with atomic():
        agents.record_presence([agent.id for agent in here] * 2 + [987654])
        agents.record_presence([])
    db.session.expire_all()
    assert all(agent.last_activity_at is not None for agent in here)
    assert elsewhere.last_activity_at is None


@pytest.mark.parametrize(
    ("status", "seconds", "absent"),
    [
        (AgentStatus.AVAILABLE, 130, True),
        (AgentStatus.PAUSED, 130, True),
        (AgentStatus.BUSY, 130, True),
        (AgentStatus.AVAILABLE, 60, False),
        (AgentStatus.OFFLINE, 9999, False),
    ],
)
def test_who_is_absent(desk: Desk, status: AgentStatus, seconds: float, absent: bool):
    agent = desk.add_agent(agent_status=status)
    away_for(agent, seconds)
    assert (agent.id in agents.find_absent_agents(seconds=120)) is absent


def test_a_fresh_switch_is_a_sign_of_life(desk: Desk):
    agent = desk.add_agent(agent_status=AgentStatus.OFFLINE)
    away_for(agent, 9999)
    with atomic():
        agents.set_agent_status(agent, AgentStatus.AVAILABLE, actor=SYSTEM)
        agent.last_activity_at = None
    assert agents.find_absent_agents(seconds=120) == []


def test_an_agent_who_never_gave_a_sign_is_absent(desk: Desk):
    agent = desk.add_agent()
    with atomic():
        for state in states_of(agent):
            db.session.delete(state)
    assert agents.find_absent_agents(seconds=120) == [agent.id]


def test_the_absent_go_offline_and_their_chats_go_on(desk: Desk):
    agent = desk.add_agent()
    chat = desk.add_held(agent, status=ChatStatus.ASSIGNED)
    away_for(agent, 130)
    with atomic():
        assert agents.take_offline(agent.id, seconds=120)
    db.session.refresh(chat)
    assert (agent.agent_status, agent.agent_status_reason) == (
        AgentStatus.OFFLINE,
        agents.NO_CONNECTION,
    )
    assert chat.status is ChatStatus.QUEUED


def test_who_came_back_before_the_job_ran_stays(desk: Desk):
    agent = desk.add_agent()
    away_for(agent, 130)
    with atomic():
        agents.record_presence([agent.id])
    with atomic():
        assert not agents.take_offline(agent.id, seconds=120)
    assert agent.agent_status is AgentStatus.AVAILABLE


def test_an_account_that_ended_at_work_goes_offline_too(desk: Desk):
    agent = desk.add_agent(status="suspended")
    chat = desk.add_held(agent, status=ChatStatus.ASSIGNED)
    away_for(agent, 130)
    with atomic():
        assert agents.take_offline(agent.id, seconds=120)
    db.session.refresh(chat)
    assert chat.status is ChatStatus.QUEUED


def test_a_clock_that_has_just_started_leaves_the_absent_alone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    """After a stop of the whole installation everybody looks absent for a moment."""
    agent = desk.add_agent()
    away_for(agent, 130)
    now = sweep.time.monotonic()
    monkeypatch.setattr(sweep, "_awake_since", now - 60)
    assert sweep.find_gone_agents(absent_seconds=120) == []
    monkeypatch.setattr(sweep, "_awake_since", now - 121)
    assert sweep.find_gone_agents(absent_seconds=120) == [agent.id]


# The right to answer, in SQL


def test_the_sql_of_a_right_is_the_rule_of_the_scope(database: Flask):
    with atomic():
        people = [
            make_user(role=role)
            for role in ("agent", "supervisor", "quality", "audit", "super_admin")
            for _ in range(3)
        ]
        names = {
            name: db.session.scalars(select(Permission.id).where(Permission.name == name)).one()
            for name in ("chats.reply", "chats.assign")
        }
        for user in people[1::3]:
            for permission_id in names.values():
                db.session.add(
                    UserPermission(
                        user_id=user.id, permission_id=permission_id, type=PermissionType.GRANT
                    )
                )
        for user in people[2::3]:
            for permission_id in names.values():
                db.session.add(
                    UserPermission(
                        user_id=user.id, permission_id=permission_id, type=PermissionType.REVOKE
                    )
                )
    assert set(names) <= set(PERMISSIONS)
    for name in names:
        by_sql = set(db.session.scalars(select(User.id).where(agents.holds(name))))
        by_scope = {user.id for user in people if scope_of(user).can(name)}
        assert by_sql & {user.id for user in people} == by_scope


def test_a_load_counts_what_fills_places(desk: Desk):
    agent, other = desk.add_agent(), desk.add_agent()
    for status in ChatStatus:
        desk.add_held(agent, status=status)
    desk.add_held(other, status=ChatStatus.TRANSFERRED, offered_agent_id=agent.id)
    assert chats.count_load(agent.id) == 3  # assigned, active, and what is offered to them
    assert db.session.scalar(select(Chat.id).where(Chat.offered_agent_id == agent.id)) is not None
