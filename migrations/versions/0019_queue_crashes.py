"""How often a waiting message was there when its worker ended."""

import sqlalchemy as sa
from alembic import op

revision = "0019_queue_crashes"
down_revision = "0018_code_templates"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "message_queue", sa.Column("crashes", sa.Integer, server_default="0", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("message_queue", "crashes")
