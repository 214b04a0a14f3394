"""A transfer to a person is an offer: the sender stays the owner until it is accepted."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from crm.db import database_now, db
from crm.errors import Conflict
from crm.models import (
    AgentStatus,
    Chat,
    ChatEvent,
    ChatOwner,
    ChatStatus,
    User,
)
from crm.services.chats.moves import (
    Actor,
    ChatIsOver,
    IllegalMove,
    lock_agent,
    lock_chat,
    move_chat,
    person,
    places_of,
)
from crm.services.chats.verbs import accepted_facts, requeue_chat

# At their desk: may be full, but will see the chat that comes back to them.
AT_DESK = frozenset({AgentStatus.AVAILABLE, AgentStatus.BUSY})


class ReceiverAway(Conflict):
    code = "receiver_away"
    message = "This person is not available. Choose somebody else, or a queue."


class OfferIsOver(Conflict):
    code = "offer_is_over"
    message = "This offer is over: the chat is no longer waiting for your answer."


def offer_chat(
    chat: Chat,
    receiver: User,
    *,
    actor: Actor,
    reason: str,
    note: str | None = None,
    even_if_away: bool = False,
) -> Chat:
    """Offer an agent's chat to `receiver`, who takes a place for it until they have answered.

    `even_if_away` is for who may assign: an absent person can be chosen on purpose. ReceiverAway,
    AgentUnavailable for an ended account, IllegalMove for a chat that nobody has.
    """
    chat = lock_chat(chat.id)
    if chat.status.is_final:
        raise ChatIsOver
    if chat.assigned_agent_id is None:
        raise IllegalMove("Nobody has this chat yet. Assign it instead.")
    if chat.assigned_agent_id == receiver.id:
        raise IllegalMove("They have this chat already.")
    locked = lock_agent(receiver.id)
    if locked.agent_status not in AT_DESK and not even_if_away:
        raise ReceiverAway
    now = database_now()
    return move_chat(
        chat,
        ChatStatus.TRANSFERRED,
        kind="offered",
        actor=actor,
        reason=reason,
        at=now,
        data={"offered": locked.id, "note": note},
        facts={
            "offered_agent_id": locked.id,
            "offered_at": now,
            "transfer_reason": reason,
            "owner": ChatOwner.HUMAN,
        },
    )


def accept_offer(chat: Chat, user: User) -> Chat:
    """The receiver takes it: only now it counts as a transfer. OfferIsOver if it is not theirs."""
    chat = _lock_offered(chat, user.id)
    receiver = lock_agent(user.id)
    now = database_now()
    return move_chat(
        chat,
        ChatStatus.ASSIGNED,
        kind="assigned",
        actor=person(user.id),
        reason="accepted",
        at=now,
        data={"transfer_reason": chat.transfer_reason, **places_of(receiver, but=1)},
        facts={**accepted_facts(chat), "assigned_agent_id": user.id, "assigned_at": now},
    )


def decline_offer(chat: Chat, user: User, *, note: str | None = None) -> Chat:
    """The receiver says no: it goes back."""
    chat = _lock_offered(chat, user.id)
    return return_offer(chat, actor=person(user.id), reason="declined", note=note)


def withdraw_offer(chat: Chat, user: User) -> Chat:
    """The sender takes the offer back."""
    chat = lock_chat(chat.id)
    if chat.status != ChatStatus.TRANSFERRED or chat.assigned_agent_id != user.id:
        raise OfferIsOver
    return return_offer(chat, actor=person(user.id), reason="withdrawn")


def return_offer(chat: Chat, *, actor: Actor, reason: str, note: str | None = None) -> Chat:
    """Declined, timed out or gone: to the sender as it was, or, if they are away, to the queue.

    The caller holds the chat. It goes back to the owner it had, who was counted as having it all
    the while, so their limit is not asked.
    """
    sender = lock_agent(chat.assigned_agent_id or 0, active=False)
    data: dict[str, Any] = {"offered": chat.offered_agent_id, "note": note}
    if not sender.is_active or sender.agent_status not in AT_DESK:
        return requeue_chat(chat, actor=actor, reason=f"offer_{reason}", data=data)
    return move_chat(
        chat,
        _status_before_offer(chat),
        kind="returned",
        actor=actor,
        reason=reason,
        at=database_now(),
        data=data,
        facts={},
    )


def _lock_offered(chat: Chat, user_id: int) -> Chat:
    chat = lock_chat(chat.id)
    if chat.status != ChatStatus.TRANSFERRED or chat.offered_agent_id != user_id:
        raise OfferIsOver
    return chat


def _status_before_offer(chat: Chat) -> ChatStatus:
    """Assigned if the sender had not answered yet; else active, from pending too."""
    before = db.session.scalar(
        select(ChatEvent.from_status)
        .where(ChatEvent.chat_id == chat.id, ChatEvent.kind == "offered")
        .order_by(ChatEvent.id.desc())
        .limit(1)
    )
    return ChatStatus.ASSIGNED if before == ChatStatus.ASSIGNED else ChatStatus.ACTIVE
