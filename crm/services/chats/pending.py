"""Chats put aside: for a time, until the customer writes, or for a call back."""

from __future__ import annotations

from datetime import datetime

from crm.db import database_now
from crm.errors import Invalid
from crm.models import Chat, ChatOwner, ChatStatus, PendingReason
from crm.services.chats.moves import Actor, lock_chat, move_chat


def set_pending(
    chat: Chat,
    *,
    actor: Actor,
    reason: PendingReason,
    until: datetime | None = None,
    agent_id: int | None = None,
    note: str | None = None,
) -> Chat:
    """Put the chat aside; it keeps its agent and takes no place.

    `until` is for a snooze, which needs a moment to come. `agent_id` gives a chat that nobody has
    to whoever is to call back. Invalid for a moment that is past.
    """
    chat = lock_chat(chat.id)
    now = database_now()
    if reason == PendingReason.SNOOZED and (until is None or until <= now):
        raise Invalid("Choose a moment that is still to come.")
    owner = chat.assigned_agent_id or agent_id
    return move_chat(
        chat,
        ChatStatus.PENDING,
        kind="pending",
        actor=actor,
        reason=str(reason),
        at=now,
        data={"until": until.isoformat() if until else None, "note": note},
        facts={
            "pending_reason": reason,
            "snoozed_until": until if reason == PendingReason.SNOOZED else None,
            "assigned_agent_id": owner,
            "owner": ChatOwner.HUMAN if owner else None,
            "reminded_at": None,
        },
    )


def resume_chat(chat: Chat, *, actor: Actor, reason: str) -> Chat:
    """Take it up again where it is: its agent goes on with it, or its time has come."""
    chat = lock_chat(chat.id)
    return move_chat(
        chat,
        ChatStatus.ACTIVE,
        kind="resumed",
        actor=actor,
        reason=reason,
        at=database_now(),
        facts={"owner": ChatOwner.HUMAN},
    )
