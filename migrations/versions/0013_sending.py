"""Pausing a number's sending, and what each number sent on each day."""

import sqlalchemy as sa
from alembic import op

revision = "0013_sending"
down_revision = "0012_number_health"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)
ZERO = sa.text("0")


def upgrade() -> None:
    op.add_column("whatsapp_numbers", sa.Column("sending_paused_at", TIMESTAMP))
    op.add_column("whatsapp_numbers", sa.Column("sending_paused_by", sa.Integer))
    op.create_foreign_key(
        op.f("fk_whatsapp_numbers_sending_paused_by_users"),
        "whatsapp_numbers",
        "users",
        ["sending_paused_by"],
        ["id"],
    )
    op.create_table(
        "number_days",
        sa.Column("whatsapp_number_id", sa.Integer, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("sent", sa.Integer, server_default=ZERO, nullable=False),
        sa.Column("counted", sa.Integer, server_default=ZERO, nullable=False),
        sa.PrimaryKeyConstraint("whatsapp_number_id", "day", name=op.f("pk_number_days")),
        sa.ForeignKeyConstraint(
            ["whatsapp_number_id"],
            ["whatsapp_numbers.id"],
            name=op.f("fk_number_days_whatsapp_number_id_whatsapp_numbers"),
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    op.drop_table("number_days")
    op.drop_constraint(
        op.f("fk_whatsapp_numbers_sending_paused_by_users"), "whatsapp_numbers", type_="foreignkey"
    )
    op.drop_column("whatsapp_numbers", "sending_paused_by")
    op.drop_column("whatsapp_numbers", "sending_paused_at")
