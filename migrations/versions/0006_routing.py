"""What routing remembers: lapses, what a customer was told, and the installation's settings."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006_routing"
down_revision = "0005_inbound_kinds"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)
NOW = sa.text("CURRENT_TIMESTAMP")

CHATS = (
    ("overdue_at", TIMESTAMP),
    ("queue_told_at", TIMESTAMP),
    ("queue_told_position", sa.Integer),
    ("offline_told_until", TIMESTAMP),
    ("reminded_at", TIMESTAMP),
    ("lapses", JSONB),
)


def upgrade() -> None:
    for name, kind in CHATS:
        op.add_column("chats", sa.Column(name, kind))
    op.add_column(
        "users", sa.Column("lapses", sa.Integer, server_default=sa.text("0"), nullable=False)
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("value", JSONB, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_settings")),
    )


def downgrade() -> None:
    op.drop_table("settings")
    op.drop_column("users", "lapses")
    for name, _kind in reversed(CHATS):
        op.drop_column("chats", name)
