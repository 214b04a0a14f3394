"""Chats meet agents: every automatic assignment is made here, under locks, in the line's order.

A pass first locks every available agent of the campaigns concerned, in order of id, and only then
counts their places and looks at the line. So two passes that could give work to the same person
take turns: none counts the same free place, rounds stay rounds, and the order of the line holds
whatever rings at the same time. The road not taken is to lock only the chosen agent and try again
if they have filled up: two routers then read the same rotation and give one agent two turns.
Chats are taken with SKIP LOCKED, so that whoever holds the agents never waits for a chat.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import distinct_on

from crm.db import database_now, db
from crm.models import (
    Campaign,
    Chat,
    ChatEvent,
    ChatStatus,
    Queue,
    RoutingStrategy,
)
from crm.services import hours
from crm.services.chats import SYSTEM, give_locked_chat
from crm.services.routing import arrive
from crm.services.routing.floor import (
    Floor,
    campaigns_of,
    campaigns_sharing_agents,
    read_floor,
    why_closed,
)
from crm.services.routing.line import in_order_of_the_line
from crm.services.routing.strategies import RECEIPT_NAMES, Choice, Snapshot
from crm.services.routing.texts import lock_client, say_place

# Assignments in one transaction: enough to share the price of the snapshot, few enough that a
# status switch, which waits for the agents' rows, does not feel it.
BATCH = 50
AGENTS_TO_A_CHAT = 4
# What a ring may find: a chat that comes in, that the customer brings back, or that waits.
ROUTABLE = (ChatStatus.NEW, ChatStatus.PENDING, ChatStatus.QUEUED)


@dataclass(slots=True)
class Drained:
    """What one pass did. `more`: there may be work left now; `held`: others hold some of it."""

    assigned: list[tuple[int, int]] = field(default_factory=list)
    more: bool = False
    held: bool = False


def route_chat(chat_id: int) -> Drained:
    """Send a chat on its way, and then serve the line that it stands in, in the line's order.

    The chat itself is assigned if it is its turn; else its last event says why it waits, and the
    customer is told their place. Does nothing for a chat that has moved on: a doubled or late ring
    is harmless.
    """
    chat = _lock_routable(chat_id)
    if chat is None:
        return Drained()
    before = chat.status
    wanted = arrive.receive(chat)
    drained = serve_after(chat, wanted)
    # A ring that found the chat waiting says nothing new about it.
    if chat.status == ChatStatus.QUEUED and before != ChatStatus.QUEUED:
        _note_why_it_waits(chat)
    return drained


def serve_after(chat: Chat, wanted: int | None = None) -> Drained:
    """A chat has just gone its way: serve the line if it joined one.

    `wanted` is the agent whom a rule names: they get it if they are a candidate, in the chat's turn
    and not before; in a campaign that assigns by hand too, for the rule has chosen.
    """
    db.session.flush()
    if chat.status != ChatStatus.QUEUED:
        return Drained()
    wishes = {chat.id: wanted} if wanted is not None else {}
    drained = _drain({chat.campaign_id}, limit=BATCH, wishes=wishes)
    if wishes and chat.status == ChatStatus.QUEUED:
        _give_by_rule(chat, wishes, drained)
    if chat.status == ChatStatus.QUEUED:
        campaign = db.session.get_one(Campaign, chat.campaign_id)
        if why_closed(campaign, database_now()) in (None, "manual"):
            say_place(chat, campaign, at=database_now())
    return drained


def drain_campaign(campaign_id: int, *, limit: int = BATCH) -> Drained:
    """Serve the lines of this campaign, and of those that share agents with it."""
    return _drain({campaign_id}, limit=limit)


def drain_agent(user_id: int, *, limit: int = BATCH) -> Drained:
    """This agent has room: serve the lines of all their campaigns."""
    campaign_ids = campaigns_of(user_id)
    return _drain(campaign_ids, limit=limit) if campaign_ids else Drained()


def find_servable(campaign_ids: Collection[int]) -> list[int]:
    """Those of the campaigns in which a pass would give somebody a chat now. Touches nothing."""
    floor = read_floor(campaign_ids, lock=False)
    return [campaign_id for campaign_id in floor.serving() if _would_give(floor, campaign_id)]


def _would_give(floor: Floor, campaign_id: int) -> bool:
    """One chat of each kind is asked about, of those alike the one that has waited longest: only
    skills, waits and lapses decide whether there is anybody for it."""
    alike = (Chat.queue_id, Chat.required_skills, Chat.lapses)
    kinds = db.session.scalars(
        select(Chat)
        .ext(distinct_on(*alike))
        .where(
            Chat.campaign_id == campaign_id,
            Chat.status == ChatStatus.QUEUED,
            Chat.deleted_at.is_(None),
        )
        .order_by(*alike, Chat.queued_at)
    ).all()
    waits = _read_waits(kinds)
    return any(_choose(floor, chat, waits, {}).agent is not None for chat in kinds)


def explain_chat(
    chat: Chat,
    *,
    everybody: bool = False,
    wishes: Mapping[int, int] | None = None,
    at: datetime | None = None,
) -> dict[str, Any]:
    """Who would get this chat now, or why nobody: a receipt, made without touching anything.

    `everybody`: all names instead of ten of each kind. `at`: another moment than now, as far as
    `read_floor` knows it. The chat need not be stored.
    """
    floor = read_floor({chat.campaign_id}, lock=False, at=at)
    names = max(RECEIPT_NAMES, floor.size) if everybody else RECEIPT_NAMES
    choice = _choose(
        floor, chat, _read_waits([chat]), _read_previous_agents(floor, [chat]), wishes, names=names
    )
    return choice.receipt(names=names, skills=chat.required_skills)


def _drain(
    campaign_ids: Collection[int], *, limit: int, wishes: Mapping[int, int] | None = None
) -> Drained:
    drained = Drained()
    if not _anybody_waits(campaign_ids):
        return drained
    floor = read_floor(campaigns_sharing_agents(campaign_ids), lock=True)
    if limit == BATCH:
        # A larger team's snapshot costs more: more chats share it.
        limit = max(limit, floor.size // AGENTS_TO_A_CHAT)
    tried: set[int] = set()
    turns: dict[tuple[int, int], datetime] = {}
    while len(drained.assigned) < limit and (serving := floor.serving()):
        chats = _lock_waiting(serving, tried, limit=limit - len(drained.assigned))
        if not chats:
            drained.held = _anybody_waits(serving, besides=tried)
            break
        tried.update(chat.id for chat in chats)
        _give_away(chats, floor, drained, turns, wishes or {})
    else:
        drained.more = len(drained.assigned) >= limit
    _remember_turns(turns)
    return drained


def _give_away(
    chats: list[Chat],
    floor: Floor,
    drained: Drained,
    turns: dict[tuple[int, int], datetime],
    wishes: Mapping[int, int],
) -> None:
    """One agent for each of these chats, in the given order, as far as there is room."""
    waits = _read_waits(chats)
    previous = _read_previous_agents(floor, chats)
    for chat in chats:
        choice = _choose(floor, chat, waits, previous, wishes)
        if choice.agent is None:
            continue
        # Turns of one pass lie a microsecond apart, so that the rotation has an order.
        at = floor.now + timedelta(microseconds=len(drained.assigned))
        give_locked_chat(
            chat,
            choice.agent.user_id,
            actor=SYSTEM,
            reason=choice.reason,
            at=at,
            data={"routing": choice.receipt(skills=chat.required_skills)},
        )
        floor.take_place(chat.campaign_id, choice.agent.user_id, at=at)
        turns[chat.campaign_id, choice.agent.user_id] = at
        drained.assigned.append((chat.id, choice.agent.user_id))


def _give_by_rule(chat: Chat, wishes: Mapping[int, int], drained: Drained) -> None:
    """In a campaign that assigns by hand: the rule's agent, if they are a candidate now."""
    floor = read_floor({chat.campaign_id}, lock=True)
    if floor.lines[chat.campaign_id].closed == "manual":
        _give_away([chat], floor, drained, {}, wishes)


