"""How a chat moves at all: locks, the table, the event row, and who is told.

Locks are taken in the house's order: client, chat, queue, user. Whoever changes an agent's load or
availability holds the agent's row, so places counted under that lock stay true until the commit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from crm.db import db
from crm.doorbell import ring_on_commit
from crm.errors import Conflict, NotFound
from crm.events import AgentChanged, Audience, ChatChanged, publish_on_commit
from crm.models import LOAD_STATUSES, ActorKind, Campaign, Chat, ChatEvent, ChatStatus, User

# Nobody owns a chat in these unless an agent is named: who serves the queues may see it.
WAITING_STATUSES = frozenset({ChatStatus.NEW, ChatStatus.BOT, ChatStatus.QUEUED})


class IllegalMove(Conflict):
    """The chat's state does not allow what was asked; usually somebody was faster."""

    code = "illegal_move"
    message = "The chat has changed in the meantime, so this is no longer possible."


class ChatIsOver(IllegalMove):
    code = "chat_is_over"
    message = "This chat is closed. Reopen it to go on."


class OpenChatExists(Conflict):
    code = "open_chat_exists"
    message = "This client already has an open chat on this number."


class AgentUnavailable(Conflict):
    code = "agent_unavailable"
    message = "This person cannot take chats: their account is not active."


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it, as `chat_events` keeps it."""

    kind: ActorKind
    user_id: int | None = None


SYSTEM = Actor(ActorKind.SYSTEM)
BOT = Actor(ActorKind.BOT)
PHONE = Actor(ActorKind.PHONE)
CLIENT = Actor(ActorKind.CLIENT)


def person(user_id: int) -> Actor:
    return Actor(ActorKind.USER, user_id)


def lock_chat(chat_id: int) -> Chat:
    """The chat, locked until the end of the transaction and read afresh; NotFound if it is gone.

    NO KEY UPDATE: rows that point to the chat may be inserted meanwhile.
    """
    chat = db.session.scalar(
        select(Chat)
        .where(Chat.id == chat_id, Chat.deleted_at.is_(None))
        .with_for_update(key_share=True, of=Chat)
        .execution_options(populate_existing=True)
    )
    if chat is None:
        raise NotFound
    return chat


def lock_agent(user_id: int, *, active: bool = True) -> User:
    """The agent, locked and read afresh; AgentUnavailable for who has left or is suspended.

    `active=False` takes those too: even an ended account can be set offline.
    """
    agent = db.session.scalar(
        select(User)
        .where(User.id == user_id)
        .with_for_update(key_share=True, of=User)
        .execution_options(populate_existing=True)
    )
    if agent is None or (active and not agent.is_active):
        raise AgentUnavailable
    return agent


def count_load(user_id: int) -> int:
    """How many places of this agent are taken: assigned, active and offered to them."""
    own = Chat.status.in_(LOAD_STATUSES) & (Chat.assigned_agent_id == user_id)
    offered = (Chat.status == ChatStatus.TRANSFERRED) & (Chat.offered_agent_id == user_id)
    places = select(func.count()).select_from(Chat).where(own | offered, Chat.deleted_at.is_(None))
    return db.session.scalar(places) or 0


def places_of(agent: User, *, but: int = 0) -> dict[str, int]:
    """How full a locked agent is before one more chat, for its event: people may exceed limits.

    `but`: places that this very chat has taken already, as an offered one has.
    """
    return {"load_before": count_load(agent.id) - but, "limit": agent.max_concurrent_chats}


def terms_of(campaign: Campaign) -> dict[str, Any]:
    """The service targets and hours in force, as every event keeps them.

    A target that is changed later must not rewrite the past.
    """
    return {
        "first_response_seconds": campaign.sla_first_response_seconds,
        "resolution_seconds": campaign.sla_resolution_seconds,
        "timezone": campaign.timezone,
        "business_hours": campaign.business_hours,
    }


def move_chat(
    chat: Chat,
    to: ChatStatus,
    *,
    kind: str,
    actor: Actor,
    reason: str,
    at: datetime,
    facts: dict[str, Any],
    data: dict[str, Any] | None = None,
) -> Chat:
    """Change the state of a chat that the caller has locked. Only this package calls it.

    `facts` are the columns that the verb sets; what must not outlive a state (an offer, a snooze)
    is cleared here. ChatIsOver or IllegalMove if the table does not have the move.
    """
    before = chat.status
    if not before.may_become(to):
        raise ChatIsOver if before.is_final else IllegalMove
    agent_before, offered_before = chat.assigned_agent_id, chat.offered_agent_id
    held_before = _holders(chat)
    was_waiting = is_waiting(chat)
    for name, value in {**_ended_facts(before, to, at), **facts}.items():
        setattr(chat, name, value)
    chat.status = to
    touch_chat(chat)
    parties = {"agent_before": agent_before, "agent": chat.assigned_agent_id}
    note_event(
        chat,
        before,
        kind=kind,
        actor=actor,
        reason=reason,
        at=at,
        data={**parties, "queue_id": chat.queue_id, **(data or {})},
    )
    publish_chat(chat, agents=(agent_before, offered_before), was_waiting=was_waiting)
    _tell_loads(chat, held_before, _holders(chat))
    return chat


def change_campaign(chat: Chat, campaign_id: int) -> None:
    """Let a locked chat belong to another campaign; who saw it in the old one hears of it."""
    if chat.campaign_id == campaign_id:
        return
    publish_chat(chat, was_waiting=is_waiting(chat))
    chat.campaign_id = campaign_id
    db.session.flush()


def touch_chat(chat: Chat) -> None:
    """A change that a screen shows: an open thread with an older version fetches itself again."""
    chat.version = (chat.version or 0) + 1


def is_waiting(chat: Chat) -> bool:
    return chat.status in WAITING_STATUSES and chat.assigned_agent_id is None


def note_event(
    chat: Chat,
    before: ChatStatus | None,
    *,
    kind: str,
    actor: Actor,
    reason: str,
    at: datetime,
    data: dict[str, Any],
) -> None:
    """The row that timeline, metrics and receipts are read from."""
    campaign = db.session.get_one(Campaign, chat.campaign_id)
    db.session.add(
        ChatEvent(
            chat_id=chat.id,
            kind=kind,
            from_status=before,
            to_status=chat.status,
            actor_kind=actor.kind,
            actor_user_id=actor.user_id,
            reason=reason,
            data={**data, "terms": terms_of(campaign)},
            created_at=at,
        )
    )


def publish_chat(
    chat: Chat, *, agents: Iterable[int | None] = (), was_waiting: bool = False
) -> None:
    """Tell the browsers of all who may see it now, and of `agents`, who may just have lost it."""
    involved = (*agents, chat.assigned_agent_id, chat.offered_agent_id)
    publish_on_commit(
        ChatChanged(chat.id),
        Audience(
            campaign_id=chat.campaign_id,
            agent_ids=tuple(sorted({agent for agent in involved if agent is not None})),
            waiting=was_waiting or is_waiting(chat),
        ),
    )


def _ended_facts(before: ChatStatus, to: ChatStatus, at: datetime) -> dict[str, Any]:
    """What ends with the state that the chat leaves."""
    facts: dict[str, Any] = {}
    if before == ChatStatus.TRANSFERRED:
        facts |= {"offered_agent_id": None, "offered_at": None}
    if before == ChatStatus.PENDING:
        facts |= {"pending_reason": None, "snoozed_until": None}
    if before == ChatStatus.BOT and to != ChatStatus.BOT:
        facts |= {"bot_ended_at": at}
    if before == ChatStatus.QUEUED and to != ChatStatus.QUEUED:
        facts |= {"queue_ahead": False}
    if before.is_final:
        facts |= {"closed_at": None, "close_reason": None}
    return facts


def _holders(chat: Chat) -> set[int]:
    """Whose place this chat takes."""
    if chat.status in LOAD_STATUSES and chat.assigned_agent_id is not None:
        return {chat.assigned_agent_id}
    if chat.status == ChatStatus.TRANSFERRED and chat.offered_agent_id is not None:
        return {chat.offered_agent_id}
    return set()


def _tell_loads(chat: Chat, before: set[int], after: set[int]) -> None:
    """Announce every agent whose places changed, and ring for those who have one free."""
    for user_id in sorted(before ^ after):
        publish_on_commit(
            AgentChanged(user_id), Audience(campaign_id=chat.campaign_id, user_ids=(user_id,))
        )
    for user_id in sorted(before - after):
        ring_on_commit("routing.serve", user_id)
