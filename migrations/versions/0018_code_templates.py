"""What a template for one-time codes is made of: its text is Meta's."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018_code_templates"
down_revision = "0017_template_switch"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("templates", sa.Column("code_parts", postgresql.JSONB))


def downgrade() -> None:
    op.drop_column("templates", "code_parts")
