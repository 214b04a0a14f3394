"""Texts that agents insert by a shortcut."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from crm.db import Model, Timestamp
from crm.models.columns import NOW


class QuickReply(Model):
    """Personal (user) beats campaign beats global (neither) for one shortcut."""

    __tablename__ = "quick_replies"
    __table_args__ = (
        Index("idx_quick_replies_user_id", "user_id"),
        Index("idx_quick_replies_campaign_id", "campaign_id"),
        Index("idx_quick_replies_shortcut", "shortcut"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    shortcut: Mapped[str] = mapped_column(String(50))
    title: Mapped[str] = mapped_column(String(150))
    content: Mapped[str] = mapped_column(Text)
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    usage_count: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
