"""What Meta says of a template, and the habits of numbers and people when they write."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009_templates_and_habits"
down_revision = "0008_files_and_media"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column(
            "parameter_format",
            sa.String(20),
            server_default=sa.text("'POSITIONAL'"),
            nullable=False,
        ),
        sa.Column("examples", JSONB),
        sa.Column("rejected_reason", sa.Text),
        sa.Column("status_detail", sa.Text),
        sa.Column("quality_score", sa.String(20)),
        sa.Column("next_category", sa.String(50)),
        sa.Column("synced_at", sa.DateTime(timezone=True)),
    ):
        op.add_column("templates", column)
    op.create_check_constraint(
        op.f("ck_templates_parameter_format"),
        "templates",
        "parameter_format IN ('POSITIONAL', 'NAMED')",
    )
    op.create_index("idx_templates_template_id", "templates", ["template_id"])
    for name in ("sends_read_receipts", "sends_typing"):
        on = sa.Column(name, sa.Boolean, server_default=sa.text("true"), nullable=False)
        op.add_column("whatsapp_numbers", on)
    op.add_column(
        "users",
        sa.Column("enter_sends", sa.Boolean, server_default=sa.text("true"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("users", "enter_sends")
    for name in ("sends_typing", "sends_read_receipts"):
        op.drop_column("whatsapp_numbers", name)
    op.drop_index("idx_templates_template_id", table_name="templates")
    for name in (
        "synced_at",
        "next_category",
        "quality_score",
        "status_detail",
        "rejected_reason",
        "examples",
        "parameter_format",
    ):
        op.drop_column("templates", name)
