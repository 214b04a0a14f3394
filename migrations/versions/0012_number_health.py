"""What numbers sent and received by hour, and how their connection is."""

import sqlalchemy as sa
from alembic import op

revision = "0012_number_health"
down_revision = "0011_number_uses_phone"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)
ZERO = sa.text("0")
COUNTS = ("sent", "received", "failed", "free", "templates")


def upgrade() -> None:
    op.create_table(
        "number_hours",
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("whatsapp_number_id", sa.Integer, nullable=False),
        sa.Column("hour", TIMESTAMP, nullable=False),
        *(sa.Column(name, sa.Integer, server_default=ZERO, nullable=False) for name in COUNTS),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_number_hours")),
        sa.ForeignKeyConstraint(
            ["whatsapp_number_id"],
            ["whatsapp_numbers.id"],
            name=op.f("fk_number_hours_whatsapp_number_id_whatsapp_numbers"),
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        "uq_number_hours_number_hour",
        "number_hours",
        ["whatsapp_number_id", "hour"],
        unique=True,
    )
    op.create_index("idx_number_hours_hour", "number_hours", ["hour"])
    op.create_table(
        "number_health",
        sa.Column("whatsapp_number_id", sa.Integer, nullable=False),
        sa.Column("checks", sa.dialects.postgresql.JSONB),
        sa.Column("checked_at", TIMESTAMP),
        sa.Column("refreshed_at", TIMESTAMP),
        sa.Column("refresh_error", sa.Text),
        sa.PrimaryKeyConstraint("whatsapp_number_id", name=op.f("pk_number_health")),
        sa.ForeignKeyConstraint(
            ["whatsapp_number_id"],
            ["whatsapp_numbers.id"],
            name=op.f("fk_number_health_whatsapp_number_id_whatsapp_numbers"),
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    op.drop_table("number_health")
    op.drop_table("number_hours")
