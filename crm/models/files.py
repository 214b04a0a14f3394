"""Files that we keep: media of messages, documents, avatars; how they came and where they went."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from crm.db import Model, Timestamp
from crm.models.columns import NOW, JsonB, choice, one_of


class StorageType(StrEnum):
    LOCAL = "local"
    S3 = "s3"
    CDN = "cdn"


class FetchStatus(StrEnum):
    """Where the bytes of a message that came in stand. A person's *Fetch again* revives it."""

    PENDING = "pending"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"


class File(Model):
    """Bytes that we hold. Served only after a permission check, unless `is_public`.

    `filename` is ours, random and unguessable; `original_filename` is what people see. `purpose`
    says what it is for (services/files/purposes.py). `meta`: kind, peaks (0-100, of a sound),
    voice, animated, pages (of a PDF).
    """

    __tablename__ = "files"
    __table_args__ = (
        one_of("storage_type", StorageType),
        Index("uq_files_filename", "filename", unique=True),
        Index("idx_files_uploaded_by_user_id", "uploaded_by_user_id"),
        Index("idx_files_related_entity", "related_entity_type", "related_entity_id"),
        Index("idx_files_created_at", "created_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    filename: Mapped[str] = mapped_column(String(255))
    original_filename: Mapped[str] = mapped_column(String(255))
    mime_type: Mapped[str] = mapped_column(String(100))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    storage_type: Mapped[StorageType] = mapped_column(
        choice(StorageType, 20), server_default="local"
    )
    file_path: Mapped[str] = mapped_column(String(500))
    thumbnail_path: Mapped[str | None] = mapped_column(String(500))
    # A copy for browsers that cannot play the original (ogg/opus, amr).
    playable_path: Mapped[str | None] = mapped_column(String(500))
    sha256: Mapped[str | None] = mapped_column(String(64))
    width: Mapped[int | None]
    height: Mapped[int | None]
    duration_seconds: Mapped[int | None]
    meta: Mapped[dict[str, Any] | None] = mapped_column("metadata", JsonB)
    purpose: Mapped[str] = mapped_column(String(20), server_default="message")
    uploaded_by_user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    related_entity_type: Mapped[str | None] = mapped_column(String(50))
    related_entity_id: Mapped[int | None]
    is_public: Mapped[bool] = mapped_column(server_default=text("false"))
    access_count: Mapped[int] = mapped_column(server_default=text("0"))
    last_accessed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    deleted_at: Mapped[datetime | None] = mapped_column(Timestamp)

    @property
    def url(self) -> str:
        """Our own address; a public file's is the unguessable one."""
        return f"/files/public/{self.filename}" if self.is_public else f"/files/{self.id}"


class MediaFetch(Model):
    """The bytes of one inbound message, still to be fetched. `attempts` and `owner` are the fence.

    `error_code` is a key of services/media/faults.py.
    """

    __tablename__ = "media_fetches"
    __table_args__ = (
        one_of("status", FetchStatus),
        Index("idx_media_fetches_due", "scheduled_at", postgresql_where=text("status = 'pending'")),
        Index(
            "idx_media_fetches_leases",
            "lease_until",
            postgresql_where=text("status = 'processing'"),
        ),
    )

    message_id: Mapped[int] = mapped_column(
        BigInteger,
        ForeignKey("messages.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )
    whatsapp_number_id: Mapped[int] = mapped_column(
        ForeignKey("whatsapp_numbers.id", ondelete="RESTRICT")
    )
    status: Mapped[FetchStatus] = mapped_column(choice(FetchStatus, 20), server_default="pending")
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    scheduled_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    lease_until: Mapped[datetime | None] = mapped_column(Timestamp)
    owner: Mapped[UUID | None]
    error_code: Mapped[str | None] = mapped_column(String(50))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)


class MediaUpload(Model):
    """A file's id at the provider of one number, good until `expires_at`."""

    __tablename__ = "media_uploads"

    file_id: Mapped[int] = mapped_column(
        ForeignKey("files.id", ondelete="CASCADE"), primary_key=True
    )
    whatsapp_number_id: Mapped[int] = mapped_column(
        ForeignKey("whatsapp_numbers.id", ondelete="CASCADE"), primary_key=True
    )
    media_id: Mapped[str] = mapped_column(String(255))
    expires_at: Mapped[datetime] = mapped_column(Timestamp)
