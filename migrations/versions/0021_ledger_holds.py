"""What each delivery of the ledger holds, in short, so that its list says it without the bodies."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021_ledger_holds"
down_revision = "0020_rule_drafts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhook_events", sa.Column("holds", postgresql.JSONB))
    # Not concurrently: no row holds anything yet, so that this reads the table once and writes nothing.
    op.create_index(
        "idx_webhook_events_seldom",
        "webhook_events",
        ["received_at"],
        postgresql_where=sa.text("holds - 'message' - 'receipt' <> '{}'::jsonb"),
    )


def downgrade() -> None:
    op.drop_index("idx_webhook_events_seldom", "webhook_events")
    op.drop_column("webhook_events", "holds")
