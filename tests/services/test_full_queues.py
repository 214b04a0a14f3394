"""A chat comes to a full queue: it waits, is turned away, goes on, or leaves a message."""

from typing import Any

from sqlalchemy import select

from crm.db import atomic, db
from crm.models import AgentStatus, ChatStatus, OverflowAction, PendingReason, Queue, Task
from tests.factories import make_chat, make_client, make_message, make_queue
from tests.services.arrivals import arrive_chat, route, said, set_terms
from tests.services.desk import Desk, last_event


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
