"""Bot flows as drafts, their nodes, and the sessions in which they talk."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from crm.db import Model, Timestamp
from crm.models.columns import NOW, JsonB, choice, one_of


class NodeType(StrEnum):
    MESSAGE = "message"
    MENU = "menu"
    INPUT = "input"
    CONDITION = "condition"
    VARIABLE = "variable"
    API_CALL = "api_call"
    TRANSFER_AGENT = "transfer_agent"
    CLOSE = "close"
    DELAY = "delay"
    GO_TO = "go_to"


class BotSessionStatus(StrEnum):
    ACTIVE = "active"
    WAITING_INPUT = "waiting_input"
    COMPLETED = "completed"
    TRANSFERRED = "transferred"
    TIMEOUT = "timeout"
    ERROR = "error"


class BotFlow(Model):
    """A flow. Draft in `bot_nodes` until published. `start_node_id` holds a node_key."""

    __tablename__ = "bot_flows"
    __table_args__ = (
        Index("idx_bot_flows_is_published", "is_published"),
        Index("idx_bot_flows_is_active", "is_active"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(150))
    description: Mapped[str | None] = mapped_column(Text)
    start_node_id: Mapped[str | None] = mapped_column(String(50))
    variables: Mapped[dict[str, Any] | None] = mapped_column(JsonB)
    timeout_seconds: Mapped[int] = mapped_column(server_default=text("300"))
    max_invalid_attempts: Mapped[int] = mapped_column(server_default=text("3"))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    is_published: Mapped[bool] = mapped_column(server_default=text("false"))
    published_at: Mapped[datetime | None] = mapped_column(Timestamp)
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    total_sessions: Mapped[int] = mapped_column(server_default=text("0"))
    total_completions: Mapped[int] = mapped_column(server_default=text("0"))
    avg_completion_time_seconds: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    deleted_at: Mapped[datetime | None] = mapped_column(Timestamp)


class BotNode(Model):
    """A node of the draft. `next_node_key` is the exit when the config gives none."""

    __tablename__ = "bot_nodes"
    __table_args__ = (
        one_of("node_type", NodeType),
        UniqueConstraint("flow_id", "node_key", name="uq_bot_nodes_flow_id_node_key"),
        Index("idx_bot_nodes_flow_id", "flow_id"),
        Index("idx_bot_nodes_node_key", "node_key"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    flow_id: Mapped[int] = mapped_column(ForeignKey("bot_flows.id", ondelete="CASCADE"))
    node_key: Mapped[str] = mapped_column(String(50))
    node_type: Mapped[NodeType] = mapped_column(choice(NodeType, 30))
    config: Mapped[dict[str, Any]] = mapped_column(JsonB)
    next_node_key: Mapped[str | None] = mapped_column(String(50))
    position_x: Mapped[int | None]
    position_y: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)


class BotSession(Model):
    """The one bot run of a chat; the row is used again when a bot comes back."""

    __tablename__ = "bot_sessions"
    __table_args__ = (
        one_of("status", BotSessionStatus),
        Index("idx_bot_sessions_chat_id", "chat_id", unique=True),
        Index("idx_bot_sessions_flow_id", "flow_id"),
        Index("idx_bot_sessions_status", "status"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    chat_id: Mapped[int] = mapped_column(ForeignKey("chats.id", ondelete="CASCADE"))
    flow_id: Mapped[int] = mapped_column(ForeignKey("bot_flows.id", ondelete="RESTRICT"))
    client_id: Mapped[int] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"))
    current_node_key: Mapped[str | None] = mapped_column(String(50))
    status: Mapped[BotSessionStatus] = mapped_column(
        choice(BotSessionStatus, 20), server_default="active"
    )
    variables: Mapped[dict[str, Any]] = mapped_column(JsonB, server_default=text("'{}'::jsonb"))
    started_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    completed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    last_interaction_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    steps_count: Mapped[int] = mapped_column(server_default=text("0"))
    invalid_attempts: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)