def _choose(
    floor: Floor,
    chat: Chat,
    waits: Mapping[int, int],
    previous: Mapping[int, int],
    wishes: Mapping[int, int] | None = None,
    *,
    names: int = RECEIPT_NAMES,
) -> Choice:
    line = floor.lines[chat.campaign_id]
    campaign = line.campaign
    skills = frozenset(chat.required_skills or ())
    waited = 0.0
    if skills and chat.queued_at:
        waited = hours.business_seconds(
            campaign.business_hours, campaign.timezone, chat.queued_at, floor.now
        )
    snapshot = functools.partial(
        Snapshot,
        campaign.routing_strategy.value,
        required_skills=skills,
        waited_half=waited * 2 >= waits.get(chat.id, 0),
        previous_agent_id=previous.get(chat.client_id),
        wanted_agent_id=(wishes or {}).get(chat.id),
        lapsed_ids=_lapsed(chat, floor) if chat.lapses else frozenset(),
        names=names,
    )
    choice = floor.rosters[chat.campaign_id].choose(snapshot)
    if line.closed is None or (line.closed == "manual" and choice.reason == "rule_agent"):
        return choice
    return replace(choice, reason=line.closed, agent=None, candidates=(), candidate_count=0)


def _lapsed(chat: Chat, floor: Floor) -> frozenset[int]:
    """From whom it was taken back unanswered a short while ago."""
    since = floor.now - timedelta(minutes=floor.lapse_minutes)
    return frozenset(
        int(user_id)
        for user_id, at in (chat.lapses or {}).items()
        if datetime.fromisoformat(at) > since
    )


