"""What happened in a chat beside its messages: notes and moves, at their time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import String, cast, func, null, select, union_all
from sqlalchemy.orm import aliased

from crm.db import db
from crm.models import ChatNote, User
from crm.models.chats import ActorKind, ChatEvent
from crm.services.inbox.naming import full_name


@dataclass(frozen=True)
class NoteBubble:
    """An internal note; never sent."""

    id: int
    author_id: int
    author_name: str
    text: str
    at: datetime
    is_edited: bool = False
    is_deleted: bool = False


@dataclass(frozen=True)
class EventLine:
    """A move of the chat: opened, assigned, closed, ..."""

    id: int
    kind: str
    actor_kind: ActorKind
    actor_name: str | None
    agent_name: str | None
    reason: str | None
    data: dict[str, Any]
    at: datetime


# What the reader of a thread wants to see; the panel's story shows the rest.
SHOWN_EVENTS = (
    "queued",
    "assigned",
    "offered",
    "put_back",
    "returned",
    "pending",
    "resumed",
    "overdue",
    "bot_started",
    "closed",
    "reopened",
    "abandoned",
)


def read_timeline(
    chat_id: int, *, since: datetime | None, until: datetime | None
) -> list[NoteBubble | EventLine]:
    """The notes and events of a stretch of time, in one query."""
    actor, subject = aliased(User), aliased(User)
    names = (
        actor.first_name.label("actor_first"),
        actor.last_name.label("actor_last"),
    )
    notes = (
        select(
            cast(null(), String).label("kind"),
            ChatNote.id,
            ChatNote.created_at.label("at"),
            ChatNote.content.label("words"),
            *names,
            *(null().label(name) for name in ("agent_first", "agent_last", "actor_kind", "data")),
            ChatNote.user_id.label("author_id"),
            ChatNote.edited_at,
            ChatNote.deleted_at,
        )
        .join(actor, actor.id == ChatNote.user_id)
        .where(ChatNote.chat_id == chat_id)
    )
    events = (
        select(
            ChatEvent.kind,
            ChatEvent.id,
            ChatEvent.created_at,
            ChatEvent.reason,
            *names,
            subject.first_name,
            subject.last_name,
            ChatEvent.actor_kind,
            ChatEvent.data,
            null(),
            null(),
            null(),
        )
        .outerjoin(actor, actor.id == ChatEvent.actor_user_id)
        .outerjoin(
            subject,
            subject.id
            == func.coalesce(
                ChatEvent.data["offered"].as_integer(), ChatEvent.data["agent"].as_integer()
            ),
        )
        .where(ChatEvent.chat_id == chat_id, ChatEvent.kind.in_(SHOWN_EVENTS))
    )
    both = union_all(notes, events).subquery()
    query = select(both).order_by(both.c.at, both.c.id)
    if since:
        query = query.where(both.c.at >= since)
    if until:
        query = query.where(both.c.at < until)
    return [_note_or_event(record) for record in db.session.execute(query)]


def _note_or_event(record: Any) -> NoteBubble | EventLine:
    actor = full_name(record.actor_first, record.actor_last)
    if record.kind is None:
        return NoteBubble(
            id=record.id,
            author_id=record.author_id,
            author_name=actor or "",
            text=record.words if record.deleted_at is None else "",
            at=record.at,
            is_edited=record.edited_at is not None,
            is_deleted=record.deleted_at is not None,
        )
    return EventLine(
        id=record.id,
        kind=record.kind,
        actor_kind=record.actor_kind,
        actor_name=actor,
        agent_name=full_name(record.agent_first, record.agent_last),
        reason=record.words,
        data=record.data or {},
        at=record.at,
    )


def find_note(note_id: int) -> NoteBubble | None:
    """One note, without asking who looks: the caller has chosen the audience."""
    return find_notes([note_id]).get(note_id)


def find_notes(note_ids: Collection[int]) -> dict[int, NoteBubble]:
    """The same for many, in one query."""
    rows = db.session.execute(
        select(ChatNote, User.first_name, User.last_name)
        .join(User, User.id == ChatNote.user_id)
        .where(ChatNote.id.in_(note_ids))
    )
    return {
        note.id: NoteBubble(
            id=note.id,
            author_id=note.user_id,
            author_name=full_name(first, last) or "",
            text=note.content if note.deleted_at is None else "",
            at=note.created_at,
            is_edited=note.edited_at is not None,
            is_deleted=note.deleted_at is not None,
        )
        for note, first, last in rows
    }
