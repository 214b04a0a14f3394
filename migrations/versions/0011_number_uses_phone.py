"""Numbers whose own phone is also written on."""

import sqlalchemy as sa
from alembic import op

revision = "0011_number_uses_phone"
down_revision = "0010_wppconnect_sessions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "whatsapp_numbers",
        sa.Column("uses_phone", sa.Boolean, server_default=sa.text("false"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("whatsapp_numbers", "uses_phone")
