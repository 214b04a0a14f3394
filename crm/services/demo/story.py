"""The moves of the demo's chats, as the services would have written them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from crm.db import db
from crm.models import ActorKind, Chat, ChatEvent, ChatStatus, User
from crm.services.chats import terms_of
from crm.services.demo.house import House
from crm.services.demo.script import Line
from crm.services.demo.talks import Talk


def tell_story(talk: Talk, lines: list[Line], chat: Chat, house: House) -> None:
    """The chat's moves, as the services would have written them."""
    agent = house.people[talk.agent] if talk.agent else None
    first, last = lines[0].at, lines[-1].at
    answer = next((line.at for line in lines if line.who == "a"), None)
    status = ChatStatus(talk.status)
    path: list[tuple[str, ChatStatus, datetime, User | None, str]] = []
    if lines[0].who == "t":
        path.append(("opened", ChatStatus.PENDING, first, agent, "opened"))
    else:
        path.append(("opened", ChatStatus.NEW, first, None, "opened"))
        if talk.status == "bot":
            path.append(("bot", ChatStatus.BOT, first, None, "opened"))
        elif status is not ChatStatus.NEW:
            path.append(("queued", ChatStatus.QUEUED, first, None, "routed"))
    if agent and lines[0].who != "t":
        given = first + timedelta(seconds=20)
        path.append(("assigned", ChatStatus.ASSIGNED, given, None, "turn"))
    if agent and answer:
        path.append(("answered", ChatStatus.ACTIVE, answer, agent, "answered"))
    if status is ChatStatus.PENDING and lines[0].who != "t":
        path.append(("pending", status, last, agent, talk.pending or ""))
    if status is ChatStatus.TRANSFERRED:
        path.append(("offered", status, last, agent, ""))
    if status is ChatStatus.CLOSED:
        path.append(("closed", status, last + timedelta(minutes=2), agent, talk.close_reason or ""))
    if status is ChatStatus.ABANDONED:
        path.append(("abandoned", status, last + timedelta(minutes=2), None, "max_wait"))
    terms = terms_of(house.campaigns[talk.campaign])
    before: ChatStatus | None = None
    for kind, after, at, actor, reason in path:
        db.session.add(
            ChatEvent(
                chat_id=chat.id,
                kind=kind,
                from_status=before,
                to_status=after,
                actor_kind=actor_kind_of(kind, actor),
                actor_user_id=actor.id if actor else None,
                reason=reason,
                data={**parties_of(kind, chat), "terms": terms},
                created_at=at,
            )
        )
        before = after


def actor_kind_of(kind: str, actor: User | None) -> ActorKind:
    if actor is not None:
        return ActorKind.USER
    return ActorKind.CLIENT if kind == "opened" else ActorKind.SYSTEM


def parties_of(kind: str, chat: Chat) -> dict[str, Any]:
    if kind == "offered":
        return {"agent": chat.offered_agent_id, "agent_before": chat.assigned_agent_id}
    agent = chat.assigned_agent_id if kind not in ("opened", "queued", "bot") else None
    return {"agent": agent, "queue_id": chat.queue_id}
