"""Tasks and reminders."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from crm.db import Model, Timestamp
from crm.models.columns import NOW, choice, one_of


class TaskPriority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class TaskStatus(StrEnum):
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    OVERDUE = "overdue"


class Task(Model):
    """Something to do for a person here, often about a client."""

    __tablename__ = "tasks"
    __table_args__ = (
        one_of("priority", TaskPriority),
        one_of("status", TaskStatus),
        Index("idx_tasks_client_id", "client_id"),
        Index("idx_tasks_chat_id", "chat_id"),
        Index("idx_tasks_assigned_to_user_id", "assigned_to_user_id"),
        Index("idx_tasks_status", "status"),
        Index("idx_tasks_due_date", "due_date"),
        Index("idx_tasks_priority", "priority"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int | None] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"))
    chat_id: Mapped[int | None] = mapped_column(ForeignKey("chats.id", ondelete="CASCADE"))
    assigned_to_user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_by_user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
    due_date: Mapped[datetime | None] = mapped_column(Timestamp)
    reminder_date: Mapped[datetime | None] = mapped_column(Timestamp)
    priority: Mapped[TaskPriority] = mapped_column(
        choice(TaskPriority, 20), server_default="normal"
    )
    status: Mapped[TaskStatus] = mapped_column(choice(TaskStatus, 20), server_default="pending")
    is_recurring: Mapped[bool] = mapped_column(server_default=text("false"))
    recurrence_pattern: Mapped[str | None] = mapped_column(String(50))
    recurrence_end_date: Mapped[datetime | None] = mapped_column(Timestamp)
    completion_notes: Mapped[str | None] = mapped_column(Text)
    completed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)
    deleted_at: Mapped[datetime | None] = mapped_column(Timestamp)


class TaskComment(Model):
    """A remark under a task. The author may edit it for 15 minutes."""

    __tablename__ = "task_comments"
    __table_args__ = (Index("idx_task_comments_task_id", "task_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    content: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)
    deleted_at: Mapped[datetime | None] = mapped_column(Timestamp)
