"""The words of each message, for the search; a job fills it from the messages that are there."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023_message_words"
down_revision = "0022_ledger_seldom_number"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "message_words",
        sa.Column(
            "message_id",
            sa.BigInteger,
            sa.ForeignKey("messages.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("words", postgresql.TSVECTOR, nullable=False),
    )
    op.create_index(
        "idx_message_words_words",
        "message_words",
        ["words"],
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )


def downgrade() -> None:
    op.drop_table("message_words")
