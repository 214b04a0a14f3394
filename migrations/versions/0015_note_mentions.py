"""A note once however often it is sent, and whom it mentions."""

import sqlalchemy as sa
from alembic import op

revision = "0015_note_mentions"
down_revision = "0014_number_hours_without_limits"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("chat_notes", sa.Column("client_key", sa.Uuid))
    op.create_unique_constraint(op.f("uq_chat_notes_client_key"), "chat_notes", ["client_key"])
    op.create_table(
        "note_mentions",
        sa.Column("note_id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("seen_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("note_id", "user_id", name=op.f("pk_note_mentions")),
        sa.ForeignKeyConstraint(
            ["note_id"],
            ["chat_notes.id"],
            name=op.f("fk_note_mentions_note_id_chat_notes"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_note_mentions_user_id_users"),
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        "idx_note_mentions_unseen",
        "note_mentions",
        ["user_id"],
        postgresql_where=sa.text("seen_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("note_mentions")
    op.drop_constraint(op.f("uq_chat_notes_client_key"), "chat_notes", type_="unique")
    op.drop_column("chat_notes", "client_key")
