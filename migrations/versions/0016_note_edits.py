"""When a note was edited."""

import sqlalchemy as sa
from alembic import op

revision = "0016_note_edits"
down_revision = "0015_note_mentions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("chat_notes", sa.Column("edited_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("chat_notes", "edited_at")
