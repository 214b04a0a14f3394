"""What people do by hand: to whom a chat can go, and how it gets there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from crm.db import db
from crm.errors import Conflict, NotFound
from crm.models import Campaign, CampaignStatus, Chat, ChatStatus, Client, Queue, User
from crm.services.chats import (
    Actor,
    ChatIsOver,
    assign_chat,
    close_chat,
    lock_chat,
    offer_chat,
    queue_chat,
    requeue_chat,
)
from crm.services.chats.notes import add_note
from crm.services.chats.undo import BEFORE, place_of
from crm.services.inbox.naming import ClientName, name_client
from crm.services.routing import arrive
from crm.services.routing.assign import serve_after
from crm.services.routing.floor import read_floor
from crm.services.routing.strategies import AgentFacts, obstacle
from crm.services.routing.texts import lock_client, say

# Whoever has these goes on with them later, and hands them over before going.
HELD = (ChatStatus.ASSIGNED, ChatStatus.ACTIVE, ChatStatus.PENDING)
# Reasons of closing that get no goodbye: nobody is there, or nobody should be answered.
WITHOUT_GOODBYE = frozenset({"spam", "no_reply", "wrong_number", "duplicate"})


@dataclass(frozen=True)
class Receiver:
    """A colleague as the dialog shows them. `away`: can be chosen only by who may assign."""

    id: int
    name: str
    state: str
    load: int
    limit: int
    away: bool
    full: bool
    skills: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """A queue or a campaign that a chat can be passed to."""

    id: int
    name: str
    waiting: int | None = None


@dataclass(frozen=True)
class HeldChat:
    """A chat that somebody hands over: what comes next in it, and who could go on."""

    id: int
    client: ClientName
    case_number: str
    campaign: str
    status: ChatStatus
    next_step: str
    since: datetime | None
    suggested: Receiver | None
    receivers: tuple[Receiver, ...]


def list_receivers(campaign_id: int, *, but: Collection[int] = ()) -> list[Receiver]:
    """Who could take a chat of this campaign, who has room first."""
    floor = read_floor({campaign_id}, lock=False)
    return _receivers(floor.agents_of(campaign_id), but)


def _receivers(agents: Sequence[AgentFacts], but: Collection[int]) -> list[Receiver]:
    able = [
        agent
        for agent in agents
        if agent.user_id not in but and agent.user_active and agent.member and agent.may_answer
    ]
    able.sort(key=lambda a: (obstacle(a) is not None, _is_away(a), a.relative_load, a.name))
    return [
        Receiver(
            id=agent.user_id,
            name=agent.name,
            state=agent.state,
            load=agent.load,
            limit=agent.limit,
            away=_is_away(agent),
            full=obstacle(agent) in ("full", "campaign_full"),
            skills=tuple(sorted(agent.skills)),
        )
        for agent in able
    ]


def _is_away(agent: AgentFacts) -> bool:
    return agent.state not in ("available", "busy")


def list_queues(campaign_id: int) -> list[Place]:
    rows = db.session.execute(
        select(Queue.id, Queue.name)
        .where(Queue.campaign_id == campaign_id, Queue.is_active.is_(True))
        .order_by(Queue.priority.desc(), Queue.name)
    )
    return [Place(row.id, row.name) for row in rows]


def list_campaigns(*, but: int) -> list[Place]:
    """Campaigns that take chats."""
    rows = db.session.execute(
        select(Campaign.id, Campaign.name)
        .where(
            Campaign.status == CampaignStatus.ACTIVE,
            Campaign.deleted_at.is_(None),
            Campaign.id != but,
        )
        .order_by(Campaign.name)
    )
    return [Place(row.id, row.name) for row in rows]


def transfer_to_person(
    chat: Chat,
    receiver_id: int,
    *,
    actor: Actor,
    reason: str,
    note: str | None = None,
    even_if_away: bool = False,
) -> Chat:
    """Offer the chat to a colleague of its campaign."""
    chat = lock_chat(chat.id)
    receiver = _load_receiver(chat, receiver_id)
    chat = offer_chat(
        chat, receiver, actor=actor, reason=reason, note=note, even_if_away=even_if_away
    )
    _keep_note(chat, actor, note)
    return chat


def assign_to_person(
    chat: Chat,
    receiver_id: int,
    *,
    actor: Actor,
    reason: str,
    note: str | None = None,
    data: dict[str, Any] | None = None,
) -> Chat:
    """Give the chat to somebody of its campaign at once, whatever their load or state.

    `data`: more to keep with the event.
    """
    chat = lock_chat(chat.id)
    if chat.status.is_final:
        raise ChatIsOver
    receiver = _load_receiver(chat, receiver_id)
    told = {"note": note, **(data or {})}
    chat = assign_chat(chat, receiver, actor=actor, reason=reason, data=told)
    _keep_note(chat, actor, note)
    return chat


def transfer_to_queue(
    chat: Chat,
    queue_id: int,
    *,
    actor: Actor,
    reason: str,
    note: str | None = None,
    data: dict[str, Any] | None = None,
) -> Chat:
    """To a queue of its campaign: it waits anew, and goes to whoever is next."""
    chat = lock_chat(chat.id)
    queue = db.session.get(Queue, queue_id)
    if queue is None or queue.campaign_id != chat.campaign_id or not queue.is_active:
        raise NotFound("This queue takes no chats of this campaign.")
    chat = queue_chat(
        chat,
        queue_id=queue.id,
        actor=actor,
        reason="transferred",
        data={"why": reason, "note": note, "queue": queue.name, **(data or {})},
    )
    _keep_note(chat, actor, note)
    serve_after(chat)
    return chat


def transfer_to_campaign(
    chat: Chat, campaign_id: int, *, actor: Actor, reason: str, note: str | None = None
) -> Chat:
    """To another campaign, with its rules, hours and targets."""
    campaign = db.session.get(Campaign, campaign_id)
    if campaign is None or campaign.deleted_at or campaign.status != CampaignStatus.ACTIVE:
        raise NotFound("This campaign takes no chats.")
    lock_client(chat.client_id)
    chat = lock_chat(chat.id)
    if chat.status.is_final:
        raise ChatIsOver
    _keep_note(chat, actor, note)
    wanted = arrive.move_to_campaign(chat, campaign, actor=actor, reason="transferred", note=reason)
    serve_after(chat, wanted)
    return chat


def close_by_hand(
    chat: Chat,
    *,
    actor: Actor,
    reason: str,
    notes: str | None = None,
    outcome: str | None = None,
    outcome_value: Any = None,
) -> Chat:
    """Close with the campaign's goodbye, where there is somebody to say it to."""
    lock_client(chat.client_id)
    chat = lock_chat(chat.id)
    if chat.status.is_open and chat.first_response_at and reason not in WITHOUT_GOODBYE:
        say(chat, db.session.get_one(Campaign, chat.campaign_id).closed_message)
    return close_chat(
        chat,
        actor=actor,
        reason=reason,
        notes=notes,
        outcome=outcome,
        outcome_value=outcome_value if outcome == "sale" else None,
    )


