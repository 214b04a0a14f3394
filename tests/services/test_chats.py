"""How chats move: the table, the facts of each state, the event rows, and who is told."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from crm.db import atomic, db
from crm.errors import NotFound
from crm.lib.clock import utcnow
from crm.models import CHAT_MOVES, Chat, ChatOwner, ChatStatus, PendingReason
from crm.services import chats
from crm.services.chats import (
    SYSTEM,
    AgentUnavailable,
    ChatIsOver,
    IllegalMove,
    OpenChatExists,
    person,
)
from tests.cast import Cast
from tests.factories import make_client, make_user
from tests.services.chat_desk import Heard, chat_in, events_of, run_together

# product.md, the table of states: what each may become.
ALLOWED = {
    "new": {"bot", "queued", "assigned", "pending", "active", "closed"},
    "bot": {"bot", "queued", "assigned", "active", "closed", "abandoned"},
    "queued": {"queued", "assigned", "active", "pending", "bot", "closed", "abandoned"},
    "assigned": {"active", "assigned", "transferred", "queued", "pending", "closed"},
    "active": {"pending", "assigned", "transferred", "queued", "closed"},
    "pending": {"active", "assigned", "transferred", "queued", "closed"},
    "transferred": {"assigned", "active", "queued", "closed"},
    "closed": {"queued", "assigned"},
    "abandoned": {"queued", "assigned"},
}


@pytest.mark.parametrize("before", list(ChatStatus))
@pytest.mark.parametrize("to", list(ChatStatus))
def test_the_table_of_the_product_is_the_table_of_the_code(before: ChatStatus, to: ChatStatus):
    assert (to in CHAT_MOVES[before]) is (to.value in ALLOWED[before.value])


@pytest.mark.parametrize("before", list(ChatStatus))
@pytest.mark.parametrize("to", list(ChatStatus))
def test_a_chat_moves_if_and_only_if_the_table_has_the_move(
    cast: Cast, before: ChatStatus, to: ChatStatus
):
    chat = chat_in(before.value, cast)
    version = chat.version

    def move() -> None:
        with atomic():
            locked = chats.lock_chat(chat.id)
            chats.move_chat(
                locked, to, kind="moved", actor=SYSTEM, reason="test", at=utcnow(), facts={}
            )

    if to.value in ALLOWED[before.value]:
        move()
        db.session.refresh(chat)
        assert chat.status is to
        assert chat.version == version + 1
        (event,) = events_of(chat)
        assert (event.from_status, event.to_status) == (before, to)
    else:
        with pytest.raises(ChatIsOver if before.is_final else IllegalMove):
            move()
        db.session.refresh(chat)
        assert (chat.status, chat.version) == (before, version)
        assert events_of(chat) == []


def test_opening_leaves_an_event_with_the_terms_in_force(cast: Cast, heard: Heard):
    with atomic():
        cast.sales.sla_first_response_seconds = 90
        client = make_client()
        chat, is_new = chats.open_chat(
            client_id=client.id,
            campaign_id=cast.sales.id,
            whatsapp_number_id=cast.number.id,
            actor=person(cast.laura.id),
        )
    assert is_new
    assert chat.status is ChatStatus.NEW
    assert chat.case_number.startswith("VENTAS-")
    (event,) = events_of(chat)
    assert event.data["terms"]["first_response_seconds"] == 90
    assert heard.audiences("chat_changed") == [
        {"campaign_id": cast.sales.id, "agent_ids": [], "waiting": True, "user_ids": []}
    ]


def test_opening_finds_the_open_chat_instead_of_making_a_second(cast: Cast):
    chat = chat_in("active", cast)
    with atomic():
        found, is_new = chats.open_chat(
            client_id=chat.client_id,
            campaign_id=cast.sales.id,
            whatsapp_number_id=cast.number.id,
            actor=SYSTEM,
        )
    assert not is_new
    assert found.id == chat.id


def test_two_who_open_at_once_get_the_same_chat(cast: Cast):
    with atomic():
        client = make_client()
    opened: list[int] = []

    def open_one(app: Flask) -> None:
        with app.app_context(), atomic():
            chat, _ = chats.open_chat(
                client_id=client.id,
                campaign_id=cast.sales.id,
                whatsapp_number_id=cast.number.id,
                actor=SYSTEM,
            )
            opened.append(chat.id)

    run_together(open_one, 6)
    assert len(opened) == 6
    assert len(set(opened)) == 1


def test_queueing_starts_a_spell_and_frees_the_agent(cast: Cast, heard: Heard):
    chat = chat_in("active", cast)
    with atomic():
        chats.queue_chat(chat, queue_id=cast.queue.id, actor=SYSTEM, reason="handed_back")
    assert chat.status is ChatStatus.QUEUED
    assert chat.assigned_agent_id is None
    assert chat.assigned_at is None
    assert chat.owner is None
    assert chat.queued_at is not None
    (audience,) = heard.audiences("chat_changed")
    assert audience["agent_ids"] == [cast.laura.id], "who lost it hears of it"
    assert audience["waiting"], "who serves the queue hears of it"
    assert ("routing.serve", cast.laura.id) in heard.rings


def test_assigning_takes_it_out_of_the_queue_for_everybody(cast: Cast, heard: Heard):
    chat = chat_in("queued", cast)
    with atomic():
        chats.assign_chat(chat, cast.jhon, actor=person(cast.marta.id), reason="by_hand")
    assert chat.status is ChatStatus.ASSIGNED
    assert chat.assigned_agent_id == cast.jhon.id
    assert chat.owner is ChatOwner.HUMAN
    (audience,) = heard.audiences("chat_changed")
    assert audience == {
        "campaign_id": cast.sales.id,
        "agent_ids": [cast.jhon.id],
        "waiting": True,
        "user_ids": [],
    }
    (event,) = events_of(chat)
    assert event.actor_user_id == cast.marta.id
    assert event.data["agent"] == cast.jhon.id
    assert event.data["load_before"] == 0


def test_reassigning_tells_the_one_who_lost_it_and_rings_for_their_free_place(
    cast: Cast, heard: Heard
):
    chat = chat_in("active", cast)
    with atomic():
        chats.assign_chat(chat, cast.jhon, actor=person(cast.marta.id), reason="by_hand")
    (audience,) = heard.audiences("chat_changed")
    assert audience["agent_ids"] == sorted([cast.laura.id, cast.jhon.id])
    assert heard.rings == [("routing.serve", cast.laura.id)]
    changed = [event["data"]["user_id"] for event in heard.events if "user_id" in event["data"]]
    assert sorted(changed) == sorted([cast.laura.id, cast.jhon.id])


def test_assigning_to_its_own_agent_changes_nothing(cast: Cast, heard: Heard):
    chat = chat_in("active", cast)
    with atomic():
        chats.assign_chat(chat, cast.laura, actor=person(cast.marta.id), reason="by_hand")
    assert chat.status is ChatStatus.ACTIVE
    assert heard.events == []


@pytest.mark.parametrize("ended", [{"status": "suspended"}, {"deleted_at": utcnow()}])
def test_nobody_assigns_to_an_account_that_is_not_active(cast: Cast, ended: dict[str, Any]):
    chat = chat_in("queued", cast)
    with atomic():
        gone = make_user(**ended)
    with pytest.raises(AgentUnavailable), atomic():
        chats.assign_chat(chat, gone, actor=person(cast.marta.id), reason="by_hand")
    db.session.refresh(chat)
    assert chat.status is ChatStatus.QUEUED


def test_a_pick_may_exceed_capacity_and_says_so(cast: Cast):
    chat_in("active", cast)
    with atomic():
        cast.laura.max_concurrent_chats = 1
    chat = chat_in("queued", cast)
    with atomic():
        chats.pick_chat(chat, cast.laura)
    assert chat.assigned_agent_id == cast.laura.id
    (event,) = events_of(chat)
    assert (event.data["load_before"], event.data["limit"]) == (1, 1)
    assert event.reason == "picked"


def test_one_pick_wins_when_two_agents_pick_at_once(cast: Cast):
    for _ in range(5):
        chat = chat_in("queued", cast)
        won: list[int] = []
        lost: list[int] = []
        agents = iter([cast.laura.id, cast.jhon.id])

        def pick(app: Flask, chat_id: int = chat.id, agents: Any = agents) -> None:
            agent_id = next(agents)
            with app.app_context():
                try:
                    with atomic():
                        chats.pick_chat(
                            db.session.get_one(Chat, chat_id),
                            db.session.get_one(type(cast.laura), agent_id),
                        )
                    won.append(agent_id)  # noqa: B023 - joined before the next round
                except IllegalMove:
                    lost.append(agent_id)  # noqa: B023

        run_together(pick, 2)
        assert len(won) == 1
        assert len(lost) == 1
        db.session.refresh(chat)
        assert chat.assigned_agent_id == won[0]


@pytest.mark.parametrize("status", ["assigned", "active", "pending", "transferred"])
def test_nobody_picks_a_chat_that_somebody_has(cast: Cast, status: str):
    chat = chat_in(status, cast)
    with pytest.raises(IllegalMove, match="Somebody else"), atomic():
        chats.pick_chat(chat, cast.jhon)


def test_nobody_picks_a_closed_chat(cast: Cast):
    chat = chat_in("closed", cast)
    with pytest.raises(ChatIsOver), atomic():
        chats.pick_chat(chat, cast.jhon)


def test_closing_keeps_the_agent_and_frees_the_place(cast: Cast, heard: Heard):
    chat = chat_in("active", cast, waiting_since=utcnow())
    with atomic():
        chats.close_chat(
            chat, actor=person(cast.laura.id), reason="resolved", notes="Pidió factura"
        )
    assert chat.status is ChatStatus.CLOSED
    assert chat.assigned_agent_id == cast.laura.id
    assert (chat.close_reason, chat.close_notes) == ("resolved", "Pidió factura")
    assert chat.closed_at is not None
    assert chat.waiting_since is None
    assert heard.rings == [("routing.serve", cast.laura.id)]


def test_closing_twice_says_that_it_is_over(cast: Cast):
    chat = chat_in("closed", cast)
    with pytest.raises(ChatIsOver), atomic():
        chats.close_chat(chat, actor=person(cast.laura.id), reason="resolved")


def test_closing_what_waits_frees_nobody(cast: Cast, heard: Heard):
    chat = chat_in("queued", cast)
    with atomic():
        chats.close_chat(chat, actor=person(cast.marta.id), reason="spam")
    assert heard.rings == []


def test_reopening_goes_to_the_agent_or_to_the_head_of_the_queue(cast: Cast, heard: Heard):
    to_agent, to_queue = chat_in("closed", cast), chat_in("abandoned", cast)
    with atomic():
        chats.reopen_chat(to_agent, actor=person(cast.laura.id), reason="by_hand", agent=cast.laura)
        chats.reopen_chat(to_queue, actor=person(cast.laura.id), reason="by_hand")
    assert to_agent.status is ChatStatus.ASSIGNED
    assert (to_agent.closed_at, to_agent.close_reason) == (None, None)
    assert to_queue.status is ChatStatus.QUEUED
    assert to_queue.queue_ahead
    assert to_queue.assigned_agent_id is None
    assert ("routing.route", to_queue.id) in heard.rings


def test_a_chat_does_not_reopen_beside_a_newer_open_one(cast: Cast):
    closed = chat_in("closed", cast)
    with atomic():
        client = closed.client
    chat_in("queued", cast, client=client)
    with pytest.raises(OpenChatExists), atomic():
        chats.reopen_chat(closed, actor=person(cast.laura.id), reason="by_hand")


def test_an_open_chat_is_not_reopened(cast: Cast):
    chat = chat_in("active", cast)
    with pytest.raises(IllegalMove), atomic():
        chats.reopen_chat(chat, actor=person(cast.laura.id), reason="by_hand")


def test_leaving_a_state_ends_what_belonged_to_it(cast: Cast):
    snoozed = chat_in(
        "pending",
        cast,
        pending_reason=PendingReason.SNOOZED,
        snoozed_until=utcnow() + timedelta(hours=1),
    )
    ahead = chat_in("queued", cast, queue_ahead=True)
    with atomic():
        for chat in (snoozed, ahead):
            chats.assign_chat(chat, cast.jhon, actor=person(cast.marta.id), reason="by_hand")
    assert (snoozed.pending_reason, snoozed.snoozed_until) == (None, None)
    assert not ahead.queue_ahead


def test_a_deleted_chat_is_not_found(cast: Cast):
    chat = chat_in("queued", cast, deleted_at=utcnow())
    with pytest.raises(NotFound), atomic():
        chats.pick_chat(chat, cast.laura)


def test_a_refused_move_tells_nobody(cast: Cast, heard: Heard):
    chat = chat_in("active", cast)

    def close_and_fail() -> None:
        with atomic():
            chats.close_chat(chat, actor=SYSTEM, reason="resolved")
            raise RuntimeError("the door fails later")

    with pytest.raises(RuntimeError, match="later"):
        close_and_fail()
    assert heard.events == []
    assert heard.rings == []
