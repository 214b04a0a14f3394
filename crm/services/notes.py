"""Internal notes of a chat, and the colleagues that they mention."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, update

from crm.db import database_now, db
from crm.errors import Conflict, Invalid, NotFound
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
EDIT_FOR = timedelta(minutes=15)
MOST_MENTIONABLE = 200
MOST_SHOWN = 5


class NotTheirs(Conflict):
    code = "not_theirs"
    message = "This is somebody else's note. Write one of your own."


class AlreadyDeleted(Conflict):
    code = "already_deleted"
    message = "This note was deleted."


class TooOld(Conflict):
    code = "too_old"
    message = "A note can be edited for 15 minutes. Write another one."


@dataclass(frozen=True)
class Mention:
    """A note that names somebody who has not seen it yet."""

    chat_id: int
    note_id: int
    author_name: str
    text: str


def add_note(chat: Chat, text: str, *, author: User, client_key: UUID | None = None) -> ChatNote:
    """Keep a note; `@Name` of a colleague who can see the chat tells them.

    The same `client_key` again is the same note. Invalid for an empty or too long one.
    """
    text = _checked(text)
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
    _mention(chat, note)
    return note


def load_note(chat: Chat, note_id: int) -> ChatNote:
    """A note of this chat, deleted ones too; NotFound otherwise."""
    note = db.session.scalar(
        select(ChatNote)
        .where(ChatNote.id == note_id, ChatNote.chat_id == chat.id)
        .with_for_update(key_share=True, of=ChatNote)
        .execution_options(populate_existing=True)
    )
    if note is None:
        raise NotFound
    return note


def edit_note(chat: Chat, note_id: int, text: str, *, author: User) -> ChatNote:
    """New words for one's own note, for 15 minutes; who is newly named in them is told.

    Raises NotFound, AlreadyDeleted, NotTheirs, TooOld, Invalid as `add_note`.
    """
    text = _checked(text)
    chat = lock_chat(chat.id)
    note = load_note(chat, note_id)
    check_editable(note, author=author)
    if note.content == text:
        return note
    note.content, note.edited_at = text, database_now()
    db.session.flush()
    publish_on_commit(NoteAdded(chat.id, note.id), audience_of(chat))
    _mention(chat, note)
    return note


def check_editable(note: ChatNote, *, author: User) -> None:
    if note.deleted_at is not None:
        raise AlreadyDeleted
    if note.user_id != author.id:
        raise NotTheirs
    if database_now() - note.created_at > EDIT_FOR:
        raise TooOld


def delete_note(chat: Chat, note_id: int, *, by: User, may_all: bool = False) -> ChatNote:
    """Take a note away; a line without its words stays. Somebody else's only with `may_all`.

    Raises NotFound, AlreadyDeleted, NotTheirs.
    """
    chat = lock_chat(chat.id)
    note = load_note(chat, note_id)
    check_deletable(note, by=by, may_all=may_all)
    note.deleted_at = database_now()
    # Nobody is to be called to a note that is gone.
    gone = delete(NoteMention).where(NoteMention.note_id == note.id).returning(NoteMention.user_id)
    if named := tuple(sorted(db.session.scalars(gone))):
        publish_on_commit(Mentioned(chat.id, note.id), Audience(user_ids=named))
    db.session.flush()
    publish_on_commit(NoteAdded(chat.id, note.id), audience_of(chat))
    return note


def check_deletable(note: ChatNote, *, by: User, may_all: bool) -> None:
    if note.deleted_at is not None:
        raise AlreadyDeleted
    if note.user_id != by.id and not may_all:
        raise NotTheirs


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


def find_unseen_mentions(user_id: int) -> tuple[int, list[Mention]]:
    """How many notes name this person and are not seen yet, and the newest five of them."""
    mine = (
        select(ChatNote, User, func.count().over().label("all"))
        .join(NoteMention, NoteMention.note_id == ChatNote.id)
        .join(User, User.id == ChatNote.user_id)
        .where(
            NoteMention.user_id == user_id,
            NoteMention.seen_at.is_(None),
            ChatNote.deleted_at.is_(None),
        )
        .order_by(ChatNote.id.desc())
        .limit(MOST_SHOWN)
    )
    rows = db.session.execute(mine).all()
    found = [
        Mention(row.ChatNote.chat_id, row.ChatNote.id, row.User.full_name, row.ChatNote.content)
        for row in rows
    ]
    return (rows[0].all if rows else 0), found


def see_mentions(chat: Chat, *, user_id: int) -> None:
    """The mentioned person has the chat before their eyes; all their pages learn it."""
    seen = db.session.scalars(
        update(NoteMention)
        .where(
            NoteMention.user_id == user_id,
            NoteMention.seen_at.is_(None),
            NoteMention.note_id.in_(select(ChatNote.id).where(ChatNote.chat_id == chat.id)),
        )
        .values(seen_at=database_now())
        .returning(NoteMention.note_id)
        .execution_options(synchronize_session=False)
    ).all()
    if seen:
        publish_on_commit(Mentioned(chat.id, max(seen)), Audience(user_ids=(user_id,)))


def _checked(text: str) -> str:
    text = clean(text).replace("\r\n", "\n").strip()
    if not text:
        raise Invalid("Write something first.")
    if len(text) > LONGEST_NOTE:
        raise Invalid("A note has at most %(limit)s characters.", limit=LONGEST_NOTE)
    return text


def _mention(chat: Chat, note: ChatNote) -> None:
    """Keep whom the note names now, and tell those whom it did not name before."""
    named = set(_find_mentioned(chat, note.content, but=note.user_id))
    before = set(
        db.session.scalars(select(NoteMention.user_id).where(NoteMention.note_id == note.id))
    )
    gone = before - named
    if gone:
        db.session.execute(
            delete(NoteMention).where(
                NoteMention.note_id == note.id, NoteMention.user_id.in_(sorted(gone))
            )
        )
    for user_id in sorted(named - before):
        db.session.add(NoteMention(note_id=note.id, user_id=user_id))
    if told := tuple(sorted((named - before) | gone)):
        publish_on_commit(Mentioned(chat.id, note.id), Audience(user_ids=told))
    db.session.flush()


def _find_mentioned(chat: Chat, text: str, *, but: int) -> list[int]:
    if "@" not in text:
        return []
    folded = fold(text)
    return [
        person["id"]
        for person in find_mentionable(chat, but=but)
        if f"@{fold(person['name'])}" in folded
    ]
