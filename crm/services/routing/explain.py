"""What a person asks of routing: why nobody takes a chat, and what is offered to them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from crm.db import database_now, db
from crm.errors import NotFound
from crm.models import Campaign, Chat, ChatEvent, ChatStatus, Client, Queue, User
from crm.services import hours
from crm.services.inbox.naming import ClientName, full_name, name_client
from crm.services.routing.assign import explain_chat
from crm.services.routing.texts import estimate_wait, find_place
from crm.services.settings import read_setting


@dataclass(frozen=True)
class Answer:
    """Why a chat waits. `receipt` is that of a choice made now; `minutes` until its turn."""

    why: str
    receipt: dict[str, Any]
    place: int | None
    waiting: int
    queue: str | None
    minutes: int | None
    opens_at: datetime | None
    rule: str | None
    skills: tuple[str, ...]
    total: int
    more: bool


@dataclass(frozen=True)
class Offer:
    """A chat that waits for somebody's answer."""

    chat_id: int
    client: ClientName
    campaign: str
    sender: str
    reason: str | None
    note: str | None
    seconds: int
    seconds_left: int


def explain_wait(chat: Chat, *, everybody: bool = False) -> Answer:
    """Who would get it now, who not and why; made without touching anything."""
    campaign = db.session.get_one(Campaign, chat.campaign_id)
    receipt = explain_chat(chat, everybody=everybody)
    now = database_now()
    place = find_place(chat)
    waiting = db.session.scalar(
        select(func.count())
        .select_from(Chat)
        .where(
            Chat.campaign_id == chat.campaign_id,
            Chat.status == ChatStatus.QUEUED,
            Chat.deleted_at.is_(None),
        )
    )
    opens_at = None
    if receipt["why"] == "outside_hours":
        opens_at = hours.next_opening(campaign.business_hours, campaign.timezone, now)
    left_out = sum(receipt["left_out_counts"].values())
    total = receipt["candidate_count"] + left_out
    shown = len(receipt["candidates"]) + len(receipt["left_out"])
    return Answer(
        why=_why(chat, receipt),
        receipt=receipt,
        place=place,
        waiting=waiting or 0,
        queue=db.session.scalar(select(Queue.name).where(Queue.id == chat.queue_id)),
        minutes=round(estimate_wait(campaign, place, at=now) / 60) if place else None,
        opens_at=opens_at,
        rule=_last_rule(chat),
        skills=tuple(chat.required_skills or ()),
        total=total,
        more=total > shown,
    )


KINDS = ("candidates", "left_out")


@dataclass(frozen=True)
class Past:
    """A decision that was made. `receipt`: as it was kept, with those whom it only counts."""

    at: datetime
    receipt: dict[str, Any]


def explain_past(chat: Chat, event_id: int) -> Past:
    """One of the chat's decisions with everybody, of whom its receipt keeps ten and ten.

    Those ten stay as they were kept. The others' states and loads are read from the log, for the
    moment before it; who works there, skills, rights and limits nobody keeps, so they are today's.
    NotFound for an event without a choice.
    """
    event = db.session.scalar(
        select(ChatEvent).where(
            ChatEvent.id == event_id,
            ChatEvent.chat_id == chat.id,
            ChatEvent.data["routing"].has_key("strategy"),
        )
    )
    if event is None:
        raise NotFound
    kept = (event.data or {})["routing"]
    again = explain_chat(
        # A chat as it stood, never added to the session.
        Chat(
            campaign_id=chat.campaign_id,
            client_id=chat.client_id,
            required_skills=kept.get("skills"),
        ),
        everybody=True,
        # The decision itself is not part of what it was made on.
        at=event.created_at - timedelta(microseconds=1),
    )
    known = {agent["user_id"] for kind in KINDS for agent in kept.get(kind) or ()}
    whole = {
        kind: [
            *(kept.get(kind) or ()),
            *(agent for agent in again[kind] if agent["user_id"] not in known),
        ]
        for kind in KINDS
    }
    counts = Counter(agent["why"] for agent in whole["left_out"])
    return Past(
        event.created_at,
        {
            **kept,
            **whole,
            "candidate_count": len(whole["candidates"]),
            "left_out_counts": dict(counts),
        },
    )


def _why(chat: Chat, receipt: dict[str, Any]) -> str:
    """The reason of nobody; a chat that could be had now is on its way, or is somebody's."""
    if chat.status != ChatStatus.QUEUED:
        return "not_waiting"
    return receipt["why"] if receipt["chosen"] is None else "its_turn"


def _last_rule(chat: Chat) -> str | None:
    return db.session.scalar(
        select(ChatEvent.data["rule"]["rule"].astext)
        .where(ChatEvent.chat_id == chat.id, ChatEvent.data.has_key("rule"))
        .order_by(ChatEvent.id.desc())
        .limit(1)
    )


def list_offers(user_id: int, *, phones_visible: bool = True) -> list[Offer]:
    """What is offered to this person now, the oldest first; one query and the setting."""
    sender = aliased(User)
    offered = (
        select(ChatEvent.data)
        .where(ChatEvent.chat_id == Chat.id, ChatEvent.kind == "offered")
        .order_by(ChatEvent.id.desc())
        .limit(1)
        .correlate(Chat)
        .scalar_subquery()
    )
    rows = db.session.execute(
        select(Chat, Client, Campaign.name, sender, offered.label("data"), func.now().label("now"))
        .join(Client, Client.id == Chat.client_id)
        .join(Campaign, Campaign.id == Chat.campaign_id)
        .outerjoin(sender, sender.id == Chat.assigned_agent_id)
        .where(
            Chat.offered_agent_id == user_id,
            Chat.status == ChatStatus.TRANSFERRED,
            Chat.deleted_at.is_(None),
        )
        .order_by(Chat.offered_at)
    ).all()
    seconds = read_setting("routing.offer_seconds") if rows else 0
    return [
        Offer(
            chat_id=row.Chat.id,
            client=name_client(
                client_id=row.Client.id,
                first_name=row.Client.first_name,
                last_name=row.Client.last_name,
                phone_number=row.Client.phone_number,
                phones_visible=phones_visible,
            ),
            campaign=row.name,
            sender=_name_of(row[3]),
            reason=row.Chat.transfer_reason,
            note=(row.data or {}).get("note"),
            seconds=seconds,
            seconds_left=max(0, seconds - int((row.now - row.Chat.offered_at).total_seconds())),
        )
        for row in rows
    ]


def _name_of(user: User | None) -> str:
    return (full_name(user.first_name, user.last_name) if user else None) or ""
