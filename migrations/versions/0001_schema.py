"""All tables: the 32 of the data model, and those that the product needs beside them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001_schema"
down_revision = None
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)
NOW = sa.text("CURRENT_TIMESTAMP")


def upgrade() -> None:
    create_people()
    create_numbers_and_templates()
    create_files()
    create_bots()
    create_campaigns()
    create_queues()
    create_clients()
    create_chats()
    create_messages()
    create_tasks()
    create_metrics()
    create_keeping()
    close_the_circle()
    create_case_numbers()


def create_people() -> None:
    """Who works here and what they may do."""
    op.create_table(
        "roles",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("display_name", sa.String(100), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("level", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("is_system", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("is_active", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roles")),
        sa.UniqueConstraint("name", name=op.f("uq_roles_name")),
    )
    op.create_table(
        "permissions",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("module", sa.String(50), nullable=False),
        sa.Column("action", sa.String(50), nullable=False),
        sa.Column("resource", sa.String(50)),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("display_name", sa.String(150), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("is_active", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_permissions")),
        sa.UniqueConstraint(
            "module",
            "action",
            "resource",
            name=op.f("uq_permissions_module_action_resource"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index("idx_permissions_module", "permissions", ["module"])
    op.create_index("idx_permissions_name", "permissions", ["name"], unique=True)
    op.create_table(
        "role_permissions",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("role_id", sa.Integer, nullable=False),
        sa.Column("permission_id", sa.Integer, nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_permissions")),
        sa.UniqueConstraint(
            "role_id", "permission_id", name=op.f("uq_role_permissions_role_id_permission_id")
        ),
        sa.ForeignKeyConstraint(
            ["permission_id"],
            ["permissions.id"],
            name=op.f("fk_role_permissions_permission_id_permissions"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["role_id"],
            ["roles.id"],
            name=op.f("fk_role_permissions_role_id_roles"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("idx_role_permissions_permission_id", "role_permissions", ["permission_id"])
    op.create_index("idx_role_permissions_role_id", "role_permissions", ["role_id"])
    op.create_table(
        "users",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("email", sa.String(255), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("two_factor_secret", sa.String(255)),
        sa.Column(
            "two_factor_enabled", sa.Boolean, server_default=sa.text("false"), nullable=False
        ),
        sa.Column("first_name", sa.String(100), nullable=False),
        sa.Column("last_name", sa.String(100), nullable=False),
        sa.Column("phone", sa.String(50)),
        sa.Column("avatar_url", sa.String(500)),
        sa.Column("role_id", sa.Integer, nullable=False),
        sa.Column("status", sa.String(20), server_default="active", nullable=False),
        sa.Column("agent_status", sa.String(20), server_default="offline", nullable=False),
        sa.Column("agent_status_reason", sa.Text),
        sa.Column("status_reason", sa.Text),
        sa.Column("max_concurrent_chats", sa.Integer, server_default=sa.text("5"), nullable=False),
        sa.Column(
            "auto_assign_enabled", sa.Boolean, server_default=sa.text("true"), nullable=False
        ),
        sa.Column("language", sa.String(10), server_default="es", nullable=False),
        sa.Column("time_zone", sa.String(50)),
        sa.Column("is_system", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("last_login_at", TIMESTAMP),
        sa.Column("last_activity_at", TIMESTAMP),
        sa.Column("failed_login_attempts", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("locked_until", TIMESTAMP),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("created_by", sa.Integer),
        sa.Column("deleted_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.CheckConstraint(
            "agent_status IN ('available', 'busy', 'paused', 'offline')",
            name=op.f("ck_users_agent_status"),
        ),
        sa.CheckConstraint(
            "status IN ('active', 'inactive', 'suspended')", name=op.f("ck_users_status")
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_users_created_by_users")
        ),
        sa.ForeignKeyConstraint(
            ["role_id"], ["roles.id"], name=op.f("fk_users_role_id_roles"), ondelete="RESTRICT"
        ),
    )
    op.create_index("idx_users_agent_status", "users", ["agent_status"])
    op.create_index("idx_users_deleted_at", "users", ["deleted_at"])
    op.create_index("idx_users_email", "users", ["email"], unique=True)
    op.create_index("idx_users_role_id", "users", ["role_id"])
    op.create_index("idx_users_status", "users", ["status"])
    op.create_table(
        "user_permissions",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("permission_id", sa.Integer, nullable=False),
        sa.Column("type", sa.String(10), server_default="grant", nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("created_by", sa.Integer),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_permissions")),
        sa.UniqueConstraint(
            "user_id", "permission_id", name=op.f("uq_user_permissions_user_id_permission_id")
        ),
        sa.CheckConstraint("type IN ('grant', 'revoke')", name=op.f("ck_user_permissions_type")),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_user_permissions_created_by_users")
        ),
        sa.ForeignKeyConstraint(
            ["permission_id"],
            ["permissions.id"],
            name=op.f("fk_user_permissions_permission_id_permissions"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_user_permissions_user_id_users"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("idx_user_permissions_user_id", "user_permissions", ["user_id"])
    op.create_table(
        "user_sessions",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("token", sa.String(500), nullable=False),
        sa.Column("device_info", sa.Text),
        sa.Column("ip_address", sa.String(50)),
        sa.Column("expires_at", TIMESTAMP, nullable=False),
        sa.Column("last_activity_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("revoked_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_sessions")),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_user_sessions_user_id_users"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("idx_user_sessions_expires_at", "user_sessions", ["expires_at"])
    op.create_index("idx_user_sessions_token", "user_sessions", ["token"], unique=True)
    op.create_index("idx_user_sessions_user_id", "user_sessions", ["user_id"])


def create_numbers_and_templates() -> None:
    """The numbers and the templates approved for them."""
    op.create_table(
        "whatsapp_numbers",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("phone_number", sa.String(50), nullable=False),
        sa.Column("display_name", sa.String(100)),
        sa.Column("provider", sa.String(20), nullable=False),
        sa.Column("meta_phone_number_id", sa.String(100)),
        sa.Column("meta_business_account_id", sa.String(100)),
        sa.Column("meta_access_token", sa.Text),
        sa.Column("meta_app_secret", sa.Text),
        sa.Column("meta_verified_name", sa.String(150)),
        sa.Column("meta_quality_rating", sa.String(20)),
        sa.Column("meta_messaging_tier", sa.String(30)),
        sa.Column("wppconnect_session_name", sa.String(100)),
        sa.Column("wppconnect_server_url", sa.String(255)),
        sa.Column("wppconnect_api_key", sa.Text),
        sa.Column("wppconnect_qr_code", sa.Text),
        sa.Column("webhook_url", sa.String(500)),
        sa.Column("webhook_verify_token", sa.String(255)),
        sa.Column("status", sa.String(20), server_default="inactive", nullable=False),
        sa.Column("connection_status", sa.String(30)),
        sa.Column("last_connected_at", TIMESTAMP),
        sa.Column("last_error", sa.Text),
        sa.Column("daily_message_limit", sa.Integer, server_default=sa.text("1000")),
        sa.Column(
            "rate_limit_per_minute", sa.Integer, server_default=sa.text("60"), nullable=False
        ),
        sa.Column("limit_action", sa.String(20), server_default="hold", nullable=False),
        sa.Column(
            "total_messages_sent", sa.BigInteger, server_default=sa.text("0"), nullable=False
        ),
        sa.Column(
            "total_messages_received", sa.BigInteger, server_default=sa.text("0"), nullable=False
        ),
        sa.Column("last_message_at", TIMESTAMP),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("created_by", sa.Integer),
        sa.Column("deleted_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_whatsapp_numbers")),
        sa.CheckConstraint(
            "limit_action IN ('warn', 'hold', 'refuse')",
            name=op.f("ck_whatsapp_numbers_limit_action"),
        ),
        sa.CheckConstraint(
            "provider IN ('meta', 'wppconnect')", name=op.f("ck_whatsapp_numbers_provider")
        ),
        sa.CheckConstraint(
            "status IN ('active', 'inactive', 'disconnected', 'error', 'pending')",
            name=op.f("ck_whatsapp_numbers_status"),
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_whatsapp_numbers_created_by_users")
        ),
    )
    op.create_index(
        "idx_whatsapp_numbers_phone_number", "whatsapp_numbers", ["phone_number"], unique=True
    )
    op.create_index("idx_whatsapp_numbers_provider", "whatsapp_numbers", ["provider"])
    op.create_index("idx_whatsapp_numbers_status", "whatsapp_numbers", ["status"])
    op.create_index(
        "uq_whatsapp_numbers_meta_phone_number_id",
        "whatsapp_numbers",
        ["meta_phone_number_id"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "number_pace",
        sa.Column("whatsapp_number_id", sa.Integer, nullable=False),
        sa.Column("free_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("held_until", TIMESTAMP),
        sa.Column("hold_tries", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("whatsapp_number_id", name=op.f("pk_number_pace")),
        sa.ForeignKeyConstraint(
            ["whatsapp_number_id"],
            ["whatsapp_numbers.id"],
            name=op.f("fk_number_pace_whatsapp_number_id_whatsapp_numbers"),
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "templates",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("whatsapp_number_id", sa.Integer, nullable=False),
        sa.Column("template_name", sa.String(255), nullable=False),
        sa.Column("template_id", sa.String(255)),
        sa.Column("language", sa.String(10), nullable=False),
        sa.Column("category", sa.String(50)),
        sa.Column("header_type", sa.String(20)),
        sa.Column("header_content", sa.Text),
        sa.Column("body_content", sa.Text, nullable=False),
        sa.Column("footer_content", sa.Text),
        sa.Column("buttons", JSONB),
        sa.Column("variables", JSONB),
        sa.Column("status", sa.String(30), server_default="pending", nullable=False),
        sa.Column("usage_count", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("created_by", sa.Integer),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_templates")),
        sa.UniqueConstraint(
            "whatsapp_number_id",
            "template_name",
            "language",
            name=op.f("uq_templates_whatsapp_number_id_template_name_language"),
        ),
        sa.CheckConstraint(
            "header_type IN ('TEXT', 'IMAGE', 'VIDEO', 'DOCUMENT', 'LOCATION')",
            name=op.f("ck_templates_header_type"),
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'approved', 'rejected', 'disabled', 'paused', 'in_appeal', 'locked', 'archived', 'pending_deletion', 'deleted', 'limit_exceeded')",
            name=op.f("ck_templates_status"),
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_templates_created_by_users")
        ),
        sa.ForeignKeyConstraint(
            ["whatsapp_number_id"],
            ["whatsapp_numbers.id"],
            name=op.f("fk_templates_whatsapp_number_id_whatsapp_numbers"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("idx_templates_status", "templates", ["status"])
    op.create_index("idx_templates_template_name", "templates", ["template_name"])
    op.create_index("idx_templates_whatsapp_number_id", "templates", ["whatsapp_number_id"])


def create_files() -> None:
    """Files that we keep."""
    op.create_table(
        "files",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("filename", sa.String(255), nullable=False),
        sa.Column("original_filename", sa.String(255), nullable=False),
        sa.Column("mime_type", sa.String(100), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("storage_type", sa.String(20), server_default="local", nullable=False),
        sa.Column("file_path", sa.String(500), nullable=False),
        sa.Column("thumbnail_path", sa.String(500)),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("duration_seconds", sa.Integer),
        sa.Column("uploaded_by_user_id", sa.Integer),
        sa.Column("related_entity_type", sa.String(50)),
        sa.Column("related_entity_id", sa.Integer),
        sa.Column("is_public", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("access_count", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("last_accessed_at", TIMESTAMP),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("deleted_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_files")),
        sa.CheckConstraint(
            "storage_type IN ('local', 's3', 'cdn')", name=op.f("ck_files_storage_type")
        ),
        sa.ForeignKeyConstraint(
            ["uploaded_by_user_id"], ["users.id"], name=op.f("fk_files_uploaded_by_user_id_users")
        ),
    )
    op.create_index("idx_files_created_at", "files", ["created_at"])
    op.create_index(
        "idx_files_related_entity", "files", ["related_entity_type", "related_entity_id"]
    )
    op.create_index("idx_files_uploaded_by_user_id", "files", ["uploaded_by_user_id"])


def create_bots() -> None:
    """Bot flows; their sessions come with the chats."""
    op.create_table(
        "bot_flows",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(150), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("start_node_id", sa.String(50)),
        sa.Column("variables", JSONB),
        sa.Column("timeout_seconds", sa.Integer, server_default=sa.text("300"), nullable=False),
        sa.Column("max_invalid_attempts", sa.Integer, server_default=sa.text("3"), nullable=False),
        sa.Column("version", sa.Integer, server_default=sa.text("1"), nullable=False),
        sa.Column("is_published", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("published_at", TIMESTAMP),
        sa.Column("is_active", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.Column("total_sessions", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("total_completions", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("avg_completion_time_seconds", sa.Integer),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("created_by", sa.Integer),
        sa.Column("deleted_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bot_flows")),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_bot_flows_created_by_users")
        ),
    )
    op.create_index("idx_bot_flows_is_active", "bot_flows", ["is_active"])
    op.create_index("idx_bot_flows_is_published", "bot_flows", ["is_published"])
    op.create_table(
        "bot_nodes",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("flow_id", sa.Integer, nullable=False),
        sa.Column("node_key", sa.String(50), nullable=False),
        sa.Column("node_type", sa.String(30), nullable=False),
        sa.Column("config", JSONB, nullable=False),
        sa.Column("next_node_key", sa.String(50)),
        sa.Column("position_x", sa.Integer),
        sa.Column("position_y", sa.Integer),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bot_nodes")),
        sa.UniqueConstraint("flow_id", "node_key", name=op.f("uq_bot_nodes_flow_id_node_key")),
        sa.CheckConstraint(
            "node_type IN ('message', 'menu', 'input', 'condition', 'variable', 'api_call', 'transfer_agent', 'close', 'delay', 'go_to')",
            name=op.f("ck_bot_nodes_node_type"),
        ),
        sa.ForeignKeyConstraint(
            ["flow_id"],
            ["bot_flows.id"],
            name=op.f("fk_bot_nodes_flow_id_bot_flows"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("idx_bot_nodes_flow_id", "bot_nodes", ["flow_id"])
    op.create_index("idx_bot_nodes_node_key", "bot_nodes", ["node_key"])


def create_campaigns() -> None:
    """Service lines, and the availability of the people in them."""
    op.create_table(
        "campaigns",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(150), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("code", sa.String(50), nullable=False),
        sa.Column("status", sa.String(20), server_default="active", nullable=False),
        sa.Column("priority", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("business_hours", JSONB),
        sa.Column("timezone", sa.String(50), server_default="America/Bogota", nullable=False),
        sa.Column("sla_first_response_seconds", sa.Integer, server_default=sa.text("60")),
        sa.Column("sla_resolution_seconds", sa.Integer, server_default=sa.text("3600")),
        sa.Column("bot_enabled", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.Column("bot_flow_id", sa.Integer),
        sa.Column("routing_strategy", sa.String(30), server_default="round_robin", nullable=False),
        sa.Column("max_queue_size", sa.Integer, server_default=sa.text("100"), nullable=False),
        sa.Column("max_wait_seconds", sa.Integer, server_default=sa.text("600"), nullable=False),
        sa.Column("welcome_message", sa.Text),
        sa.Column("queue_message", sa.Text),
        sa.Column("offline_message", sa.Text),
        sa.Column("closed_message", sa.Text),
        sa.Column("queue_message_interval_seconds", sa.Integer),
        sa.Column("wait_message", sa.Text),
        sa.Column("reopen_window_seconds", sa.Integer),
        sa.Column("take_back_seconds", sa.Integer, server_default=sa.text("300")),
        sa.Column("inactivity_reminder_seconds", sa.Integer),
        sa.Column("inactivity_reminder_message", sa.Text),
        sa.Column("inactivity_close_seconds", sa.Integer),
        sa.Column("abandon_enabled", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("abandon_message", sa.Text),
        sa.Column("csat_enabled", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("csat_question", sa.Text),
        sa.Column("close_reasons", JSONB),
        sa.Column("outcomes", JSONB),
        sa.Column("outcome_required", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("currency", sa.String(3), server_default="COP", nullable=False),
        sa.Column("language", sa.String(10), server_default="es-CO", nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("created_by", sa.Integer),
        sa.Column("deleted_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
        sa.UniqueConstraint("code", name=op.f("uq_campaigns_code")),
        sa.CheckConstraint(
            "routing_strategy IN ('round_robin', 'least_busy', 'skills', 'priority', 'last_agent', 'manual')",
            name=op.f("ck_campaigns_routing_strategy"),
        ),
        sa.CheckConstraint(
            "status IN ('active', 'paused', 'ended')", name=op.f("ck_campaigns_status")
        ),
        sa.ForeignKeyConstraint(
            ["bot_flow_id"],
            ["bot_flows.id"],
            name=op.f("fk_campaigns_bot_flow_id_bot_flows"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_campaigns_created_by_users")
        ),
    )
    op.create_index("idx_campaigns_deleted_at", "campaigns", ["deleted_at"])
    op.create_index("idx_campaigns_status", "campaigns", ["status"])
    op.create_table(
        "campaign_numbers",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("campaign_id", sa.Integer, nullable=False),
        sa.Column("whatsapp_number_id", sa.Integer, nullable=False),
        sa.Column("is_primary", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("priority", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign_numbers")),
        sa.UniqueConstraint(
            "campaign_id",
            "whatsapp_number_id",
            name=op.f("uq_campaign_numbers_campaign_id_whatsapp_number_id"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_campaign_numbers_campaign_id_campaigns"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["whatsapp_number_id"],
            ["whatsapp_numbers.id"],
            name=op.f("fk_campaign_numbers_whatsapp_number_id_whatsapp_numbers"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("idx_campaign_numbers_campaign_id", "campaign_numbers", ["campaign_id"])
    op.create_index(
        "idx_campaign_numbers_whatsapp_number_id", "campaign_numbers", ["whatsapp_number_id"]
    )
    op.create_table(
        "campaign_agents",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("campaign_id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("max_concurrent_chats", sa.Integer, server_default=sa.text("5"), nullable=False),
        sa.Column("priority", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("skills", JSONB, server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("last_assigned_at", TIMESTAMP),
        sa.Column("is_active", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign_agents")),
        sa.UniqueConstraint(
            "campaign_id", "user_id", name=op.f("uq_campaign_agents_campaign_id_user_id")
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_campaign_agents_campaign_id_campaigns"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_campaign_agents_user_id_users"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("idx_campaign_agents_campaign_id", "campaign_agents", ["campaign_id"])
    op.create_index(
        "idx_campaign_agents_skills", "campaign_agents", ["skills"], postgresql_using="gin"
    )
    op.create_index("idx_campaign_agents_user_id", "campaign_agents", ["user_id"])
    op.create_table(
        "agent_states",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("started_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("ended_at", TIMESTAMP),
        sa.Column("duration_seconds", sa.Integer),
        sa.Column("campaign_id", sa.Integer),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_states")),
        sa.CheckConstraint(
            "status IN ('available', 'busy', 'paused', 'offline')",
            name=op.f("ck_agent_states_status"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_agent_states_campaign_id_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_agent_states_user_id_users"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("idx_agent_states_started_at", "agent_states", ["started_at"])
    op.create_index("idx_agent_states_status", "agent_states", ["status"])
    op.create_index("idx_agent_states_user_id", "agent_states", ["user_id"])
    op.create_index(
        "uq_agent_states_open",
        "agent_states",
        ["user_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL AND campaign_id IS NULL"),
    )


def create_queues() -> None:
    """Where chats wait, and the rules that choose."""
    op.create_table(
        "queues",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("campaign_id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("priority", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("max_size", sa.Integer, server_default=sa.text("100"), nullable=False),
        sa.Column("max_wait_seconds", sa.Integer, server_default=sa.text("600"), nullable=False),
        sa.Column("overflow_action", sa.String(30), server_default="queue", nullable=False),
        sa.Column("overflow_queue_id", sa.Integer),
        sa.Column("overflow_message", sa.Text),
        sa.Column("is_active", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queues")),
        sa.CheckConstraint(
            "overflow_action IN ('queue', 'reject', 'voicemail', 'transfer')",
            name=op.f("ck_queues_overflow_action"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_queues_campaign_id_campaigns"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["overflow_queue_id"], ["queues.id"], name=op.f("fk_queues_overflow_queue_id_queues")
        ),
    )
    op.create_index("idx_queues_campaign_id", "queues", ["campaign_id"])
    op.create_table(
        "routing_rules",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("campaign_id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("priority", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("conditions", JSONB),
        sa.Column("action", sa.String(30), nullable=False),
        sa.Column("target_queue_id", sa.Integer),
        sa.Column("target_user_id", sa.Integer),
        sa.Column("target_campaign_id", sa.Integer),
        sa.Column("target_bot_flow_id", sa.Integer),
        sa.Column("message", sa.Text),
        sa.Column("set_priority", sa.String(20)),
        sa.Column("required_skills", JSONB),
        sa.Column("is_active", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_routing_rules")),
        sa.CheckConstraint(
            "action IN ('assign_queue', 'assign_agent', 'assign_bot', 'reject', 'transfer_campaign')",
            name=op.f("ck_routing_rules_action"),
        ),
        sa.CheckConstraint(
            "set_priority IN ('low', 'normal', 'high', 'urgent')",
            name=op.f("ck_routing_rules_set_priority"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_routing_rules_campaign_id_campaigns"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["target_bot_flow_id"],
            ["bot_flows.id"],
            name=op.f("fk_routing_rules_target_bot_flow_id_bot_flows"),
        ),
        sa.ForeignKeyConstraint(
            ["target_campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_routing_rules_target_campaign_id_campaigns"),
        ),
        sa.ForeignKeyConstraint(
            ["target_queue_id"], ["queues.id"], name=op.f("fk_routing_rules_target_queue_id_queues")
        ),
        sa.ForeignKeyConstraint(
            ["target_user_id"], ["users.id"], name=op.f("fk_routing_rules_target_user_id_users")
        ),
    )
    op.create_index("idx_routing_rules_campaign_id", "routing_rules", ["campaign_id"])
    op.create_index("idx_routing_rules_priority", "routing_rules", ["priority"])


def create_clients() -> None:
    """Customers."""
    op.create_table(
        "clients",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("phone_number", sa.String(50)),
        sa.Column("first_name", sa.String(100)),
        sa.Column("last_name", sa.String(100)),
        sa.Column("email", sa.String(255)),
        sa.Column("company", sa.String(150)),
        sa.Column("city", sa.String(100)),
        sa.Column("country", sa.String(100)),
        sa.Column("address", sa.Text),
        sa.Column("lead_status", sa.String(30), server_default="new", nullable=False),
        sa.Column("lead_score", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("ltv", sa.Numeric(18, 2), server_default=sa.text("0"), nullable=False),
        sa.Column("total_purchases", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("last_purchase_at", TIMESTAMP),
        sa.Column("custom_fields", JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("notes", sa.Text),
        sa.Column("segment", sa.String(50)),
        sa.Column("is_blocked", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("block_reason", sa.Text),
        sa.Column("opt_in", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.Column("opt_in_date", TIMESTAMP),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("last_contact_at", TIMESTAMP),
        sa.Column("created_by", sa.Integer),
        sa.Column("deleted_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clients")),
        sa.CheckConstraint(
            "lead_status IN ('new', 'contacted', 'qualified', 'proposal', 'negotiation', 'won', 'lost', 'follow_up')",
            name=op.f("ck_clients_lead_status"),
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_clients_created_by_users")
        ),
    )
    op.create_index(
        "idx_clients_custom_fields", "clients", ["custom_fields"], postgresql_using="gin"
    )
    op.create_index("idx_clients_deleted_at", "clients", ["deleted_at"])
    op.create_index("idx_clients_email", "clients", ["email"])
    op.create_index("idx_clients_lead_status", "clients", ["lead_status"])
    op.create_index("idx_clients_phone_number", "clients", ["phone_number"], unique=True)
    op.create_index("idx_clients_segment", "clients", ["segment"])
    op.create_table(
        "client_identities",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("client_id", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("value", sa.String(255), nullable=False),
        sa.Column("profile_name", sa.String(255)),
        sa.Column("username", sa.String(100)),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("last_seen_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client_identities")),
        sa.UniqueConstraint("kind", "value", name=op.f("uq_client_identities_kind_value")),
        sa.CheckConstraint(
            "kind IN ('wa_id', 'user_id', 'parent_user_id', 'lid')",
            name=op.f("ck_client_identities_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["clients.id"],
            name=op.f("fk_client_identities_client_id_clients"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("idx_client_identities_client_id", "client_identities", ["client_id"])
    op.create_table(
        "client_tags",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("client_id", sa.Integer, nullable=False),
        sa.Column("tag", sa.String(50), nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("created_by", sa.Integer),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client_tags")),
        sa.UniqueConstraint("client_id", "tag", name=op.f("uq_client_tags_client_id_tag")),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["clients.id"],
            name=op.f("fk_client_tags_client_id_clients"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_client_tags_created_by_users")
        ),
    )
    op.create_index("idx_client_tags_client_id", "client_tags", ["client_id"])
    op.create_index("idx_client_tags_tag", "client_tags", ["tag"])


def create_chats() -> None:
    """Conversations."""
    op.create_table(
        "chats",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("client_id", sa.Integer, nullable=False),
        sa.Column("campaign_id", sa.Integer, nullable=False),
        sa.Column("whatsapp_number_id", sa.Integer, nullable=False),
        sa.Column("assigned_agent_id", sa.Integer),
        sa.Column("queue_id", sa.Integer),
        sa.Column("status", sa.String(30), server_default="new", nullable=False),
        sa.Column("priority", sa.String(20), server_default="normal", nullable=False),
        sa.Column("bot_started_at", TIMESTAMP),
        sa.Column("bot_ended_at", TIMESTAMP),
        sa.Column("queued_at", TIMESTAMP),
        sa.Column("assigned_at", TIMESTAMP),
        sa.Column("first_response_at", TIMESTAMP),
        sa.Column("closed_at", TIMESTAMP),
        sa.Column("wait_time_seconds", sa.Integer),
        sa.Column("first_response_time_seconds", sa.Integer),
        sa.Column("handling_time_seconds", sa.Integer),
        sa.Column("close_reason", sa.String(50)),
        sa.Column("close_notes", sa.Text),
        sa.Column("outcome", sa.String(50)),
        sa.Column("outcome_value", sa.Numeric(18, 2)),
        sa.Column("satisfaction_rating", sa.Integer),
        sa.Column("satisfaction_comment", sa.Text),
        sa.Column("transferred_from_agent_id", sa.Integer),
        sa.Column("transfer_reason", sa.Text),
        sa.Column("transfer_count", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("owner", sa.String(10)),
        sa.Column("pending_reason", sa.String(20)),
        sa.Column("snoozed_until", TIMESTAMP),
        sa.Column("offered_agent_id", sa.Integer),
        sa.Column("offered_at", TIMESTAMP),
        sa.Column("queue_ahead", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("required_skills", JSONB),
        sa.Column("case_number", sa.String(80), nullable=False),
        sa.Column("bot_context", JSONB),
        sa.Column("message_count", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("unread_count", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("last_message_id", sa.BigInteger),
        sa.Column("last_inbound_at", TIMESTAMP),
        sa.Column("waiting_since", TIMESTAMP),
        sa.Column("version", sa.BigInteger, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("last_message_at", TIMESTAMP),
        sa.Column("deleted_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chats")),
        sa.UniqueConstraint("case_number", name=op.f("uq_chats_case_number")),
        sa.CheckConstraint("owner IN ('bot', 'human', 'phone')", name=op.f("ck_chats_owner")),
        sa.CheckConstraint(
            "pending_reason IN ('customer', 'snoozed', 'callback')",
            name=op.f("ck_chats_pending_reason"),
        ),
        sa.CheckConstraint(
            "priority IN ('low', 'normal', 'high', 'urgent')", name=op.f("ck_chats_priority")
        ),
        sa.CheckConstraint(
            "satisfaction_rating BETWEEN 1 AND 5", name=op.f("ck_chats_satisfaction_rating")
        ),
        sa.CheckConstraint(
            "status IN ('new', 'bot', 'queued', 'assigned', 'active', 'pending', 'closed', 'transferred', 'abandoned')",
            name=op.f("ck_chats_status"),
        ),
        sa.ForeignKeyConstraint(
            ["assigned_agent_id"],
            ["users.id"],
            name=op.f("fk_chats_assigned_agent_id_users"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_chats_campaign_id_campaigns"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["clients.id"],
            name=op.f("fk_chats_client_id_clients"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["offered_agent_id"],
            ["users.id"],
            name=op.f("fk_chats_offered_agent_id_users"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["queue_id"], ["queues.id"], name=op.f("fk_chats_queue_id_queues"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["transferred_from_agent_id"],
            ["users.id"],
            name=op.f("fk_chats_transferred_from_agent_id_users"),
        ),
        sa.ForeignKeyConstraint(
            ["whatsapp_number_id"],
            ["whatsapp_numbers.id"],
            name=op.f("fk_chats_whatsapp_number_id_whatsapp_numbers"),
            ondelete="RESTRICT",
        ),
    )
    op.create_index("idx_chats_assigned_agent_id", "chats", ["assigned_agent_id"])
    op.create_index("idx_chats_campaign_id", "chats", ["campaign_id"])
    op.create_index("idx_chats_client_id", "chats", ["client_id", "whatsapp_number_id"])
    op.create_index("idx_chats_closed_at", "chats", ["closed_at"])
    op.create_index(
        "idx_chats_closed_campaign",
        "chats",
        ["campaign_id", sa.text("closed_at DESC")],
        postgresql_where=sa.text("status IN ('closed', 'abandoned')"),
    )
    op.create_index("idx_chats_created_at", "chats", ["created_at"])
    op.create_index(
        "idx_chats_offered",
        "chats",
        ["offered_agent_id"],
        postgresql_where=sa.text("offered_agent_id IS NOT NULL"),
    )
    op.create_index(
        "idx_chats_open_agent",
        "chats",
        ["assigned_agent_id"],
        postgresql_where=sa.text("status NOT IN ('closed', 'abandoned') AND deleted_at IS NULL"),
    )
    op.create_index(
        "idx_chats_open_campaign",
        "chats",
        ["campaign_id", "status"],
        postgresql_where=sa.text("status NOT IN ('closed', 'abandoned') AND deleted_at IS NULL"),
    )
    op.create_index("idx_chats_priority", "chats", ["priority"])
    op.create_index(
        "idx_chats_snoozed",
        "chats",
        ["snoozed_until"],
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index("idx_chats_status", "chats", ["status"])
    op.create_index(
        "uq_chats_open",
        "chats",
        ["client_id", "whatsapp_number_id"],
        unique=True,
        postgresql_where=sa.text("status NOT IN ('closed', 'abandoned') AND deleted_at IS NULL"),
    )
    op.create_table(
        "chat_events",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("chat_id", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("from_status", sa.String(30)),
        sa.Column("to_status", sa.String(30)),
        sa.Column("actor_kind", sa.String(10), nullable=False),
        sa.Column("actor_user_id", sa.Integer),
        sa.Column("reason", sa.Text),
        sa.Column("data", JSONB),
        sa.Column(
            "created_at", TIMESTAMP, server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_events")),
        sa.CheckConstraint(
            "actor_kind IN ('user', 'bot', 'phone', 'system', 'client')",
            name=op.f("ck_chat_events_actor_kind"),
        ),
        sa.CheckConstraint(
            "from_status IN ('new', 'bot', 'queued', 'assigned', 'active', 'pending', 'closed', 'transferred', 'abandoned')",
            name=op.f("ck_chat_events_from_status"),
        ),
        sa.CheckConstraint(
            "to_status IN ('new', 'bot', 'queued', 'assigned', 'active', 'pending', 'closed', 'transferred', 'abandoned')",
            name=op.f("ck_chat_events_to_status"),
        ),
        sa.ForeignKeyConstraint(
            ["actor_user_id"],
            ["users.id"],
            name=op.f("fk_chat_events_actor_user_id_users"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["chat_id"], ["chats.id"], name=op.f("fk_chat_events_chat_id_chats"), ondelete="CASCADE"
        ),
    )
    op.create_index(
        "idx_chat_events_actor",
        "chat_events",
        ["actor_user_id", "created_at"],
        postgresql_where=sa.text("actor_user_id IS NOT NULL"),
    )
    op.create_index("idx_chat_events_chat_id", "chat_events", ["chat_id", "id"])
    op.create_index("idx_chat_events_created_at", "chat_events", ["created_at"])
    op.create_table(
        "chat_tags",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("chat_id", sa.Integer, nullable=False),
        sa.Column("tag", sa.String(50), nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("created_by", sa.Integer),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_tags")),
        sa.UniqueConstraint("chat_id", "tag", name=op.f("uq_chat_tags_chat_id_tag")),
        sa.ForeignKeyConstraint(
            ["chat_id"], ["chats.id"], name=op.f("fk_chat_tags_chat_id_chats"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_chat_tags_created_by_users")
        ),
    )
    op.create_index("idx_chat_tags_chat_id", "chat_tags", ["chat_id"])
    op.create_index("idx_chat_tags_tag", "chat_tags", ["tag"])
    op.create_table(
        "chat_notes",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("chat_id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("deleted_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_notes")),
        sa.ForeignKeyConstraint(
            ["chat_id"], ["chats.id"], name=op.f("fk_chat_notes_chat_id_chats"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_chat_notes_user_id_users"), ondelete="CASCADE"
        ),
    )
    op.create_index("idx_chat_notes_chat_id", "chat_notes", ["chat_id"])
    op.create_index("idx_chat_notes_user_id", "chat_notes", ["user_id"])
    op.create_table(
        "tags",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("label", sa.String(50), nullable=False),
        sa.Column("colour", sa.String(20), server_default="grey", nullable=False),
        sa.Column("is_active", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("created_by", sa.Integer),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tags")),
        sa.UniqueConstraint("name", name=op.f("uq_tags_name")),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_tags_created_by_users")
        ),
    )
    op.create_table(
        "bot_sessions",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("chat_id", sa.Integer, nullable=False),
        sa.Column("flow_id", sa.Integer, nullable=False),
        sa.Column("client_id", sa.Integer, nullable=False),
        sa.Column("current_node_key", sa.String(50)),
        sa.Column("status", sa.String(20), server_default="active", nullable=False),
        sa.Column("variables", JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("started_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("completed_at", TIMESTAMP),
        sa.Column("last_interaction_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("steps_count", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("invalid_attempts", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bot_sessions")),
        sa.CheckConstraint(
            "status IN ('active', 'waiting_input', 'completed', 'transferred', 'timeout', 'error')",
            name=op.f("ck_bot_sessions_status"),
        ),
        sa.ForeignKeyConstraint(
            ["chat_id"],
            ["chats.id"],
            name=op.f("fk_bot_sessions_chat_id_chats"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["clients.id"],
            name=op.f("fk_bot_sessions_client_id_clients"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["flow_id"],
            ["bot_flows.id"],
            name=op.f("fk_bot_sessions_flow_id_bot_flows"),
            ondelete="RESTRICT",
        ),
    )
    op.create_index("idx_bot_sessions_chat_id", "bot_sessions", ["chat_id"], unique=True)
    op.create_index("idx_bot_sessions_flow_id", "bot_sessions", ["flow_id"])
    op.create_index("idx_bot_sessions_status", "bot_sessions", ["status"])


def create_messages() -> None:
    """Messages, and what makes them leave and arrive."""
    op.create_table(
        "quick_replies",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer),
        sa.Column("campaign_id", sa.Integer),
        sa.Column("shortcut", sa.String(50), nullable=False),
        sa.Column("title", sa.String(150), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("is_active", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.Column("usage_count", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("created_by", sa.Integer),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quick_replies")),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_quick_replies_campaign_id_campaigns"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_quick_replies_created_by_users")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_quick_replies_user_id_users"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("idx_quick_replies_campaign_id", "quick_replies", ["campaign_id"])
    op.create_index("idx_quick_replies_shortcut", "quick_replies", ["shortcut"])
    op.create_index("idx_quick_replies_user_id", "quick_replies", ["user_id"])
    op.create_table(
        "messages",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("chat_id", sa.Integer, nullable=False),
        sa.Column("client_id", sa.Integer, nullable=False),
        sa.Column("whatsapp_number_id", sa.Integer, nullable=False),
        sa.Column("direction", sa.String(10), nullable=False),
        sa.Column("user_id", sa.Integer),
        sa.Column("message_type", sa.String(20), server_default="text", nullable=False),
        sa.Column("content", sa.Text),
        sa.Column("media_url", sa.String(500)),
        sa.Column("media_mime_type", sa.String(100)),
        sa.Column("media_file_id", sa.Integer),
        sa.Column("metadata", JSONB),
        sa.Column("whatsapp_message_id", sa.String(255)),
        sa.Column("whatsapp_timestamp", sa.BigInteger),
        sa.Column("status", sa.String(20), server_default="pending", nullable=False),
        sa.Column("error_code", sa.String(50)),
        sa.Column("error_message", sa.Text),
        sa.Column("sent_at", TIMESTAMP),
        sa.Column("delivered_at", TIMESTAMP),
        sa.Column("read_at", TIMESTAMP),
        sa.Column("failed_at", TIMESTAMP),
        sa.Column("retry_count", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("max_retries", sa.Integer, server_default=sa.text("3"), nullable=False),
        sa.Column("is_bot_message", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("quick_reply_id", sa.Integer),
        sa.Column("client_key", sa.Uuid),
        sa.Column(
            "position", TIMESTAMP, server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("deleted_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("client_key", name=op.f("uq_messages_client_key")),
        sa.CheckConstraint(
            "direction IN ('inbound', 'outbound')", name=op.f("ck_messages_direction")
        ),
        sa.CheckConstraint(
            "message_type IN ('text', 'image', 'audio', 'video', 'document', 'location', 'contact', 'sticker', 'template', 'interactive', 'button_reply', 'list_reply', 'reaction', 'order', 'system', 'unsupported', 'call')",
            name=op.f("ck_messages_message_type"),
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'sent', 'delivered', 'read', 'failed', 'uncertain')",
            name=op.f("ck_messages_status"),
        ),
        sa.ForeignKeyConstraint(
            ["chat_id"], ["chats.id"], name=op.f("fk_messages_chat_id_chats"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["clients.id"],
            name=op.f("fk_messages_client_id_clients"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["media_file_id"], ["files.id"], name=op.f("fk_messages_media_file_id_files")
        ),
        sa.ForeignKeyConstraint(
            ["quick_reply_id"],
            ["quick_replies.id"],
            name=op.f("fk_messages_quick_reply_id_quick_replies"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_messages_user_id_users"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["whatsapp_number_id"],
            ["whatsapp_numbers.id"],
            name=op.f("fk_messages_whatsapp_number_id_whatsapp_numbers"),
            ondelete="RESTRICT",
        ),
    )
    op.create_index("idx_messages_chat_id", "messages", ["chat_id", "position", "id"])
    op.create_index("idx_messages_client_id", "messages", ["client_id"])
    op.create_index("idx_messages_created_at", "messages", ["created_at"])
    op.create_index("idx_messages_direction", "messages", ["direction"])
    op.create_index("idx_messages_status", "messages", ["status"])
    op.create_index(
        "idx_messages_whatsapp_message_id", "messages", ["whatsapp_message_id"], unique=True
    )
    op.create_table(
        "message_queue",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("message_id", sa.BigInteger, nullable=False),
        sa.Column("chat_id", sa.Integer, nullable=False),
        sa.Column("whatsapp_number_id", sa.Integer, nullable=False),
        sa.Column("priority", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("scheduled_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("status", sa.String(20), server_default="pending", nullable=False),
        sa.Column("processing_started_at", TIMESTAMP),
        sa.Column("processing_completed_at", TIMESTAMP),
        sa.Column("attempts", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("retries", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("pair_retries", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", TIMESTAMP),
        sa.Column("owner", sa.Uuid),
        sa.Column("submitted_at", TIMESTAMP),
        sa.Column("last_error", sa.Text),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message_queue")),
        sa.UniqueConstraint("message_id", name=op.f("uq_message_queue_message_id")),
        sa.CheckConstraint(
            "status IN ('pending', 'processing', 'completed', 'failed', 'uncertain')",
            name=op.f("ck_message_queue_status"),
        ),
        sa.ForeignKeyConstraint(
            ["chat_id"],
            ["chats.id"],
            name=op.f("fk_message_queue_chat_id_chats"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["messages.id"],
            name=op.f("fk_message_queue_message_id_messages"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["whatsapp_number_id"],
            ["whatsapp_numbers.id"],
            name=op.f("fk_message_queue_whatsapp_number_id_whatsapp_numbers"),
            ondelete="RESTRICT",
        ),
    )
    op.create_index(
        "idx_message_queue_chat_open",
        "message_queue",
        ["chat_id", "id"],
        postgresql_where=sa.text("status IN ('pending', 'processing', 'uncertain')"),
    )
    op.create_index(
        "idx_message_queue_due",
        "message_queue",
        ["whatsapp_number_id", sa.text("priority DESC"), "scheduled_at", "id"],
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "idx_message_queue_leases",
        "message_queue",
        ["lease_until"],
        postgresql_where=sa.text("status = 'processing'"),
    )
    op.create_index("idx_message_queue_priority", "message_queue", ["priority"])
    op.create_index("idx_message_queue_scheduled_at", "message_queue", ["scheduled_at"])
    op.create_index("idx_message_queue_status", "message_queue", ["status"])
    op.create_index(
        "idx_message_queue_uncertain",
        "message_queue",
        ["submitted_at"],
        postgresql_where=sa.text("status = 'uncertain'"),
    )
    op.create_table(
        "early_receipts",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("whatsapp_message_id", sa.String(255), nullable=False),
        sa.Column("client_key", sa.Uuid),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("occurred_at", TIMESTAMP, nullable=False),
        sa.Column("data", JSONB),
        sa.Column("received_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_early_receipts")),
        sa.UniqueConstraint(
            "whatsapp_message_id",
            "status",
            name=op.f("uq_early_receipts_whatsapp_message_id_status"),
        ),
        sa.CheckConstraint(
            "status IN ('sent', 'delivered', 'read', 'failed')",
            name=op.f("ck_early_receipts_status"),
        ),
    )
    op.create_index(
        "idx_early_receipts_client_key",
        "early_receipts",
        ["client_key"],
        postgresql_where=sa.text("client_key IS NOT NULL"),
    )
    op.create_index("idx_early_receipts_received_at", "early_receipts", ["received_at"])


def create_tasks() -> None:
    """Tasks and reminders."""
    op.create_table(
        "tasks",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("client_id", sa.Integer),
        sa.Column("chat_id", sa.Integer),
        sa.Column("assigned_to_user_id", sa.Integer, nullable=False),
        sa.Column("created_by_user_id", sa.Integer, nullable=False),
        sa.Column("title", sa.String(255), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("due_date", TIMESTAMP),
        sa.Column("reminder_date", TIMESTAMP),
        sa.Column("priority", sa.String(20), server_default="normal", nullable=False),
        sa.Column("status", sa.String(20), server_default="pending", nullable=False),
        sa.Column("is_recurring", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("recurrence_pattern", sa.String(50)),
        sa.Column("recurrence_end_date", TIMESTAMP),
        sa.Column("completion_notes", sa.Text),
        sa.Column("completed_at", TIMESTAMP),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("deleted_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tasks")),
        sa.CheckConstraint(
            "priority IN ('low', 'normal', 'high', 'urgent')", name=op.f("ck_tasks_priority")
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'in_progress', 'completed', 'cancelled', 'overdue')",
            name=op.f("ck_tasks_status"),
        ),
        sa.ForeignKeyConstraint(
            ["assigned_to_user_id"],
            ["users.id"],
            name=op.f("fk_tasks_assigned_to_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["chat_id"], ["chats.id"], name=op.f("fk_tasks_chat_id_chats"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["clients.id"],
            name=op.f("fk_tasks_client_id_clients"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["created_by_user_id"],
            ["users.id"],
            name=op.f("fk_tasks_created_by_user_id_users"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("idx_tasks_assigned_to_user_id", "tasks", ["assigned_to_user_id"])
    op.create_index("idx_tasks_chat_id", "tasks", ["chat_id"])
    op.create_index("idx_tasks_client_id", "tasks", ["client_id"])
    op.create_index("idx_tasks_due_date", "tasks", ["due_date"])
    op.create_index("idx_tasks_priority", "tasks", ["priority"])
    op.create_index("idx_tasks_status", "tasks", ["status"])
    op.create_table(
        "task_comments",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("task_id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("deleted_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_comments")),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["tasks.id"],
            name=op.f("fk_task_comments_task_id_tasks"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_task_comments_user_id_users"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("idx_task_comments_task_id", "task_comments", ["task_id"])


def create_metrics() -> None:
    """Computed figures."""
    op.create_table(
        "chat_metrics",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("chat_id", sa.Integer, nullable=False),
        sa.Column("wait_time_seconds", sa.Integer),
        sa.Column("first_response_time_seconds", sa.Integer),
        sa.Column("avg_response_time_seconds", sa.Integer),
        sa.Column("handling_time_seconds", sa.Integer),
        sa.Column("total_messages", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("agent_messages", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("client_messages", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("transfer_count", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("sla_first_response_met", sa.Boolean),
        sa.Column("sla_resolution_met", sa.Boolean),
        sa.Column("csat_score", sa.Integer),
        sa.Column("calculated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_metrics")),
        sa.ForeignKeyConstraint(
            ["chat_id"],
            ["chats.id"],
            name=op.f("fk_chat_metrics_chat_id_chats"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("idx_chat_metrics_chat_id", "chat_metrics", ["chat_id"], unique=True)
    op.create_table(
        "agent_metrics",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("campaign_id", sa.Integer),
        sa.Column("date", sa.Date, nullable=False),
        sa.Column("hour", sa.Integer),
        sa.Column(
            "time_available_seconds", sa.Integer, server_default=sa.text("0"), nullable=False
        ),
        sa.Column("time_busy_seconds", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("time_paused_seconds", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("chats_handled", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("chats_transferred", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("chats_closed", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("messages_sent", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("avg_handling_time_seconds", sa.Integer),
        sa.Column("avg_first_response_time_seconds", sa.Integer),
        sa.Column("avg_csat_score", sa.Numeric(3, 2)),
        sa.Column("sla_compliance_percentage", sa.Numeric(5, 2)),
        sa.Column("chats_per_hour", sa.Numeric(5, 2)),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_metrics")),
        sa.UniqueConstraint(
            "user_id",
            "campaign_id",
            "date",
            "hour",
            name=op.f("uq_agent_metrics_user_id_campaign_id_date_hour"),
            postgresql_nulls_not_distinct=True,
        ),
        sa.CheckConstraint("hour BETWEEN 0 AND 23", name=op.f("ck_agent_metrics_hour")),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_agent_metrics_campaign_id_campaigns"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_agent_metrics_user_id_users"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("idx_agent_metrics_campaign_id", "agent_metrics", ["campaign_id"])
    op.create_index("idx_agent_metrics_date", "agent_metrics", ["date"])
    op.create_index("idx_agent_metrics_user_id", "agent_metrics", ["user_id"])


def create_keeping() -> None:
    """Ledgers."""
    op.create_table(
        "audit_logs",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.Integer),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("entity_type", sa.String(50)),
        sa.Column("entity_id", sa.Integer),
        sa.Column("changes", JSONB),
        sa.Column("ip_address", sa.String(50)),
        sa.Column("user_agent", sa.Text),
        sa.Column("request_method", sa.String(10)),
        sa.Column("request_url", sa.String(500)),
        sa.Column("metadata", JSONB),
        sa.Column("success", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.Column("error_message", sa.Text),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_logs")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_audit_logs_user_id_users"), ondelete="SET NULL"
        ),
    )
    op.create_index("idx_audit_logs_action", "audit_logs", ["action"])
    op.create_index("idx_audit_logs_created_at", "audit_logs", ["created_at"])
    op.create_index("idx_audit_logs_entity", "audit_logs", ["entity_type", "entity_id"])
    op.create_index("idx_audit_logs_ip_address", "audit_logs", ["ip_address"])
    op.create_index("idx_audit_logs_user_id", "audit_logs", ["user_id"])
    op.create_table(
        "backups",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("filename", sa.String(255), nullable=False),
        sa.Column("file_path", sa.String(500), nullable=False),
        sa.Column("file_size_bytes", sa.BigInteger),
        sa.Column("backup_type", sa.String(30), nullable=False),
        sa.Column("status", sa.String(20), server_default="in_progress", nullable=False),
        sa.Column("checksum", sa.String(255)),
        sa.Column("is_verified", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("verified_at", TIMESTAMP),
        sa.Column("storage_location", sa.String(100)),
        sa.Column("expires_at", TIMESTAMP),
        sa.Column("error_message", sa.Text),
        sa.Column("started_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("completed_at", TIMESTAMP),
        sa.Column("created_by", sa.Integer),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backups")),
        sa.CheckConstraint(
            "backup_type IN ('full', 'incremental', 'database', 'files')",
            name=op.f("ck_backups_backup_type"),
        ),
        sa.CheckConstraint(
            "status IN ('in_progress', 'completed', 'failed')", name=op.f("ck_backups_status")
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_backups_created_by_users")
        ),
    )
    op.create_index("idx_backups_backup_type", "backups", ["backup_type"])
    op.create_index("idx_backups_created_at", "backups", ["started_at"])
    op.create_index("idx_backups_status", "backups", ["status"])
    op.create_table(
        "webhook_events",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("provider", sa.String(20), nullable=False),
        sa.Column("whatsapp_number_id", sa.Integer),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("status", sa.String(20), server_default="received", nullable=False),
        sa.Column("problems", JSONB),
        sa.Column("event_count", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("unknown_count", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("received_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("processed_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_events")),
        sa.CheckConstraint(
            "provider IN ('meta', 'wppconnect')", name=op.f("ck_webhook_events_provider")
        ),
        sa.CheckConstraint(
            "status IN ('received', 'processed', 'partly', 'failed', 'waiting')",
            name=op.f("ck_webhook_events_status"),
        ),
        sa.ForeignKeyConstraint(
            ["whatsapp_number_id"],
            ["whatsapp_numbers.id"],
            name=op.f("fk_webhook_events_whatsapp_number_id_whatsapp_numbers"),
            ondelete="SET NULL",
        ),
    )
    op.create_index(
        "idx_webhook_events_open",
        "webhook_events",
        ["status", "id"],
        postgresql_where=sa.text("status <> 'processed'"),
    )
    op.create_index("idx_webhook_events_received_at", "webhook_events", ["received_at"])
    op.create_table(
        "scheduled_runs",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("job", sa.String(100), nullable=False),
        sa.Column("slot", TIMESTAMP, nullable=False),
        sa.Column("started_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("finished_at", TIMESTAMP),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scheduled_runs")),
        sa.UniqueConstraint("job", "slot", name=op.f("uq_scheduled_runs_job_slot")),
    )
    op.create_index("idx_scheduled_runs_started_at", "scheduled_runs", ["started_at"])


def close_the_circle() -> None:
    """A message belongs to a chat, and a chat knows its last message."""
    op.create_foreign_key(
        op.f("fk_chats_last_message_id_messages"),
        "chats",
        "messages",
        ["last_message_id"],
        ["id"],
        ondelete="SET NULL",
    )
    # Updated with every message. Room on the page lets the new version stay beside the old one
    # (HOT), and vacuum comes by share of change, not only after a fifth of the table.
    for table in ("chats", "messages", "message_queue"):
        op.execute(
            f"ALTER TABLE {table} SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05)"
        )


def create_case_numbers() -> None:
    """`CODE-2026-000123`: the campaign's code, the year in its zone, a number of the installation.

    One sequence, because nobody ever waits for a sequence; a counter per campaign and year would
    make each opening chat wait for the transaction of the one before. Owned by the column, so that
    it goes and restarts with the table.
    """
    op.execute("CREATE SEQUENCE chat_case_numbers AS bigint OWNED BY chats.case_number")
    op.execute(
        """
        CREATE FUNCTION chat_case_number(code text, zone text) RETURNS text
        LANGUAGE sql VOLATILE
        AS $$
          SELECT code || '-' || to_char(now() AT TIME ZONE zone, 'YYYY') || '-'
                 || lpad(n::text, greatest(6, length(n::text)), '0')
          FROM nextval('chat_case_numbers') AS n
        $$
        """
    )


def downgrade() -> None:
    """There is nothing before the first schema; an empty database is dropped, not downgraded."""
    raise NotImplementedError("0001_schema cannot be undone: drop the database instead")
