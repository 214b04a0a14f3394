"""Changes to a campaign's rules that somebody prepares; routing never reads them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020_rule_drafts"
down_revision = "0019_queue_crashes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rule_drafts",
        sa.Column(
            "user_id", sa.Integer, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column(
            "campaign_id",
            sa.Integer,
            sa.ForeignKey("campaigns.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("entries", postgresql.JSONB, nullable=False),
        sa.Column("base", postgresql.JSONB, nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("CURRENT_TIMESTAMP"),
            nullable=False,
        ),
    )
    op.create_index("idx_rule_drafts_campaign_id", "rule_drafts", ["campaign_id"])


def downgrade() -> None:
    op.drop_table("rule_drafts")
