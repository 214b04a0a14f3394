"""What speaks of another message, groups, consents, address books, and how new news are."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005_inbound_kinds"
down_revision = "0004_alarms"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)
NOW = sa.text("CURRENT_TIMESTAMP")
KINDS = "'wa_id', 'user_id', 'parent_user_id', 'lid'"


def upgrade() -> None:
    add_columns()
    allow_groups()
    create_client_consents()
    create_phone_contacts()
    create_provider_news()
    # The reactions of before; few, and found by their type.
    op.execute(
        "UPDATE messages SET target_whatsapp_id = metadata->'reaction'->>'message_id' "
        "WHERE message_type = 'reaction'"
    )
    op.create_index(
        "idx_messages_target_whatsapp_id",
        "messages",
        ["target_whatsapp_id"],
        postgresql_where=sa.text("target_whatsapp_id IS NOT NULL"),
    )


def add_columns() -> None:
    op.add_column("messages", sa.Column("target_whatsapp_id", sa.String(255)))
    op.add_column("chats", sa.Column("referral", JSONB))
    op.add_column(
        "clients",
        sa.Column("is_group", sa.Boolean, server_default=sa.text("false"), nullable=False),
    )


def allow_groups() -> None:
    """NOT VALID, then VALIDATE: the check of the old rows does not hold up new ones."""
    op.drop_constraint(op.f("ck_client_identities_kind"), "client_identities", type_="check")
    op.execute(
        "ALTER TABLE client_identities ADD CONSTRAINT ck_client_identities_kind "
        f"CHECK (kind IN ({KINDS}, 'group')) NOT VALID"
    )
    op.execute("ALTER TABLE client_identities VALIDATE CONSTRAINT ck_client_identities_kind")


def create_client_consents() -> None:
    unique = "uq_client_consents_client_id_category_value_occurred_at"
    op.create_table(
        "client_consents",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("client_id", sa.Integer, nullable=False),
        sa.Column("category", sa.String(50), nullable=False),
        sa.Column("value", sa.String(20), nullable=False),
        sa.Column("source", sa.String(30), nullable=False),
        sa.Column("detail", sa.Text),
        sa.Column("occurred_at", TIMESTAMP, nullable=False),
        sa.Column("created_at", TIMESTAMP, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client_consents")),
        sa.UniqueConstraint("client_id", "category", "value", "occurred_at", name=op.f(unique)),
        sa.CheckConstraint(
            "value IN ('stop', 'resume', 'signup')", name=op.f("ck_client_consents_value")
        ),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["clients.id"],
            name=op.f("fk_client_consents_client_id_clients"),
            ondelete="CASCADE",
        ),
    )


def create_phone_contacts() -> None:
    op.create_table(
        "phone_contacts",
        sa.Column("whatsapp_number_id", sa.Integer, nullable=False),
        sa.Column("wa_id", sa.String(255), nullable=False),
        sa.Column("full_name", sa.String(255)),
        sa.Column("first_name", sa.String(255)),
        sa.Column("occurred_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("whatsapp_number_id", "wa_id", name=op.f("pk_phone_contacts")),
        sa.ForeignKeyConstraint(
            ["whatsapp_number_id"],
            ["whatsapp_numbers.id"],
            name=op.f("fk_phone_contacts_whatsapp_number_id_whatsapp_numbers"),
            ondelete="CASCADE",
        ),
    )


def create_provider_news() -> None:
    op.create_table(
        "provider_news",
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("occurred_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_provider_news")),
    )


def downgrade() -> None:
    op.drop_index("idx_messages_target_whatsapp_id", table_name="messages")
    for table in ("provider_news", "phone_contacts", "client_consents"):
        op.drop_table(table)
    op.execute("DELETE FROM client_identities WHERE kind = 'group'")
    op.drop_constraint(op.f("ck_client_identities_kind"), "client_identities", type_="check")
    op.create_check_constraint(
        op.f("ck_client_identities_kind"), "client_identities", f"kind IN ({KINDS})"
    )
    op.drop_column("clients", "is_group")
    op.drop_column("chats", "referral")
    op.drop_column("messages", "target_whatsapp_id")
