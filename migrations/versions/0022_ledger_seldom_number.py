"""What is seldom in the ledger, of one number: found without reading all that is frequent."""

import sqlalchemy as sa
from alembic import op

revision = "0022_ledger_seldom_number"
down_revision = "0021_ledger_holds"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not concurrently: what it holds has only just begun to be written.
    op.create_index(
        "idx_webhook_events_seldom_of_number",
        "webhook_events",
        ["whatsapp_number_id", "received_at"],
        postgresql_where=sa.text("holds - 'message' - 'receipt' <> '{}'::jsonb"),
    )
    # Without it the planner takes half the table for seldom, and reads it with all hands.
    op.execute(
        "CREATE STATISTICS st_webhook_events_seldom ON (holds - 'message' - 'receipt') FROM webhook_events"
    )


def downgrade() -> None:
    op.execute("DROP STATISTICS st_webhook_events_seldom")
    op.drop_index("idx_webhook_events_seldom_of_number", "webhook_events")
