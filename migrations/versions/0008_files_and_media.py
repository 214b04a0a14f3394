"""Files: what they are for, their hash and copies; media on the way in, and ids at providers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008_files_and_media"
down_revision = "0007_ledger"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)
NOW = sa.text("CURRENT_TIMESTAMP")


def upgrade() -> None:
    op.add_column(
        "files", sa.Column("purpose", sa.String(20), server_default="message", nullable=False)
    )
    op.add_column("files", sa.Column("sha256", sa.String(64)))
    op.add_column("files", sa.Column("playable_path", sa.String(500)))
    op.add_column("files", sa.Column("metadata", JSONB(none_as_null=True)))
    op.create_index("uq_files_filename", "files", ["filename"], unique=True)
    create_media_fetches()
    create_media_uploads()
    # Not concurrently: no row of any installation has a file yet, so that this reads the table once
    # and writes nothing; and the lock of the migrations would wait for itself.
    op.create_index(
        "idx_messages_media_file_id",
        "messages",
        ["media_file_id"],
        postgresql_where=sa.text("media_file_id IS NOT NULL"),
    )


def create_media_fetches() -> None:
    op.create_table(
        "media_fetches",
        sa.Column("message_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("whatsapp_number_id", sa.Integer, nullable=False),
        sa.Column("status", sa.String(20), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("scheduled_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("lease_until", TIMESTAMP),
        sa.Column("owner", sa.Uuid),
        sa.Column("error_code", sa.String(50)),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_media_fetches")),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["messages.id"],
            name=op.f("fk_media_fetches_message_id_messages"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["whatsapp_number_id"],
            ["whatsapp_numbers.id"],
            name=op.f("fk_media_fetches_whatsapp_number_id_whatsapp_numbers"),
            ondelete="RESTRICT",
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'processing', 'done', 'failed')",
            name=op.f("ck_media_fetches_status"),
        ),
    )
    op.create_index(
        "idx_media_fetches_due",
        "media_fetches",
        ["scheduled_at"],
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "idx_media_fetches_leases",
        "media_fetches",
        ["lease_until"],
        postgresql_where=sa.text("status = 'processing'"),
    )


def create_media_uploads() -> None:
    op.create_table(
        "media_uploads",
        sa.Column("file_id", sa.Integer, nullable=False),
        sa.Column("whatsapp_number_id", sa.Integer, nullable=False),
        sa.Column("media_id", sa.String(255), nullable=False),
        sa.Column("expires_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("file_id", "whatsapp_number_id", name=op.f("pk_media_uploads")),
        sa.ForeignKeyConstraint(
            ["file_id"],
            ["files.id"],
            name=op.f("fk_media_uploads_file_id_files"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["whatsapp_number_id"],
            ["whatsapp_numbers.id"],
            name=op.f("fk_media_uploads_whatsapp_number_id_whatsapp_numbers"),
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    op.drop_index("idx_messages_media_file_id", "messages")
    op.drop_table("media_uploads")
    op.drop_table("media_fetches")
    op.drop_index("uq_files_filename", "files")
    for column in ("metadata", "playable_path", "sha256", "purpose"):
        op.drop_column("files", column)
