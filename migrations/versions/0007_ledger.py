"""The ledger's page: counts by hour, replays of many, rows set aside, who may read bodies."""

import sqlalchemy as sa
from alembic import op

revision = "0007_ledger"
down_revision = "0006_routing"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)
NOW = sa.text("CURRENT_TIMESTAMP")
ZERO = sa.text("0")


def upgrade() -> None:
    op.add_column("webhook_events", sa.Column("set_aside_at", TIMESTAMP))
    op.add_column("webhook_events", sa.Column("set_aside_by", sa.Integer))
    op.create_foreign_key(
        op.f("fk_webhook_events_set_aside_by_users"),
        "webhook_events",
        "users",
        ["set_aside_by"],
        ["id"],
    )
    create_webhook_hours()
    create_webhook_replays()
    give_permission()
    op.create_index(
        "idx_webhook_events_whatsapp_number_id",
        "webhook_events",
        ["whatsapp_number_id", "received_at"],
    )
    op.create_index(
        "idx_webhook_events_unknown",
        "webhook_events",
        ["id"],
        postgresql_where=sa.text("unknown_count > 0"),
    )


def create_webhook_hours() -> None:
    op.create_table(
        "webhook_hours",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("hour", TIMESTAMP, nullable=False),
        sa.Column("whatsapp_number_id", sa.Integer),
        sa.Column("processed", sa.Integer, server_default=ZERO, nullable=False),
        sa.Column("trouble", sa.Integer, server_default=ZERO, nullable=False),
        sa.Column("waiting", sa.Integer, server_default=ZERO, nullable=False),
        sa.Column("unknown", sa.Integer, server_default=ZERO, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_hours")),
        sa.ForeignKeyConstraint(
            ["whatsapp_number_id"],
            ["whatsapp_numbers.id"],
            name=op.f("fk_webhook_hours_whatsapp_number_id_whatsapp_numbers"),
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        "uq_webhook_hours_hour_number",
        "webhook_hours",
        ["hour", "whatsapp_number_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )


def create_webhook_replays() -> None:
    op.create_table(
        "webhook_replays",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("chosen", sa.dialects.postgresql.JSONB, nullable=False),
        sa.Column("until_id", sa.BigInteger, nullable=False),
        sa.Column("last_id", sa.BigInteger, server_default=ZERO, nullable=False),
        sa.Column("total", sa.Integer, server_default=ZERO, nullable=False),
        sa.Column("done", sa.Integer, server_default=ZERO, nullable=False),
        sa.Column("processed", sa.Integer, server_default=ZERO, nullable=False),
        sa.Column("created_by", sa.Integer),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("finished_at", TIMESTAMP),
        sa.Column("cancelled", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_replays")),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_webhook_replays_created_by_users")
        ),
    )
    op.create_index(
        "idx_webhook_replays_open",
        "webhook_replays",
        ["id"],
        postgresql_where=sa.text("finished_at IS NULL"),
    )


def give_permission() -> None:
    op.execute("""
        INSERT INTO permissions (module, action, name, display_name, description) VALUES
        ('webhooks', 'read_body', 'webhooks.read_body', 'Leer eventos completos',
         'Leer el contenido completo de lo recibido, con las palabras de los clientes.')
    """)
    op.execute("""
        INSERT INTO role_permissions (role_id, permission_id)
        SELECT roles.id, permissions.id FROM roles, permissions
        WHERE roles.name = 'super_admin' AND permissions.name = 'webhooks.read_body'
    """)


def downgrade() -> None:
    op.execute("DELETE FROM permissions WHERE name = 'webhooks.read_body'")
    op.drop_index("idx_webhook_events_unknown", "webhook_events")
    op.drop_index("idx_webhook_events_whatsapp_number_id", "webhook_events")
    op.drop_table("webhook_replays")
    op.drop_table("webhook_hours")
    op.drop_column("webhook_events", "set_aside_by")
    op.drop_column("webhook_events", "set_aside_at")
