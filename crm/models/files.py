"""Files that we keep: media of messages, documents, avatars."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from crm.db import Model, Timestamp
from crm.models.columns import NOW, choice, one_of


class StorageType(StrEnum):
    LOCAL = "local"
    S3 = "s3"
    CDN = "cdn"


class File(Model):
    """Bytes that we hold. Served only after a permission check, unless `is_public`."""

    __tablename__ = "files"
    __table_args__ = (
        one_of("storage_type", StorageType),
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
    width: Mapped[int | None]
    height: Mapped[int | None]
    duration_seconds: Mapped[int | None]
    uploaded_by_user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    related_entity_type: Mapped[str | None] = mapped_column(String(50))
    related_entity_id: Mapped[int | None]
    is_public: Mapped[bool] = mapped_column(server_default=text("false"))
    access_count: Mapped[int] = mapped_column(server_default=text("0"))
    last_accessed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    deleted_at: Mapped[datetime | None] = mapped_column(Timestamp)
