"""Notes of the people who work here; the customer never sees them."""

from __future__ import annotations

from crm.db import db
from crm.models import Chat, ChatNote
from crm.services.chats.moves import publish_chat, touch_chat


def add_note(chat: Chat, user_id: int, text: str) -> ChatNote:
    """Write an internal note into a chat that the caller has locked."""
    note = ChatNote(chat_id=chat.id, user_id=user_id, content=text)
    db.session.add(note)
    touch_chat(chat)
    publish_chat(chat)
    db.session.flush()
    return note
