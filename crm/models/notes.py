"""Internal notes in a chat, and the colleagues whom they name."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from crm.db import Model, Timestamp
from crm.models.columns import NOW

if TYPE_CHECKING:
    from crm.models.users import User


class ChatNote(Model):
    """An internal note: never sent. The author may edit it for 15 minutes."""

    __tablename__ = "chat_notes"
    __table_args__ = (
        UniqueConstraint("client_key", name="uq_chat_notes_client_key"),
        Index("idx_chat_notes_chat_id", "chat_id"),
        Index("idx_chat_notes_user_id", "user_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    chat_id: Mapped[int] = mapped_column(ForeignKey("chats.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    content: Mapped[str] = mapped_column(Text)
    # From the composer: a double Enter is one note.
    client_key: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)
    edited_at: Mapped[datetime | None] = mapped_column(Timestamp)
    # A line stays in the thread, its words do not.
    deleted_at: Mapped[datetime | None] = mapped_column(Timestamp)

    user: Mapped[User] = relationship()


class NoteMention(Model):
    """A colleague whom a note names; `seen_at` once they have opened the chat."""

    __tablename__ = "note_mentions"
    __table_args__ = (
        Index("idx_note_mentions_unseen", "user_id", postgresql_where=text("seen_at IS NULL")),
    )

    note_id: Mapped[int] = mapped_column(
        ForeignKey("chat_notes.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    seen_at: Mapped[datetime | None] = mapped_column(Timestamp)
