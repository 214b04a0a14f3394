"""Internal notes of a chat, and the colleagues that they mention."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from crm.db import database_now, db
from crm.errors import Invalid
from crm.events import Audience, Mentioned, NoteAdded, publish_on_commit
from crm.lib.text import clean, fold
from crm.models import (
    CampaignAgent,
    Chat,
    ChatNote,
    NoteMention,
    Role,
    User,
    UserStatus,
)
from crm.permissions import SUPER_ADMIN
from crm.services.chats import lock_chat
from crm.services.messages.announcing import audience_of

LONGEST_NOTE = 4000
MOST_MENTIONABLE = 200


def add_note(chat: Chat, text: str, *, author: User, client_key: UUID | None = None) -> ChatNote:
    """Keep a note; `@Name` of a colleague who can see the chat tells them.

    The same `client_key` again is the same note. Invalid for an empty or too long one.
    """
    text = clean(text).replace("\r\n", "\n").strip()
    if not text:
        raise Invalid("Write something first.")
    if len(text) > LONGEST_NOTE:
        raise Invalid("A note has at most %(limit)s characters.", limit=LONGEST_NOTE)
    chat = lock_chat(chat.id)
    existing = db.session.scalar(select(ChatNote).where(ChatNote.client_key == client_key))
    if client_key is not None and existing is not None:
        return existing
    note = ChatNote(
        chat_id=chat.id,
        user_id=author.id,
        content=text,
        client_key=client_key,
        created_at=database_now(),
    )
    db.session.add(note)
    db.session.flush()
    publish_on_commit(NoteAdded(chat.id, note.id), audience_of(chat))
    mentioned = _find_mentioned(chat, text, but=author.id)
    for user_id in mentioned:
        db.session.add(NoteMention(note_id=note.id, user_id=user_id))
    if mentioned:
        publish_on_commit(Mentioned(chat.id, note.id), Audience(user_ids=tuple(mentioned)))
    db.session.flush()
    return note


def find_mentionable(chat: Chat, *, but: int) -> list[dict[str, Any]]:
    """Colleagues of the chat's campaign, and who sees everything: {id, name}."""
    in_campaign = select(CampaignAgent.user_id).where(
        CampaignAgent.campaign_id == chat.campaign_id, CampaignAgent.is_active.is_(True)
    )
    rows = db.session.scalars(
        select(User)
        .join(Role, Role.id == User.role_id)
        .where(
            User.status == UserStatus.ACTIVE,
            User.deleted_at.is_(None),
            User.is_system.is_(False),
            User.id != but,
            User.id.in_(in_campaign) | (Role.name == SUPER_ADMIN),
        )
        .order_by(User.first_name, User.last_name, User.id)
        .limit(MOST_MENTIONABLE)
    )
    return [{"id": user.id, "name": user.full_name} for user in rows]


def see_mentions(chat: Chat, *, user_id: int) -> None:
    """The mentioned person has the chat before their eyes."""
    db.session.execute(
        update(NoteMention)
        .where(
            NoteMention.user_id == user_id,
            NoteMention.seen_at.is_(None),
            NoteMention.note_id.in_(select(ChatNote.id).where(ChatNote.chat_id == chat.id)),
        )
        .values(seen_at=database_now())
        .execution_options(synchronize_session=False)
    )


def _find_mentioned(chat: Chat, text: str, *, but: int) -> list[int]:
    if "@" not in text:
        return []
    folded = fold(text)
    return [
        person["id"]
        for person in find_mentionable(chat, but=but)
        if f"@{fold(person['name'])}" in folded
    ]
