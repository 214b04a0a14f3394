"""Who may get a chat by itself, and how many: rights, presence and the smaller of two limits."""

from typing import Any

import pytest
from sqlalchemy import select

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import (
    AgentStatus,
    ChatStatus,
    Permission,
    PermissionType,
    UserPermission,
)
from tests.factories import (
    link_agent,
    make_campaign,
)
from tests.services.desk import Desk, last_event, load_of, owner_of
from tests.services.test_routing import drain, new_chat, route


@pytest.mark.parametrize(
    ("user", "member", "why"),
    [
        ({"agent_status": AgentStatus.OFFLINE}, {}, "offline"),
        ({"agent_status": AgentStatus.PAUSED}, {}, "paused"),
        ({"agent_status": AgentStatus.BUSY}, {}, "busy"),
        ({"auto_assign_enabled": False}, {}, "auto_assign_off"),
        ({"status": "suspended"}, {}, "user_inactive"),
        ({"status": "inactive"}, {}, "user_inactive"),
        ({"role": "supervisor"}, {}, "not_permitted"),
        ({}, {"is_active": False}, "not_in_campaign"),
        ({"limit": 0}, {}, "full"),
        ({"here": 0}, {}, "campaign_full"),
    ],
)
def test_who_is_no_candidate_gets_nothing_and_the_receipt_says_why(
    desk: Desk, user: dict[str, Any], member: dict[str, Any], why: str
):
    agent = desk.add_agent(member=member, **user)
    chat = new_chat(desk)
    assert route(chat).assigned == []
    assert owner_of(chat) is None
    assert chat.status is ChatStatus.QUEUED
    receipt = last_event(chat).data["routing"]
    assert receipt["chosen"] is None
    assert receipt["why"] == "nobody_free"
    assert receipt["left_out_counts"] == {why: 1}
    (left_out,) = receipt["left_out"]
    assert (left_out["user_id"], left_out["why"]) == (agent.id, why)


def test_a_deleted_account_does_not_even_appear(desk: Desk):
    desk.add_agent(deleted_at=utcnow())
    chat = new_chat(desk)
    route(chat)
    assert last_event(chat).data["routing"]["left_out_counts"] == {}


def test_the_right_to_answer_may_be_granted_and_denied_per_person(desk: Desk):
    denied = desk.add_agent()
    granted = desk.add_agent(role="supervisor")
    with atomic():
        reply = db.session.scalars(
            select(Permission.id).where(Permission.name == "chats.reply")
        ).one()
        for user, kind in ((denied, PermissionType.REVOKE), (granted, PermissionType.GRANT)):
            db.session.add(UserPermission(user_id=user.id, permission_id=reply, type=kind))
    chat = new_chat(desk)
    route(chat)
    assert owner_of(chat) == granted.id


# Capacity


def test_the_smaller_limit_decides_the_person_s(desk: Desk):
    agent = desk.add_agent(limit=2, here=5)
    for _ in range(4):
        desk.add_waiting()
    drain(desk)
    assert load_of(agent) == 2


def test_the_smaller_limit_decides_the_campaign_s(desk: Desk):
    agent = desk.add_agent(limit=5, here=2)
    for _ in range(4):
        desk.add_waiting()
    drain(desk)
    assert load_of(agent) == 2


def test_chats_of_other_campaigns_fill_places_too(desk: Desk):
    agent = desk.add_agent(limit=3, here=3)
    with atomic():
        other = make_campaign()
        link_agent(other, agent, max_concurrent_chats=3)
    for _ in range(2):
        desk.add_held(agent, campaign=other)
    for _ in range(3):
        desk.add_waiting()
    drain(desk)
    assert load_of(agent) == 3
    assert load_of(agent, campaign=desk.campaign) == 1


def test_an_offered_chat_takes_the_place_of_the_one_it_is_offered_to(desk: Desk):
    giver, taker = desk.add_agent(limit=1), desk.add_agent(limit=1)
    desk.add_held(giver, status=ChatStatus.TRANSFERRED, offered_agent_id=taker.id)
    first, second = desk.add_waiting(ago=9), desk.add_waiting(ago=5)
    drain(desk)
    assert owner_of(first) == giver.id
    assert owner_of(second) is None


def test_pending_and_closed_chats_take_no_place(desk: Desk):
    agent = desk.add_agent(limit=1)
    desk.add_held(agent, status=ChatStatus.PENDING)
    desk.add_held(agent, status=ChatStatus.CLOSED)
    desk.add_held(agent, status=ChatStatus.ACTIVE, deleted_at=utcnow())
    chat = desk.add_waiting()
    drain(desk)
    assert owner_of(chat) == agent.id
