"""People who work here, what they may do, their sessions and their availability."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from flask_login import UserMixin
from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from crm.db import Model, Timestamp
from crm.models.columns import NOW, choice, one_of

if TYPE_CHECKING:
    from crm.models.campaigns import CampaignAgent


class UserStatus(StrEnum):
    """Inactive = left or on leave; suspended = locked by an admin with a reason."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    SUSPENDED = "suspended"


class AgentStatus(StrEnum):
    """Disponible, Ocupado, En pausa, Desconectado."""

    AVAILABLE = "available"
    BUSY = "busy"
    PAUSED = "paused"
    OFFLINE = "offline"


class PermissionType(StrEnum):
    """A denial (`revoke`) wins over every grant."""

    GRANT = "grant"
    REVOKE = "revoke"


class User(UserMixin, Model):
    """A person with an account. Never hard-deleted: `deleted_at`, and the e-mail is rewritten."""

    __tablename__ = "users"
    __table_args__ = (
        one_of("status", UserStatus),
        one_of("agent_status", AgentStatus),
        Index("idx_users_email", "email", unique=True),
        Index("idx_users_role_id", "role_id"),
        Index("idx_users_status", "status"),
        Index("idx_users_agent_status", "agent_status"),
        Index("idx_users_deleted_at", "deleted_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(255))
    password_hash: Mapped[str] = mapped_column(String(255))
    two_factor_secret: Mapped[str | None] = mapped_column(String(255))
    two_factor_enabled: Mapped[bool] = mapped_column(server_default=text("false"))
    # The last 30-second step whose code was taken: a code counts once.
    last_two_factor_step: Mapped[int | None] = mapped_column(BigInteger)
    first_name: Mapped[str] = mapped_column(String(100))
    last_name: Mapped[str] = mapped_column(String(100))
    phone: Mapped[str | None] = mapped_column(String(50))
    avatar_url: Mapped[str | None] = mapped_column(String(500))
    role_id: Mapped[int] = mapped_column(ForeignKey("roles.id", ondelete="RESTRICT"))
    status: Mapped[UserStatus] = mapped_column(choice(UserStatus, 20), server_default="active")
    agent_status: Mapped[AgentStatus] = mapped_column(
        choice(AgentStatus, 20), server_default="offline"
    )
    agent_status_reason: Mapped[str | None] = mapped_column(Text)
    # Why an admin suspended the account, or why somebody is inactive.
    status_reason: Mapped[str | None] = mapped_column(Text)
    max_concurrent_chats: Mapped[int] = mapped_column(server_default=text("5"))
    auto_assign_enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    # Chats taken back from them unanswered, in a row; an answer ends the row.
    lapses: Mapped[int] = mapped_column(server_default=text("0"))
    language: Mapped[str] = mapped_column(String(10), server_default="es")
    # NULL = the installation's zone.
    time_zone: Mapped[str | None] = mapped_column(String(50))
    # Enter sends and Shift+Enter breaks the line, or the other way round.
    enter_sends: Mapped[bool] = mapped_column(server_default=text("true"))
    # The author of what nobody typed: reminders of rules, tasks of jobs. Cannot log in.
    is_system: Mapped[bool] = mapped_column(server_default=text("false"))
    last_login_at: Mapped[datetime | None] = mapped_column(Timestamp)
    last_activity_at: Mapped[datetime | None] = mapped_column(Timestamp)
    failed_login_attempts: Mapped[int] = mapped_column(server_default=text("0"))
    locked_until: Mapped[datetime | None] = mapped_column(Timestamp)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    deleted_at: Mapped[datetime | None] = mapped_column(Timestamp)

    role: Mapped[Role] = relationship()
    campaign_links: Mapped[list[CampaignAgent]] = relationship(back_populates="user")

    @property
    def full_name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()

    @property
    def is_active(self) -> bool:
        """May this account be used at all? Asked by Flask-Login at every request."""
        return self.status == UserStatus.ACTIVE and self.deleted_at is None and not self.is_system


class Role(Model):
    """A set of permissions. `level`: 0 is the highest; one manages only greater numbers."""

    __tablename__ = "roles"
    __table_args__ = (UniqueConstraint("name", name="uq_roles_name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    display_name: Mapped[str] = mapped_column(String(100))
    description: Mapped[str | None] = mapped_column(Text)
    level: Mapped[int] = mapped_column(server_default=text("0"))
    is_system: Mapped[bool] = mapped_column(server_default=text("false"))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    # Who holds it reaches nothing before their second factor is set up and given.
    requires_two_factor: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)

    permissions: Mapped[list[Permission]] = relationship(
        secondary="role_permissions", viewonly=True, order_by="Permission.name"
    )


class Permission(Model):
    """`module.action`, or `module.action.resource` for a narrower object (resource NULL = all)."""

    __tablename__ = "permissions"
    __table_args__ = (
        UniqueConstraint(
            "module",
            "action",
            "resource",
            name="uq_permissions_module_action_resource",
            postgresql_nulls_not_distinct=True,
        ),
        Index("idx_permissions_name", "name", unique=True),
        Index("idx_permissions_module", "module"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    module: Mapped[str] = mapped_column(String(50))
    action: Mapped[str] = mapped_column(String(50))
    resource: Mapped[str | None] = mapped_column(String(50))
    name: Mapped[str] = mapped_column(String(100))
    display_name: Mapped[str] = mapped_column(String(150))
    description: Mapped[str | None] = mapped_column(Text)
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)


class RolePermission(Model):
    """One permission of one role."""

    __tablename__ = "role_permissions"
    __table_args__ = (
        UniqueConstraint(
            "role_id", "permission_id", name="uq_role_permissions_role_id_permission_id"
        ),
        Index("idx_role_permissions_role_id", "role_id"),
        Index("idx_role_permissions_permission_id", "permission_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    role_id: Mapped[int] = mapped_column(ForeignKey("roles.id", ondelete="CASCADE"))
    permission_id: Mapped[int] = mapped_column(ForeignKey("permissions.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)


class UserPermission(Model):
    """A permission granted to, or revoked from, one person. A revocation wins."""

    __tablename__ = "user_permissions"
    __table_args__ = (
        one_of("type", PermissionType),
        UniqueConstraint(
            "user_id", "permission_id", name="uq_user_permissions_user_id_permission_id"
        ),
        Index("idx_user_permissions_user_id", "user_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    permission_id: Mapped[int] = mapped_column(ForeignKey("permissions.id", ondelete="CASCADE"))
    type: Mapped[PermissionType] = mapped_column(choice(PermissionType, 10), server_default="grant")
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


class UserSession(Model):
    """A login on one device. `token` is the hex SHA-256 of the random 256-bit cookie value."""

    __tablename__ = "user_sessions"
    __table_args__ = (
        Index("idx_user_sessions_token", "token", unique=True),
        Index("idx_user_sessions_user_id", "user_id"),
        Index("idx_user_sessions_expires_at", "expires_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    token: Mapped[str] = mapped_column(String(500))
    device_info: Mapped[str | None] = mapped_column(Text)
    ip_address: Mapped[str | None] = mapped_column(String(50))
    expires_at: Mapped[datetime] = mapped_column(Timestamp)
    last_activity_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    revoked_at: Mapped[datetime | None] = mapped_column(Timestamp)
    # When the second factor was given on this device.
    two_factor_at: Mapped[datetime | None] = mapped_column(Timestamp)


class AgentState(Model):
    """One stretch of availability. The open stretch of a person has no `ended_at`."""

    __tablename__ = "agent_states"
    __table_args__ = (
        one_of("status", AgentStatus),
        Index("idx_agent_states_user_id", "user_id"),
        Index("idx_agent_states_status", "status"),
        Index("idx_agent_states_started_at", "started_at"),
        # A person is in one state at a time.
        Index(
            "uq_agent_states_open",
            "user_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL AND campaign_id IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    status: Mapped[AgentStatus] = mapped_column(choice(AgentStatus, 20))
    reason: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    ended_at: Mapped[datetime | None] = mapped_column(Timestamp)
    duration_seconds: Mapped[int | None]
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
