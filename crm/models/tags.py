"""Tags: their catalogue, and which chat bears which (a client's are beside the client)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from crm.db import Model, Timestamp
from crm.models.columns import NOW


class Tag(Model):
    """The catalogue behind client and chat tags. `name` is folded and is what those rows hold."""

    __tablename__ = "tags"
    __table_args__ = (UniqueConstraint("name", name="uq_tags_name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    # As the author wrote it: accents and capitals.
    label: Mapped[str] = mapped_column(String(50))
    colour: Mapped[str] = mapped_column(String(20), server_default="grey")
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


class ChatTag(Model):
    """A tag of a chat, folded. `created_by` NULL = a bot or a rule."""

    __tablename__ = "chat_tags"
    __table_args__ = (
        UniqueConstraint("chat_id", "tag", name="uq_chat_tags_chat_id_tag"),
        Index("idx_chat_tags_chat_id", "chat_id"),
        Index("idx_chat_tags_tag", "tag"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    chat_id: Mapped[int] = mapped_column(ForeignKey("chats.id", ondelete="CASCADE"))
    tag: Mapped[str] = mapped_column(String(50))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
