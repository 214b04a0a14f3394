"""Sessions of WPPConnect numbers, and the diary of numbers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010_wppconnect_sessions"
down_revision = "0009_templates_and_habits"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)
NOW = sa.text("CURRENT_TIMESTAMP")


def upgrade() -> None:
    create_sessions()
    op.create_table(
        "number_events",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("whatsapp_number_id", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("data", JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_number_events")),
        sa.ForeignKeyConstraint(
            ["whatsapp_number_id"],
            ["whatsapp_numbers.id"],
            name=op.f("fk_number_events_whatsapp_number_id_whatsapp_numbers"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("idx_number_events_number", "number_events", ["whatsapp_number_id", "id"])


def create_sessions() -> None:
    op.create_table(
        "wppconnect_sessions",
        sa.Column("whatsapp_number_id", sa.Integer, nullable=False),
        sa.Column("state", sa.String(20), server_default="off", nullable=False),
        sa.Column("state_since", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("is_wanted", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("token", sa.Text),
        sa.Column("webhook_secret", sa.Text, nullable=False),
        sa.Column("webhook_secret_hash", sa.String(64), nullable=False),
        sa.Column("hint", sa.String(50)),
        sa.Column("tries", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("check_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("lost_at", TIMESTAMP),
        sa.Column("history_from", TIMESTAMP),
        sa.Column("gaps_checked_at", TIMESTAMP),
        sa.Column("gaps_due_at", TIMESTAMP),
        sa.Column("recovered_count", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("recovered_at", TIMESTAMP),
        sa.Column("recovered_total", sa.BigInteger, server_default=sa.text("0"), nullable=False),
        sa.Column("reconcile_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("whatsapp_number_id", name=op.f("pk_wppconnect_sessions")),
        sa.ForeignKeyConstraint(
            ["whatsapp_number_id"],
            ["whatsapp_numbers.id"],
            name=op.f("fk_wppconnect_sessions_whatsapp_number_id_whatsapp_numbers"),
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint(
            "webhook_secret_hash", name=op.f("uq_wppconnect_sessions_webhook_secret_hash")
        ),
        sa.CheckConstraint(
            "state IN ('off', 'starting', 'qr', 'connected', 'lost', 'expired', 'refused', "
            "'unreachable')",
            name=op.f("ck_wppconnect_sessions_state"),
        ),
    )


def downgrade() -> None:
    op.drop_table("number_events")
    op.drop_table("wppconnect_sessions")