def _lock_routable(chat_id: int) -> Chat | None:
    """The client, then the chat: on its way the customer may be told something."""
    client_id = db.session.scalar(select(Chat.client_id).where(Chat.id == chat_id))
    if client_id is None:
        return None
    lock_client(client_id)
    return db.session.scalar(
        select(Chat)
        .where(Chat.id == chat_id, Chat.status.in_(ROUTABLE), Chat.deleted_at.is_(None))
        .with_for_update(key_share=True, of=Chat)
        .execution_options(populate_existing=True)
    )


def _anybody_waits(campaign_ids: Collection[int], *, besides: Collection[int] = ()) -> bool:
    found = db.session.scalar(
        select(Chat.id)
        .where(
            Chat.campaign_id.in_(campaign_ids),
            Chat.status == ChatStatus.QUEUED,
            Chat.deleted_at.is_(None),
            Chat.id.not_in(besides),
        )
        .limit(1)
    )
    return found is not None


def _lock_waiting(
    campaign_ids: Collection[int], tried: Collection[int], *, limit: int
) -> list[Chat]:
    """The head of the line over these campaigns, locked; what others hold is passed over."""
    line = in_order_of_the_line(
        select(Chat).where(
            Chat.campaign_id.in_(campaign_ids),
            Chat.status == ChatStatus.QUEUED,
            Chat.deleted_at.is_(None),
            Chat.id.not_in(tried),
        )
    )
    return list(
        db.session.scalars(
            line.limit(limit)
            .with_for_update(key_share=True, of=Chat, skip_locked=True)
            .execution_options(populate_existing=True)
        )
    )


def _read_waits(chats: Collection[Chat]) -> dict[int, int]:
    """chat -> the longest wait of its queue, else of its campaign, in seconds."""
    rows = db.session.execute(
        select(Chat.id, func.coalesce(Queue.max_wait_seconds, Campaign.max_wait_seconds))
        .join(Campaign, Campaign.id == Chat.campaign_id)
        .outerjoin(Queue, Queue.id == Chat.queue_id)
        .where(Chat.id.in_([chat.id for chat in chats if chat.required_skills]))
    )
    return {row[0]: row[1] for row in rows}


def _read_previous_agents(floor: Floor, chats: Collection[Chat]) -> dict[int, int]:
    """client -> the agent of their last chat; only for campaigns that ask for it."""
    clients = {
        chat.client_id
        for chat in chats
        if floor.lines[chat.campaign_id].campaign.routing_strategy == RoutingStrategy.LAST_AGENT
    }
    if not clients:
        return {}
    rows = db.session.execute(
        select(Chat.client_id, Chat.assigned_agent_id)
        .ext(distinct_on(Chat.client_id))
        .where(Chat.client_id.in_(clients), Chat.assigned_agent_id.is_not(None))
        .order_by(Chat.client_id, Chat.assigned_at.desc().nulls_last(), Chat.id.desc())
    )
    return {row.client_id: row.assigned_agent_id for row in rows if row.assigned_agent_id}


def _remember_turns(turns: dict[tuple[int, int], datetime]) -> None:
    """The rotation's memory, in one statement; only a pass that holds these agents writes it."""
    if not turns:
        return
    db.session.execute(
        text("""
            UPDATE campaign_agents AS link SET last_assigned_at = turn.at
              FROM unnest(CAST(:campaign_ids AS int[]), CAST(:user_ids AS int[]),
                          CAST(:moments AS timestamptz[])) AS turn(campaign_id, user_id, at)
             WHERE link.campaign_id = turn.campaign_id AND link.user_id = turn.user_id
        """),
        {
            "campaign_ids": [campaign_id for campaign_id, _ in turns],
            "user_ids": [user_id for _, user_id in turns],
            "moments": list(turns.values()),
        },
    )


def _note_why_it_waits(chat: Chat) -> None:
    """Keep the receipt of "nobody" with the event that queued the chat."""
    event = db.session.scalar(
        select(ChatEvent).where(ChatEvent.chat_id == chat.id).order_by(ChatEvent.id.desc()).limit(1)
    )
    if event is not None and event.to_status == ChatStatus.QUEUED:
        event.data = {**(event.data or {}), "routing": explain_chat(chat)}
