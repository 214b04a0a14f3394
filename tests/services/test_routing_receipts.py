"""What a decision leaves behind, and what it would be at another moment."""

from datetime import timedelta
from typing import Any

import pytest

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import (
    AgentState,
    AgentStatus,
    Chat,
    ChatEvent,
    ChatStatus,
    PendingReason,
    RoutingStrategy,
    User,
)
from crm.services import chats, routing
from crm.services.chats import SYSTEM
from tests.services.desk import Desk, last_event
from tests.services.test_routing import new_chat, route


def test_the_receipt_names_the_candidates_with_their_loads(desk: Desk):
    chosen = desk.add_agent(limit=4, first_name="Laura", last_name="Gómez")
    other = desk.add_agent(limit=6)
    desk.add_held(other)
    with atomic():
        link = other.campaign_links[0]
        link.last_assigned_at = utcnow()
    chat = new_chat(desk)
    route(chat)
    event = last_event(chat)
    receipt = event.data["routing"]
    assert event.actor_kind == "system"
    assert receipt["strategy"] == "round_robin"
    assert receipt["why"] == "turn"
    assert receipt["chosen"] == chosen.id
    assert [line["user_id"] for line in receipt["candidates"]] == [chosen.id, other.id]
    assert receipt["candidates"][0]["name"] == "Laura Gómez"
    assert (
        receipt["candidates"][1] | {"load": 1, "limit": 6, "campaign_load": 1}
        == (receipt["candidates"][1])
    )
    assert event.data["terms"]["first_response_seconds"] == 60


def test_why_nobody_takes_this_has_an_answer_that_touches_nothing(desk: Desk):
    desk.add_agent(agent_status=AgentStatus.PAUSED)
    chat = desk.add_waiting()
    version = chat.version
    receipt = routing.explain_chat(chat)
    assert receipt["why"] == "nobody_free"
    assert receipt["left_out_counts"] == {"paused": 1}
    db.session.refresh(chat)
    assert chat.version == version


def hours_ago(hours: float) -> Any:
    return utcnow() - timedelta(hours=hours)


def was(agent: User, *stretches: tuple[AgentStatus, float, float | None]) -> None:
    """The agent's log: (state, from so many hours ago, until so many hours ago or now)."""
    with atomic():
        db.session.query(AgentState).filter_by(user_id=agent.id).delete()
        for status, since, until in stretches:
            db.session.add(
                AgentState(
                    user_id=agent.id,
                    status=status,
                    started_at=hours_ago(since),
                    ended_at=hours_ago(until) if until is not None else None,
                )
            )


def explained(desk: Desk, hours: float) -> dict[str, Any]:
    """Who would have got a chat so many hours ago."""
    chat = Chat(campaign_id=desk.campaign.id, client_id=0)
    return routing.explain_chat(chat, at=hours_ago(hours))


def why_of(receipt: dict[str, Any]) -> dict[int, str]:
    return {out["user_id"]: out["why"] for out in receipt["left_out"]}


def test_at_a_past_moment_the_states_are_those_of_then(desk: Desk):
    early, late = desk.add_agent(), desk.add_agent(agent_status=AgentStatus.PAUSED)
    was(early, (AgentStatus.OFFLINE, 9, 2), (AgentStatus.AVAILABLE, 2, None))
    was(late, (AgentStatus.AVAILABLE, 5, 1), (AgentStatus.PAUSED, 1, None))
    then = explained(desk, 3)
    assert then["chosen"] == late.id
    assert why_of(then) == {early.id: "offline"}
    nobody = explained(desk, 24)
    assert nobody["chosen"] is None, "no log of that time: nobody was at work"
    now = explained(desk, 0.5)
    assert now["chosen"] == early.id
    assert why_of(now) == {late.id: "paused"}


