"""What counts against a limit is counted by the day, in number_days."""

import sqlalchemy as sa
from alembic import op

revision = "0014_number_hours_without_limits"
down_revision = "0013_sending"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("free", "templates"):
        op.drop_column("number_hours", name)


def downgrade() -> None:
    for name in ("free", "templates"):
        column = sa.Column(name, sa.Integer, server_default=sa.text("0"), nullable=False)
        op.add_column("number_hours", column)
