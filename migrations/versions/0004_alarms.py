"""Alarms, who may read them, and e-mails about them."""

import sqlalchemy as sa
from alembic import op

revision = "0004_alarms"
down_revision = "0003_people"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)
NOW = sa.text("CURRENT_TIMESTAMP")
EMAIL_KINDS = "'invite', 'reset', 'password_changed', 'two_factor_changed'"


def upgrade() -> None:
    create_alarms()
    op.add_column("outgoing_emails", sa.Column("alarm_id", sa.BigInteger))
    op.create_foreign_key(
        op.f("fk_outgoing_emails_alarm_id_alarms"),
        "outgoing_emails",
        "alarms",
        ["alarm_id"],
        ["id"],
        ondelete="CASCADE",
    )
    allow_email_kinds(f"{EMAIL_KINDS}, 'alarm'")
    give_permissions()


def create_alarms() -> None:
    op.create_table(
        "alarms",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(200), server_default="", nullable=False),
        sa.Column("whatsapp_number_id", sa.Integer),
        sa.Column("campaign_id", sa.Integer),
        sa.Column(
            "facts",
            sa.dialects.postgresql.JSONB,
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("opened_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("last_seen_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("count", sa.Integer, server_default=sa.text("1"), nullable=False),
        sa.Column("announced_at", TIMESTAMP),
        sa.Column("acknowledged_by", sa.Integer),
        sa.Column("acknowledged_at", TIMESTAMP),
        sa.Column("ended_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarms")),
        sa.ForeignKeyConstraint(
            ["whatsapp_number_id"],
            ["whatsapp_numbers.id"],
            name=op.f("fk_alarms_whatsapp_number_id_whatsapp_numbers"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_alarms_campaign_id_campaigns"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["acknowledged_by"], ["users.id"], name=op.f("fk_alarms_acknowledged_by_users")
        ),
    )
    op.create_index(
        "uq_alarms_open",
        "alarms",
        ["kind", "subject"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("idx_alarms_opened_at", "alarms", ["opened_at"])
    op.create_index("idx_alarms_kind_subject", "alarms", ["kind", "subject", "opened_at"])
    op.create_index("idx_alarms_whatsapp_number_id", "alarms", ["whatsapp_number_id"])


def allow_email_kinds(kinds: str) -> None:
    op.drop_constraint(op.f("ck_outgoing_emails_kind"), "outgoing_emails")
    op.create_check_constraint(
        op.f("ck_outgoing_emails_kind"), "outgoing_emails", f"kind IN ({kinds})"
    )


def give_permissions() -> None:
    op.execute("""
        INSERT INTO permissions (module, action, name, display_name, description) VALUES
        ('alarms', 'read', 'alarms.read', 'Ver alarmas',
         'Ver y recibir las alarmas de la instalación y de sus campañas.'),
        ('alarms', 'acknowledge', 'alarms.acknowledge', 'Marcar alarmas como vistas',
         'Marcar alarmas como vistas.')
    """)
    op.execute("""
        INSERT INTO role_permissions (role_id, permission_id)
        SELECT roles.id, permissions.id FROM roles, permissions
        WHERE roles.name IN ('super_admin', 'supervisor') AND permissions.module = 'alarms'
    """)


def downgrade() -> None:
    op.execute("DELETE FROM permissions WHERE module = 'alarms'")
    op.execute("DELETE FROM outgoing_emails WHERE kind = 'alarm'")
    allow_email_kinds(EMAIL_KINDS)
    op.drop_column("outgoing_emails", "alarm_id")
    op.drop_table("alarms")
