"""Taking a move back: the chat stands again exactly as it stood, while nobody has gone on with it.

Whoever moves chats in bulk keeps with each event where the chat stood (`place_of`), so what is
given back is read from what happened, not from what a browser remembers.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select

from crm.db import database_now, db
from crm.doorbell import ring_on_commit
from crm.errors import NotFound
from crm.models import ActorKind, Chat, ChatEvent, ChatOwner, ChatStatus, PendingReason
from crm.services.chats.moves import (
    Actor,
    ChatIsOver,
    IllegalMove,
    lock_agent,
    lock_chat,
    move_chat,
)

BEFORE = "before"  # where the chat stood, in the event's data
MOMENTS = ("assigned_at", "queued_at", "overdue_at", "queue_told_at", "snoozed_until")
PLAIN = ("assigned_agent_id", "queue_id", "queue_ahead", "owner", "pending_reason")
# A bot that was ended and an offer that was withdrawn do not come to life again.
RETURNABLE = (ChatStatus.QUEUED, ChatStatus.ASSIGNED, ChatStatus.ACTIVE, ChatStatus.PENDING)


def place_of(chat: Chat) -> dict[str, Any]:
    """Where a locked chat stands, as plain JSON for the event that moves it away from there."""
    moments = {name: getattr(chat, name) for name in MOMENTS}
    return {
        "status": str(chat.status),
        **{name: getattr(chat, name) for name in PLAIN},
        **{name: at.isoformat() if at else None for name, at in moments.items()},
    }


def find_last_move(chat: Chat) -> int | None:
    """The event of the chat's newest move that can be taken back."""
    db.session.flush()
    return db.session.scalar(
        select(ChatEvent.id)
        .where(ChatEvent.chat_id == chat.id, ChatEvent.data.has_key(BEFORE))
        .order_by(ChatEvent.id.desc())
        .limit(1)
    )


def put_back(chat: Chat, event_id: int, *, actor: Actor) -> Chat:
    """Undo the move of `event_id`. What a machine did since (an assignment, a take-back) goes too.

    Refused with the reason in words: ChatIsOver, IllegalMove if a person has gone on with it since
    or the place is no more, AgentUnavailable if whoever had it has left.
    """
    chat = lock_chat(chat.id)
    event = db.session.get(ChatEvent, event_id)
    if event is None or event.chat_id != chat.id or BEFORE not in (event.data or {}):
        raise NotFound
    _refuse_if_it_went_on(chat, event)
    before: dict[str, Any] = (event.data or {})[BEFORE]
    status = ChatStatus(before["status"])
    facts = _facts_of(before)
    if status not in RETURNABLE:
        raise IllegalMove("It was with a bot or on offer, and that is over.")
    now = database_now()
    if facts["snoozed_until"] is not None and facts["snoozed_until"] <= now:
        raise IllegalMove("The time until which it was put aside has passed.")
    if facts["assigned_agent_id"] is not None:
        lock_agent(facts["assigned_agent_id"])
    move_chat(chat, status, kind="put_back", actor=actor, reason="put_back", at=now, facts=facts)
    if status == ChatStatus.QUEUED:
        ring_on_commit("routing.route", chat.id)
    return chat


def _refuse_if_it_went_on(chat: Chat, event: ChatEvent) -> None:
    if chat.status.is_final:
        raise ChatIsOver("It is closed.")
    by_people = db.session.scalar(
        select(ChatEvent.id)
        .where(
            ChatEvent.chat_id == chat.id,
            ChatEvent.id > event.id,
            ChatEvent.actor_kind.in_((ActorKind.USER, ActorKind.PHONE)),
        )
        .limit(1)
    )
    if by_people is not None:
        raise IllegalMove("Somebody has gone on with it since.")


def _facts_of(before: dict[str, Any]) -> dict[str, Any]:
    moments = {name: before.get(name) for name in MOMENTS}
    owner, reason = before.get("owner"), before.get("pending_reason")
    return {
        **{name: before.get(name) for name in PLAIN},
        "owner": ChatOwner(owner) if owner else None,
        "pending_reason": PendingReason(reason) if reason else None,
        **{name: datetime.fromisoformat(at) if at else None for name, at in moments.items()},
    }
