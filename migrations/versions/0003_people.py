"""Accounts and audit: attempts, devices, links, codes, e-mails; rows that nobody can change."""

import sqlalchemy as sa
from alembic import op

revision = "0003_people"
down_revision = "0002_roles_and_permissions"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)
NOW = sa.text("CURRENT_TIMESTAMP")


def upgrade() -> None:
    add_columns()
    create_login_attempts()
    create_known_devices()
    create_backup_codes()
    create_account_links()
    create_outgoing_emails()
    protect_audit_logs()


def add_columns() -> None:
    op.add_column("users", sa.Column("last_two_factor_step", sa.BigInteger))
    op.add_column("user_sessions", sa.Column("two_factor_at", TIMESTAMP))
    op.add_column(
        "roles",
        sa.Column(
            "requires_two_factor", sa.Boolean, server_default=sa.text("false"), nullable=False
        ),
    )
    op.add_column("audit_logs", sa.Column("position", sa.BigInteger))
    op.add_column("audit_logs", sa.Column("seal", sa.String(64)))
    op.add_column("audit_logs", sa.Column("sealed_at", TIMESTAMP))
    op.create_index("uq_audit_logs_position", "audit_logs", ["position"], unique=True)
    op.create_index(
        "idx_audit_logs_unsealed", "audit_logs", ["id"], postgresql_where=sa.text("seal IS NULL")
    )


def create_login_attempts() -> None:
    op.create_table(
        "login_attempts",
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("first_at", TIMESTAMP, nullable=False),
        sa.Column("last_at", TIMESTAMP, nullable=False),
        sa.Column("blocked_until", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name=op.f("pk_login_attempts")),
        sa.CheckConstraint(
            "kind IN ('device', 'origin', 'account', 'network', 'code', 'reset')",
            name=op.f("ck_login_attempts_kind"),
        ),
    )
    op.create_index("idx_login_attempts_last_at", "login_attempts", ["last_at"])


def create_known_devices() -> None:
    op.create_table(
        "known_devices",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("last_used_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_known_devices")),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_known_devices_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("user_id", "token", name=op.f("uq_known_devices_user_id_token")),
    )
    op.create_index("idx_known_devices_last_used_at", "known_devices", ["last_used_at"])


def create_backup_codes() -> None:
    op.create_table(
        "backup_codes",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("used_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backup_codes")),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_backup_codes_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("user_id", "code", name=op.f("uq_backup_codes_user_id_code")),
    )


def create_account_links() -> None:
    op.create_table(
        "account_links",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("purpose", sa.String(20), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("expires_at", TIMESTAMP, nullable=False),
        sa.Column("used_at", TIMESTAMP),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("created_by", sa.Integer),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_links")),
        sa.CheckConstraint("purpose IN ('invite', 'reset')", name=op.f("ck_account_links_purpose")),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_account_links_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_account_links_created_by_users")
        ),
        sa.UniqueConstraint("token", name=op.f("uq_account_links_token")),
    )
    op.create_index("idx_account_links_user_id", "account_links", ["user_id"])
    op.create_index("idx_account_links_expires_at", "account_links", ["expires_at"])


def create_outgoing_emails() -> None:
    op.create_table(
        "outgoing_emails",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(30), nullable=False),
        sa.Column("recipient", sa.String(255), nullable=False),
        sa.Column("user_id", sa.Integer),
        sa.Column("status", sa.String(20), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("sent_at", TIMESTAMP),
        sa.Column("error", sa.Text),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("created_by", sa.Integer),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outgoing_emails")),
        sa.CheckConstraint(
            "kind IN ('invite', 'reset', 'password_changed', 'two_factor_changed')",
            name=op.f("ck_outgoing_emails_kind"),
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'sent', 'failed', 'dropped')",
            name=op.f("ck_outgoing_emails_status"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_outgoing_emails_user_id_users")
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_outgoing_emails_created_by_users")
        ),
    )
    op.create_index(
        "idx_outgoing_emails_due_at",
        "outgoing_emails",
        ["due_at"],
        postgresql_where=sa.text("status = 'pending'"),
    )


def protect_audit_logs() -> None:
    """A row may be sealed once; nothing else about it ever changes, and none goes away."""
    op.execute("""
        CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'UPDATE' AND OLD.seal IS NULL AND NEW.seal IS NOT NULL
               AND to_jsonb(NEW) - ARRAY['seal', 'sealed_at', 'position']
                 = to_jsonb(OLD) - ARRAY['seal', 'sealed_at', 'position'] THEN
                RETURN NEW;
            END IF;
            RAISE EXCEPTION 'audit_logs is append-only: % refused', TG_OP
                USING ERRCODE = 'insufficient_privilege';
        END
        $$
    """)
    op.execute("""
        CREATE TRIGGER audit_logs_append_only BEFORE UPDATE OR DELETE ON audit_logs
        FOR EACH ROW EXECUTE FUNCTION refuse_audit_change()
    """)
    op.execute("""
        CREATE TRIGGER audit_logs_no_truncate BEFORE TRUNCATE ON audit_logs
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER audit_logs_no_truncate ON audit_logs")
    op.execute("DROP TRIGGER audit_logs_append_only ON audit_logs")
    op.execute("DROP FUNCTION refuse_audit_change")
    for table in (
        "outgoing_emails",
        "account_links",
        "backup_codes",
        "known_devices",
        "login_attempts",
    ):
        op.drop_table(table)
    op.drop_index("idx_audit_logs_unsealed", "audit_logs")
    op.drop_index("uq_audit_logs_position", "audit_logs")
    for table, columns in (
        ("audit_logs", ("sealed_at", "seal", "position")),
        ("roles", ("requires_two_factor",)),
        ("user_sessions", ("two_factor_at",)),
        ("users", ("last_two_factor_step",)),
    ):
        for column in columns:
            op.drop_column(table, column)
