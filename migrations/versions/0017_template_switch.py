"""A template can be switched off for the agents, whatever Meta thinks of it."""

import sqlalchemy as sa
from alembic import op

revision = "0017_template_switch"
down_revision = "0016_note_edits"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A constant default: no row is written anew.
    op.add_column(
        "templates",
        sa.Column("is_active", sa.Boolean, nullable=False, server_default=sa.text("true")),
    )


def downgrade() -> None:
    op.drop_column("templates", "is_active")