def test_at_a_past_moment_the_loads_are_those_of_then(desk: Desk):
    """A chat that was held then and is over now, and one on offer, fill their places of then."""
    holder, receiver = desk.add_agent(limit=1), desk.add_agent(limit=1)
    for agent in (holder, receiver):
        was(agent, (AgentStatus.AVAILABLE, 9, None))
    held, offered = desk.add_held(holder), desk.add_held(holder)
    with atomic():
        for chat, kind, to, data in (
            (held, "assigned", "assigned", {"agent": holder.id}),
            (offered, "offered", "transferred", {"agent": holder.id, "offered": receiver.id}),
        ):
            db.session.add(
                ChatEvent(
                    chat_id=chat.id,
                    kind=kind,
                    actor_kind="system",
                    to_status=to,
                    data=data,
                    created_at=hours_ago(4),
                )
            )
            chat = db.session.get_one(Chat, chat.id)
            chat.created_at, chat.status = hours_ago(5), ChatStatus.CLOSED
            chat.closed_at = hours_ago(2)
    assert why_of(explained(desk, 3)) == {holder.id: "full", receiver.id: "full"}
    assert explained(desk, 4.5)["candidate_count"] == 2, "before it was given to them"
    assert explained(desk, 1)["candidate_count"] == 2, "after it was closed"


def test_at_a_moment_to_come_the_hours_are_those_of_then(desk: Desk):
    desk.add_agent()
    with atomic():
        day = (utcnow() + timedelta(days=3)).strftime("%A").lower()
        week = [(utcnow() + timedelta(days=n)).strftime("%A").lower() for n in range(7)]
        everyday = {each: [{"start": "00:00", "end": "24:00"}] for each in week}
        desk.campaign.business_hours = {**everyday, day: []}
        desk.campaign.timezone = "UTC"
    assert explained(desk, 0)["chosen"] is not None
    assert explained(desk, -72)["why"] == "outside_hours"


@pytest.mark.parametrize("way", ["picked", "accepted", "by_hand", "returning"])
def test_a_chat_beyond_the_limit_says_so_on_its_event(desk: Desk, way: str):
    """A pick, an accepted transfer, a reassignment and a returning customer may exceed it."""
    agent, other = desk.add_agent(limit=1), desk.add_agent()
    desk.add_held(agent)
    made = {
        "picked": lambda: desk.add_waiting(),
        "returning": lambda: desk.add_held(
            agent,
            status=ChatStatus.PENDING,
            pending_reason=PendingReason.CUSTOMER,
            waiting_since=utcnow(),
        ),
    }
    chat = made.get(way, lambda: desk.add_held(other))()
    with atomic():
        if way == "picked":
            chats.pick_chat(chat, agent)
        elif way == "accepted":
            offered = chats.offer_chat(chat, agent, actor=SYSTEM, reason="knows_more")
            chats.accept_offer(offered, agent)
        elif way == "by_hand":
            chats.assign_chat(chat, agent, actor=SYSTEM, reason="by_hand")
        else:
            routing.route_chat(chat.id)
    data = last_event(chat).data
    assert (data["agent"], data["load_before"], data["limit"]) == (agent.id, 1, 1)


def test_the_receipt_keeps_the_skills_that_were_asked_for(desk: Desk):
    with atomic():
        desk.campaign.routing_strategy = RoutingStrategy.SKILLS
    knows = desk.add_agent(member={"skills": ["ingles", "ventas"]})
    lacks = desk.add_agent(member={"skills": ["ventas"]})
    chat = new_chat(desk, required_skills=["ventas", "ingles"])
    route(chat)
    receipt = last_event(chat).data["routing"]
    assert receipt["skills"] == ["ingles", "ventas"]
    assert receipt["chosen"] == knows.id
    assert why_of(receipt) == {lacks.id: "skills"}
    assert receipt["left_out"][0]["skills"] == ["ventas"]


def test_the_receipt_names_ten_of_each_kind_with_all_that_is_said_of_them(desk: Desk):
    for _ in range(12):
        desk.add_agent(member={"skills": ["x"]})
        desk.add_agent(agent_status=AgentStatus.PAUSED)
    chat = new_chat(desk)
    route(chat)
    receipt = last_event(chat).data["routing"]
    assert (len(receipt["candidates"]), receipt["candidate_count"]) == (10, 12)
    assert (len(receipt["left_out"]), receipt["left_out_counts"]) == (10, {"paused": 12})
    for agent in (*receipt["candidates"], *receipt["left_out"]):
        assert {"name", "state", "load", "limit", "campaign_load", "skills"} <= agent.keys()
