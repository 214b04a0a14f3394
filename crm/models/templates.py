"""Meta's approved message templates, one row per number, name and language."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from crm.db import Model, Timestamp
from crm.models.columns import NOW, JsonB, choice, one_of


class TemplateStatus(StrEnum):
    """Meta's words in lower case."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    DISABLED = "disabled"
    PAUSED = "paused"
    IN_APPEAL = "in_appeal"
    LOCKED = "locked"
    ARCHIVED = "archived"
    PENDING_DELETION = "pending_deletion"
    DELETED = "deleted"
    LIMIT_EXCEEDED = "limit_exceeded"


class HeaderType(StrEnum):
    TEXT = "TEXT"
    IMAGE = "IMAGE"
    VIDEO = "VIDEO"
    DOCUMENT = "DOCUMENT"
    LOCATION = "LOCATION"


class ParameterFormat(StrEnum):
    """{{1}}, {{2}} or {{first_name}}."""

    POSITIONAL = "POSITIONAL"
    NAMED = "NAMED"


class Template(Model):
    """Only an approved one may be sent, and it is the only thing that leaves a closed window."""

    __tablename__ = "templates"
    __table_args__ = (
        one_of("status", TemplateStatus),
        one_of("header_type", HeaderType),
        one_of("parameter_format", ParameterFormat),
        UniqueConstraint(
            "whatsapp_number_id",
            "template_name",
            "language",
            name="uq_templates_whatsapp_number_id_template_name_language",
        ),
        Index("idx_templates_whatsapp_number_id", "whatsapp_number_id"),
        Index("idx_templates_template_name", "template_name"),
        Index("idx_templates_status", "status"),
        # News of Meta's name a template by its id.
        Index("idx_templates_template_id", "template_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    whatsapp_number_id: Mapped[int] = mapped_column(
        ForeignKey("whatsapp_numbers.id", ondelete="CASCADE")
    )
    template_name: Mapped[str] = mapped_column(String(255))
    template_id: Mapped[str | None] = mapped_column(String(255))
    language: Mapped[str] = mapped_column(String(10))
    category: Mapped[str | None] = mapped_column(String(50))
    header_type: Mapped[HeaderType | None] = mapped_column(choice(HeaderType, 20))
    header_content: Mapped[str | None] = mapped_column(Text)
    body_content: Mapped[str] = mapped_column(Text)
    footer_content: Mapped[str | None] = mapped_column(Text)
    # Meta's own objects: {type, text, url?, phone_number?}.
    buttons: Mapped[list[Any] | None] = mapped_column(JsonB)
    # What the body's variables are called, in their order: labels, or the names of named ones.
    variables: Mapped[list[Any] | None] = mapped_column(JsonB)
    parameter_format: Mapped[ParameterFormat] = mapped_column(
        choice(ParameterFormat, 20), server_default="POSITIONAL"
    )
    # Of one-time codes, whose text Meta writes: {security: bool, minutes: int or None}.
    code_parts: Mapped[dict[str, Any] | None] = mapped_column(JsonB)
    # {header: text or media handle, body: [one per variable], buttons: {"0": ...}}
    examples: Mapped[dict[str, Any] | None] = mapped_column(JsonB)
    status: Mapped[TemplateStatus] = mapped_column(
        choice(TemplateStatus, 30), server_default="pending"
    )
    # Meta's word for a rejection (INVALID_FORMAT, ...), and what it said beside the status.
    rejected_reason: Mapped[str | None] = mapped_column(Text)
    status_detail: Mapped[str | None] = mapped_column(Text)
    quality_score: Mapped[str | None] = mapped_column(String(20))
    # Meta has announced that the category will change to this one.
    next_category: Mapped[str | None] = mapped_column(String(50))
    synced_at: Mapped[datetime | None] = mapped_column(Timestamp)
    # Ours, not Meta's: off = not offered to agents any more.
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    usage_count: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
