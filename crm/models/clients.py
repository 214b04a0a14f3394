"""Customers, how they are recognised, and their tags."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from crm.db import Model, Timestamp
from crm.models.columns import NOW, JsonB, Money, choice, one_of


class LeadStatus(StrEnum):
    NEW = "new"
    CONTACTED = "contacted"
    QUALIFIED = "qualified"
    PROPOSAL = "proposal"
    NEGOTIATION = "negotiation"
    WON = "won"
    LOST = "lost"
    FOLLOW_UP = "follow_up"


class IdentityKind(StrEnum):
    """How a provider names a person: digits, business-scoped user ids, or WhatsApp's hidden id.

    A group is a client of its own, so that nothing said in it stands in a member's conversation.
    """

    WA_ID = "wa_id"
    USER_ID = "user_id"
    PARENT_USER_ID = "parent_user_id"
    LID = "lid"
    GROUP = "group"


class ConsentValue(StrEnum):
    """Stop: no more advertising; resume: again; signup: asked for it at the provider."""

    STOP = "stop"
    RESUME = "resume"
    SIGNUP = "signup"


class Client(Model):
    """A customer. `phone_number` is "+573001234567"; NULL for a username without visible phone."""

    __tablename__ = "clients"
    __table_args__ = (
        one_of("lead_status", LeadStatus),
        Index("idx_clients_phone_number", "phone_number", unique=True),
        Index("idx_clients_lead_status", "lead_status"),
        Index("idx_clients_email", "email"),
        Index("idx_clients_segment", "segment"),
        Index("idx_clients_deleted_at", "deleted_at"),
        Index("idx_clients_custom_fields", "custom_fields", postgresql_using="gin"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    phone_number: Mapped[str | None] = mapped_column(String(50))
    first_name: Mapped[str | None] = mapped_column(String(100))
    last_name: Mapped[str | None] = mapped_column(String(100))
    email: Mapped[str | None] = mapped_column(String(255))
    company: Mapped[str | None] = mapped_column(String(150))
    city: Mapped[str | None] = mapped_column(String(100))
    country: Mapped[str | None] = mapped_column(String(100))
    address: Mapped[str | None] = mapped_column(Text)
    lead_status: Mapped[LeadStatus] = mapped_column(choice(LeadStatus, 30), server_default="new")
    lead_score: Mapped[int] = mapped_column(server_default=text("0"))
    ltv: Mapped[Decimal] = mapped_column(Money, server_default=text("0"))
    total_purchases: Mapped[int] = mapped_column(server_default=text("0"))
    last_purchase_at: Mapped[datetime | None] = mapped_column(Timestamp)
    custom_fields: Mapped[dict[str, Any]] = mapped_column(JsonB, server_default=text("'{}'::jsonb"))
    notes: Mapped[str | None] = mapped_column(Text)
    segment: Mapped[str | None] = mapped_column(String(50))
    is_blocked: Mapped[bool] = mapped_column(server_default=text("false"))
    block_reason: Mapped[str | None] = mapped_column(Text)
    opt_in: Mapped[bool] = mapped_column(server_default=text("true"))
    # Marketing needs TRUE and this date; TRUE alone allows service replies only.
    opt_in_date: Mapped[datetime | None] = mapped_column(Timestamp)
    # A WhatsApp group, kept apart from the people in it.
    is_group: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)
    # The last message either way.
    last_contact_at: Mapped[datetime | None] = mapped_column(Timestamp)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    deleted_at: Mapped[datetime | None] = mapped_column(Timestamp)

    identities: Mapped[list[ClientIdentity]] = relationship(back_populates="client")
    tags: Mapped[list[ClientTag]] = relationship(order_by="ClientTag.tag", viewonly=True)

    @property
    def full_name(self) -> str:
        """First and last name as far as known; empty when neither is."""
        return " ".join(part for part in (self.first_name, self.last_name) if part)


class ClientIdentity(Model):
    """One way to recognise a client. The profile name is kept here, never forced on the client."""

    __tablename__ = "client_identities"
    __table_args__ = (
        one_of("kind", IdentityKind),
        UniqueConstraint("kind", "value", name="uq_client_identities_kind_value"),
        Index("idx_client_identities_client_id", "client_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"))
    kind: Mapped[IdentityKind] = mapped_column(choice(IdentityKind, 20))
    value: Mapped[str] = mapped_column(String(255))
    profile_name: Mapped[str | None] = mapped_column(String(255))
    username: Mapped[str | None] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    last_seen_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)

    client: Mapped[Client] = relationship(back_populates="identities")


class ClientTag(Model):
    """A tag of a client, folded. `created_by` NULL = a bot or a rule."""

    __tablename__ = "client_tags"
    __table_args__ = (
        UniqueConstraint("client_id", "tag", name="uq_client_tags_client_id_tag"),
        Index("idx_client_tags_client_id", "client_id"),
        Index("idx_client_tags_tag", "tag"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"))
    tag: Mapped[str] = mapped_column(String(50))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


class ClientConsent(Model):
    """The proof of a choice about advertising: who told it, where, when. Never changed."""

    __tablename__ = "client_consents"
    __table_args__ = (
        one_of("value", ConsentValue),
        UniqueConstraint(
            "client_id",
            "category",
            "value",
            "occurred_at",
            name="uq_client_consents_client_id_category_value_occurred_at",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"))
    category: Mapped[str] = mapped_column(String(50))
    value: Mapped[ConsentValue] = mapped_column(choice(ConsentValue, 20))
    # Where it was said: whatsapp (in the app's own settings), refusal (error 131050), ...
    source: Mapped[str] = mapped_column(String(30))
    detail: Mapped[str | None] = mapped_column(Text)
    occurred_at: Mapped[datetime] = mapped_column(Timestamp)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)


class PhoneContact(Model):
    """A name in the address book of a number's phone; used when that person first writes."""

    __tablename__ = "phone_contacts"

    whatsapp_number_id: Mapped[int] = mapped_column(
        ForeignKey("whatsapp_numbers.id", ondelete="CASCADE"), primary_key=True
    )
    wa_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    # NULL = taken out of the book; the row stays, so that late news cannot bring it back.
    full_name: Mapped[str | None] = mapped_column(String(255))
    first_name: Mapped[str | None] = mapped_column(String(255))
    occurred_at: Mapped[datetime] = mapped_column(Timestamp)