def list_held(user_id: int, *, phones_visible: bool = True) -> list[HeldChat]:
    """Somebody's open chats, the most pressing first, each with a suggestion.

    The suggested colleagues fill up as they are named, so that not everything goes to one.
    """
    rows = db.session.execute(
        select(Chat, Client, Campaign.name)
        .join(Client, Client.id == Chat.client_id)
        .join(Campaign, Campaign.id == Chat.campaign_id)
        .where(
            Chat.assigned_agent_id == user_id,
            Chat.status.in_(HELD),
            Chat.deleted_at.is_(None),
        )
        .order_by(Chat.waiting_since.nulls_last(), Chat.id)
    ).all()
    if not rows:
        return []
    floor = read_floor({chat.campaign_id for chat, _, _ in rows}, lock=False)
    held = []
    for chat, client, campaign in rows:
        receivers = _receivers(floor.agents_of(chat.campaign_id), {user_id})
        suggested = next((r for r in receivers if not r.away and not r.full), None)
        if suggested is not None:
            floor.take_place(chat.campaign_id, suggested.id, at=floor.now)
        step, since = _next_step(chat)
        name = name_client(
            client_id=client.id,
            first_name=client.first_name,
            last_name=client.last_name,
            phone_number=client.phone_number,
            fallback=None,
            phones_visible=phones_visible,
        )
        held.append(
            HeldChat(
                id=chat.id,
                client=name,
                case_number=chat.case_number,
                campaign=campaign,
                status=chat.status,
                next_step=step,
                since=since,
                suggested=suggested,
                receivers=tuple(receivers),
            )
        )
    return held


