"""Backups taken, checked and kept."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from crm.db import Model, Timestamp
from crm.models.columns import NOW, choice, one_of


class BackupType(StrEnum):
    FULL = "full"
    INCREMENTAL = "incremental"
    DATABASE = "database"
    FILES = "files"


class BackupStatus(StrEnum):
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"


class Backup(Model):
    """One backup. `checksum` is SHA-256; verified = restored elsewhere and counted."""

    __tablename__ = "backups"
    __table_args__ = (
        one_of("backup_type", BackupType),
        one_of("status", BackupStatus),
        Index("idx_backups_status", "status"),
        Index("idx_backups_backup_type", "backup_type"),
        Index("idx_backups_created_at", "started_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    filename: Mapped[str] = mapped_column(String(255))
    file_path: Mapped[str] = mapped_column(String(500))
    file_size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    backup_type: Mapped[BackupType] = mapped_column(choice(BackupType, 30))
    status: Mapped[BackupStatus] = mapped_column(
        choice(BackupStatus, 20), server_default="in_progress"
    )
    checksum: Mapped[str | None] = mapped_column(String(255))
    is_verified: Mapped[bool] = mapped_column(server_default=text("false"))
    verified_at: Mapped[datetime | None] = mapped_column(Timestamp)
    storage_location: Mapped[str | None] = mapped_column(String(100))
    expires_at: Mapped[datetime | None] = mapped_column(Timestamp)
    error_message: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    completed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
