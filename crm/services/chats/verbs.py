"""What can be done with a chat, one verb each. All expect an open `atomic()`."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from crm.db import database_now, db
from crm.doorbell import ring_on_commit
from crm.errors import Conflict
from crm.models import (
    LOAD_STATUSES,
    OPEN_CHAT_SQL,
    OPEN_STATUSES,
    Campaign,
    Chat,
    ChatOwner,
    ChatStatus,
    Direction,
    Message,
    User,
    next_case_number,
)
from crm.services.chats.moves import (
    SYSTEM,
    Actor,
    ChatIsOver,
    IllegalMove,
    OpenChatExists,
    lock_agent,
    lock_chat,
    move_chat,
    note_event,
    person,
    places_of,
    publish_chat,
    touch_chat,
)


def open_chat(
    *,
    client_id: int,
    campaign_id: int,
    whatsapp_number_id: int,
    actor: Actor,
    reason: str = "opened",
) -> tuple[Chat, bool]:
    """Open a chat in `new`, or find the open one of this client and number.

    Returns the chat and whether it is new. Two who open at once get the same chat: the partial
    unique index decides, not a look beforehand. Inbound messages do the same in sets of their own.
    """
    campaign = db.session.get_one(Campaign, campaign_id)
    chat_id = db.session.scalar(
        insert(Chat)
        .values(
            client_id=client_id,
            campaign_id=campaign_id,
            whatsapp_number_id=whatsapp_number_id,
            case_number=next_case_number(campaign.code, campaign.timezone),
        )
        .on_conflict_do_nothing(
            index_elements=["client_id", "whatsapp_number_id"], index_where=text(OPEN_CHAT_SQL)
        )
        .returning(Chat.id)
    )
    if chat_id is None:
        found = find_open_chat(client_id=client_id, whatsapp_number_id=whatsapp_number_id)
        if found is None:
            # It was there a moment ago and is closed by now: the person looks again.
            raise Conflict
        return found, False
    chat = lock_chat(chat_id)
    note_event(chat, None, kind="opened", actor=actor, reason=reason, at=database_now(), data={})
    publish_chat(chat)
    return chat, True


def find_open_chat(*, client_id: int, whatsapp_number_id: int) -> Chat | None:
    """The one open chat of this client on this number."""
    return db.session.scalar(
        select(Chat).where(
            Chat.client_id == client_id,
            Chat.whatsapp_number_id == whatsapp_number_id,
            Chat.status.in_(OPEN_STATUSES),
            Chat.deleted_at.is_(None),
        )
    )


def queue_chat(
    chat: Chat,
    *,
    queue_id: int | None,
    actor: Actor,
    reason: str,
    ahead: bool = False,
    keep_place: bool = False,
    data: dict[str, Any] | None = None,
) -> Chat:
    """Let it wait in a queue (None: in the campaign's open line), owned by nobody.

    `ahead` puts it before those who wait for the first time; `keep_place` moves a waiting chat to
    another queue without starting its wait anew. Rings nobody by itself: whoever queues a chat
    routes it in the same breath, or rings `routing.route`.
    """
    chat = lock_chat(chat.id)
    now = database_now()
    spell: dict[str, Any] = {}
    if not keep_place or chat.queued_at is None:
        spell = {"queued_at": now, "overdue_at": None, "queue_told_at": None}
    ahead = ahead or (keep_place and chat.queue_ahead)
    return move_chat(
        chat,
        ChatStatus.QUEUED,
        kind="queued",
        actor=actor,
        reason=reason,
        at=now,
        data=data,
        facts={
            **spell,
            "queue_id": queue_id,
            "queue_ahead": ahead,
            "assigned_agent_id": None,
            "assigned_at": None,
            "owner": None,
        },
    )


def requeue_chat(
    chat: Chat, *, actor: Actor, reason: str, data: dict[str, Any] | None = None
) -> Chat:
    """Take a chat back from its agent: to the head of the queue it came from, and route it."""
    chat = queue_chat(
        chat, queue_id=chat.queue_id, actor=actor, reason=reason, ahead=True, data=data
    )
    ring_on_commit("routing.route", chat.id)
    return chat


def assign_chat(
    chat: Chat,
    agent: User,
    *,
    actor: Actor,
    reason: str,
    data: dict[str, Any] | None = None,
) -> Chat:
    """Give the chat to `agent`, whatever their load: a person decided, so it may exceed capacity.

    It stays as it is if it is theirs already. Automatic assignment does not come here (see
    `routing.assign`). AgentUnavailable for somebody who has left or is suspended, ChatIsOver for a
    closed chat.
    """
    chat = lock_chat(chat.id)
    if chat.status.is_final:
        raise ChatIsOver
    locked = lock_agent(agent.id)
    if chat.assigned_agent_id == locked.id and chat.status in LOAD_STATUSES:
        return chat
    return give_locked_chat(
        chat,
        locked.id,
        actor=actor,
        reason=reason,
        at=database_now(),
        data={**places_of(locked), **(data or {})},
    )


def pick_chat(chat: Chat, agent: User) -> Chat:
    """The agent takes a chat that nobody here has: one that waits, or that the phone answered.

    IllegalMove if somebody else was faster.
    """
    chat = lock_chat(chat.id)
    if chat.assigned_agent_id is not None and not chat.status.is_final:
        raise IllegalMove("Somebody else has taken this chat.")
    return assign_chat(chat, agent, actor=person(agent.id), reason="picked")


def give_locked_chat(
    chat: Chat,
    agent_id: int,
    *,
    actor: Actor,
    reason: str,
    at: datetime,
    data: dict[str, Any] | None = None,
) -> Chat:
    """The move of `assign_chat` and of automatic assignment; the caller holds chat and agent."""
    return move_chat(
        chat,
        ChatStatus.ASSIGNED,
        kind="assigned",
        actor=actor,
        reason=reason,
        at=at,
        data=data,
        facts={"assigned_agent_id": agent_id, "assigned_at": at, "owner": ChatOwner.HUMAN},
    )


def record_human_reply(chat: Chat, user: User) -> Chat:
    """A person answers from the inbox: call it in the transaction that stores the message.

    The first word ends the wait and makes the chat active; it stays with whoever has it, or else
    goes to the writer. A pending chat stays pending (the agent wrote first, or into the silence),
    and an offered one stays offered, unless the one it is offered to writes and so accepts.
    ChatIsOver for a closed chat.
    """
    chat = lock_chat(chat.id)
    if chat.status.is_final:
        raise ChatIsOver
    accepts = chat.status == ChatStatus.TRANSFERRED and chat.offered_agent_id == user.id
    _end_lapses(user.id)
    settled = chat.status in (ChatStatus.ACTIVE, ChatStatus.PENDING, ChatStatus.TRANSFERRED)
    if settled and not accepts:
        return _end_wait(chat)
    takes = accepts or chat.assigned_agent_id is None
    if takes:
        lock_agent(user.id)
    # The moment is read under the locks: the events of two who race stand in the order of truth.
    now = database_now()
    facts: dict[str, Any] = {"owner": ChatOwner.HUMAN, "waiting_since": None}
    if accepts:
        facts |= accepted_facts(chat)
    if takes:
        facts |= {"assigned_agent_id": user.id, "assigned_at": now}
    if chat.first_response_at is None:
        facts["first_response_at"] = now
    return move_chat(
        chat,
        ChatStatus.ACTIVE,
        kind="answered",
        actor=person(user.id),
        reason="answered",
        at=now,
        facts=facts,
    )


def accepted_facts(chat: Chat) -> dict[str, Any]:
    """What an accepted transfer leaves on the chat; only accepted ones count."""
    return {
        "transferred_from_agent_id": chat.assigned_agent_id,
        "transfer_count": chat.transfer_count + 1,
    }


def _end_lapses(user_id: int) -> None:
    """Who answers has not lapsed twice in a row. Usually there is nothing to write, nor to lock."""
    db.session.execute(
        update(User).where(User.id == user_id, User.lapses > 0).values(lapses=0),
        execution_options={"synchronize_session": False},
    )


def _end_wait(chat: Chat) -> Chat:
    """A further word in a chat that stays where it is: the customer waits no longer."""
    if chat.waiting_since is not None or chat.owner != ChatOwner.HUMAN:
        chat.waiting_since = None
        chat.owner = ChatOwner.HUMAN
        touch_chat(chat)
        publish_chat(chat)
    return chat


def mark_read(chat: Chat, user: User) -> int:
    """The owner has opened the chat: its inbound messages are read. Returns how many became so.

    A look by anybody else changes nothing.
    """
    if chat.assigned_agent_id != user.id:
        return 0
    chat = lock_chat(chat.id)
    if chat.assigned_agent_id != user.id:
        return 0
    read = db.session.scalars(
        update(Message)
        .where(
            Message.chat_id == chat.id,
            Message.direction == Direction.INBOUND,
            Message.read_at.is_(None),
        )
        .values(read_at=func.now())
        .returning(Message.id)
    ).all()
    if read or chat.unread_count:
        chat.unread_count = 0
        touch_chat(chat)
        publish_chat(chat)
    return len(read)


def close_chat(
    chat: Chat,
    *,
    actor: Actor,
    reason: str,
    notes: str | None = None,
    outcome: str | None = None,
    outcome_value: Decimal | None = None,
    data: dict[str, Any] | None = None,
) -> Chat:
    """End the chat; its agent keeps it in their history, and has a place free again."""
    chat = lock_chat(chat.id)
    now = database_now()
    return move_chat(
        chat,
        ChatStatus.CLOSED,
        kind="closed",
        actor=actor,
        reason=reason,
        at=now,
        data=data,
        facts={
            "closed_at": now,
            "close_reason": reason,
            "close_notes": notes,
            "outcome": outcome,
            "outcome_value": outcome_value,
            "owner": None,
            "waiting_since": None,
        },
    )


def abandon_chat(chat: Chat, *, reason: str) -> Chat:
    """The wait is given up; a word of the customer's brings the old place back."""
    chat = lock_chat(chat.id)
    now = database_now()
    return move_chat(
        chat,
        ChatStatus.ABANDONED,
        kind="abandoned",
        actor=SYSTEM,
        reason=reason,
        at=now,
        facts={"closed_at": now, "close_reason": "abandoned", "owner": None, "waiting_since": None},
    )


def reopen_chat(chat: Chat, *, actor: Actor, reason: str, agent: User | None = None) -> Chat:
    """Open a closed chat again: to `agent`, or to the head of the queue it came from.

    An abandoned one has its old place in the line again. OpenChatExists if the client has opened
    another one on this number since.
    """
    chat = lock_chat(chat.id)
    if chat.status.is_open:
        raise IllegalMove
    if find_open_chat(client_id=chat.client_id, whatsapp_number_id=chat.whatsapp_number_id):
        raise OpenChatExists
    if agent is not None:
        lock_agent(agent.id)
    now = database_now()
    facts: dict[str, Any]
    if agent is not None:
        facts = {"assigned_agent_id": agent.id, "assigned_at": now, "owner": ChatOwner.HUMAN}
    else:
        facts = {"assigned_agent_id": None, "assigned_at": None, "owner": None}
        if chat.status == ChatStatus.ABANDONED and chat.queued_at is not None:
            # Its longest wait has had its consequences; they do not come twice.
            facts |= {"queue_ahead": False}
        else:
            facts |= {"queue_ahead": True, "queued_at": now, "overdue_at": None}
        facts["queue_told_at"] = None
        ring_on_commit("routing.route", chat.id)
    move_chat(
        chat,
        ChatStatus.QUEUED if agent is None else ChatStatus.ASSIGNED,
        kind="reopened",
        actor=actor,
        reason=reason,
        at=now,
        facts=facts,
    )
    try:
        db.session.flush()
    except IntegrityError as error:
        # The client wrote between our look and now; the index that allows one open chat decides.
        raise OpenChatExists from error
    return chat