def _next_step(chat: Chat) -> tuple[str, datetime | None]:
    """answer: the customer waits; wait: for them; snoozed, callback: put aside until then."""
    if chat.waiting_since is not None:
        return "answer", chat.waiting_since
    if chat.status == ChatStatus.PENDING and chat.pending_reason is not None:
        return str(chat.pending_reason), chat.snoozed_until
    return "wait", chat.last_message_at


def hand_over_chat(chat: Chat, target: str, *, actor: Actor, note: str | None = None) -> bool:
    """One line of the list: "keep", "queue", or a colleague's id. Whether the chat moved.

    Conflict if it is not the person's own any more: somebody was faster.
    """
    if target == "keep":
        return False
    chat = lock_chat(chat.id)
    if chat.assigned_agent_id != actor.user_id or chat.status not in HELD:
        raise Conflict
    if target == "queue":
        _keep_note(chat, actor, note)
        requeue_chat(chat, actor=actor, reason="handed_over", data={"note": note})
        return True
    transfer_to_person(chat, int(target), actor=actor, reason="handed_over", note=note)
    return True


def list_targets(
    campaign_ids: Collection[int], *, all_of_them: bool = False
) -> tuple[list[Place], list[Place]]:
    """People and queues of these campaigns, for moving many chats at once."""
    reached = select(Campaign.id).where(Campaign.deleted_at.is_(None))
    if not all_of_them:
        reached = reached.where(Campaign.id.in_(campaign_ids))
    ids = set(db.session.scalars(reached))
    floor = read_floor(ids, lock=False)
    people: dict[int, Place] = {}
    for campaign_id in ids:
        for one in _receivers(floor.agents_of(campaign_id), ()):
            people.setdefault(one.id, Place(one.id, f"{one.name} · {one.load}/{one.limit}"))
    queues = db.session.execute(
        select(Queue.id, Queue.name, Campaign.name.label("campaign"))
        .join(Campaign, Campaign.id == Queue.campaign_id)
        .where(Queue.campaign_id.in_(ids), Queue.is_active.is_(True))
        .order_by(Campaign.name, Queue.name)
    )
    return (
        sorted(people.values(), key=lambda place: place.name),
        [Place(row.id, f"{row.campaign} · {row.name}") for row in queues],
    )


def move_chat_to(chat: Chat, target: str, *, actor: Actor, note: str | None = None) -> Chat:
    """One of many: "spread" (the head of its queue), "person:<id>" or "queue:<id>".

    The event keeps where the chat stood, so that `chats.put_back` can undo it.
    """
    chat = lock_chat(chat.id)
    if chat.status.is_final:
        raise ChatIsOver
    data = {BEFORE: place_of(chat)}
    kind, _, number = target.partition(":")
    if kind == "person":
        return assign_to_person(
            chat, int(number), actor=actor, reason="by_hand", note=note, data=data
        )
    if kind == "queue":
        return transfer_to_queue(
            chat, int(number), actor=actor, reason="by_hand", note=note, data=data
        )
    _keep_note(chat, actor, note)
    return requeue_chat(chat, actor=actor, reason="spread", data={"note": note, **data})


def _load_receiver(chat: Chat, user_id: int) -> User:
    known = {receiver.id for receiver in list_receivers(chat.campaign_id)}
    if user_id not in known:
        raise NotFound("This person does not answer chats of this campaign.")
    return db.session.get_one(User, user_id)


def _keep_note(chat: Chat, actor: Actor, note: str | None) -> None:
    if note and actor.user_id is not None:
        add_note(chat, actor.user_id, note)
