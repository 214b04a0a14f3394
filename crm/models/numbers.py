"""The WhatsApp numbers through which we speak."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Date, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from crm.db import Model, Timestamp
from crm.models.columns import NOW, JsonB, choice, one_of

if TYPE_CHECKING:
    from crm.models.campaigns import CampaignNumber


class Provider(StrEnum):
    META = "meta"
    WPPCONNECT = "wppconnect"


class NumberStatus(StrEnum):
    """Pending = not proven yet; disconnected = session lost; error = the provider refuses."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    DISCONNECTED = "disconnected"
    ERROR = "error"
    PENDING = "pending"


# In these the number is switched on; a provider's trouble does not switch it off.
ON_STATUSES = (
    NumberStatus.ACTIVE,
    NumberStatus.PENDING,
    NumberStatus.DISCONNECTED,
    NumberStatus.ERROR,
)


class LimitAction(StrEnum):
    """What a reached daily limit does to bots and bulk. Agents' replies never wait for it."""

    WARN = "warn"
    HOLD = "hold"
    REFUSE = "refuse"


class WhatsappNumber(Model):
    """A number and its provider. Tokens, keys and secrets hold ciphertext (crm/lib/crypto)."""

    __tablename__ = "whatsapp_numbers"
    __table_args__ = (
        one_of("provider", Provider),
        one_of("status", NumberStatus),
        one_of("limit_action", LimitAction),
        Index("idx_whatsapp_numbers_phone_number", "phone_number", unique=True),
        Index("idx_whatsapp_numbers_status", "status"),
        Index("idx_whatsapp_numbers_provider", "provider"),
        # The webhook finds its number by this id; two rows would make it a guess.
        Index(
            "uq_whatsapp_numbers_meta_phone_number_id",
            "meta_phone_number_id",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    phone_number: Mapped[str] = mapped_column(String(50))
    display_name: Mapped[str | None] = mapped_column(String(100))
    provider: Mapped[Provider] = mapped_column(choice(Provider, 20))
    meta_phone_number_id: Mapped[str | None] = mapped_column(String(100))
    meta_business_account_id: Mapped[str | None] = mapped_column(String(100))
    meta_access_token: Mapped[str | None] = mapped_column(Text)
    # The number's own app secret wins over META_APP_SECRET (several apps, one installation).
    meta_app_secret: Mapped[str | None] = mapped_column(Text)
    meta_verified_name: Mapped[str | None] = mapped_column(String(150))
    meta_quality_rating: Mapped[str | None] = mapped_column(String(20))
    meta_messaging_tier: Mapped[str | None] = mapped_column(String(30))
    wppconnect_session_name: Mapped[str | None] = mapped_column(String(100))
    wppconnect_server_url: Mapped[str | None] = mapped_column(String(255))
    wppconnect_api_key: Mapped[str | None] = mapped_column(Text)
    wppconnect_qr_code: Mapped[str | None] = mapped_column(Text)
    webhook_url: Mapped[str | None] = mapped_column(String(500))
    webhook_verify_token: Mapped[str | None] = mapped_column(String(255))
    status: Mapped[NumberStatus] = mapped_column(
        choice(NumberStatus, 20), server_default="inactive"
    )
    connection_status: Mapped[str | None] = mapped_column(String(30))
    last_connected_at: Mapped[datetime | None] = mapped_column(Timestamp)
    last_error: Mapped[str | None] = mapped_column(Text)
    # NULL = none.
    daily_message_limit: Mapped[int | None] = mapped_column(server_default=text("1000"))
    rate_limit_per_minute: Mapped[int] = mapped_column(server_default=text("60"))
    limit_action: Mapped[LimitAction] = mapped_column(
        choice(LimitAction, 20), server_default="hold"
    )
    # What customers see of us: blue ticks when the owner reads, "typing" while the owner writes.
    sends_read_receipts: Mapped[bool] = mapped_column(server_default=text("true"))
    sends_typing: Mapped[bool] = mapped_column(server_default=text("true"))
    # A person's pause: nothing of this number leaves until a person ends it.
    sending_paused_at: Mapped[datetime | None] = mapped_column(Timestamp)
    sending_paused_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    total_messages_sent: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    total_messages_received: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    last_message_at: Mapped[datetime | None] = mapped_column(Timestamp)
    # People also write on the number's own phone, and the provider tells us of it.
    uses_phone: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    deleted_at: Mapped[datetime | None] = mapped_column(Timestamp)

    campaign_links: Mapped[list[CampaignNumber]] = relationship(back_populates="whatsapp_number")


class NumberHour(Model):
    """What a number sent and received in one hour, counted from the messages, again at will."""

    __tablename__ = "number_hours"
    __table_args__ = (
        Index("uq_number_hours_number_hour", "whatsapp_number_id", "hour", unique=True),
        Index("idx_number_hours_hour", "hour"),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    whatsapp_number_id: Mapped[int] = mapped_column(
        ForeignKey("whatsapp_numbers.id", ondelete="CASCADE")
    )
    hour: Mapped[datetime] = mapped_column(Timestamp)
    sent: Mapped[int] = mapped_column(server_default=text("0"))
    received: Mapped[int] = mapped_column(server_default=text("0"))
    failed: Mapped[int] = mapped_column(server_default=text("0"))


class NumberHealth(Model):
    """The last test of a number's connection, and the last look at what its provider says of it."""

    __tablename__ = "number_health"

    whatsapp_number_id: Mapped[int] = mapped_column(
        ForeignKey("whatsapp_numbers.id", ondelete="CASCADE"), primary_key=True
    )
    # One entry per check: {"name", "outcome", "values"}.
    checks: Mapped[list[Any] | None] = mapped_column(JsonB)
    checked_at: Mapped[datetime | None] = mapped_column(Timestamp)
    refreshed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    # Why the provider could not be asked, in our words (a msgid).
    refresh_error: Mapped[str | None] = mapped_column(Text)


class NumberPace(Model):
    """How fast a number may send now, for all delivery workers together.

    A table of its own, because it changes with every send and `whatsapp_numbers` is read by all.
    """

    __tablename__ = "number_pace"

    whatsapp_number_id: Mapped[int] = mapped_column(
        ForeignKey("whatsapp_numbers.id", ondelete="CASCADE"), primary_key=True
    )
    # When the bucket is full again; each send moves it on, a rate refusal pushes it away.
    free_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    # The provider refuses the number: nothing leaves before, then one message tries.
    held_until: Mapped[datetime | None] = mapped_column(Timestamp)
    hold_tries: Mapped[int] = mapped_column(server_default=text("0"))


class NumberDay(Model):
    """What a number sent on one day of the installation's zone, written with each sending.

    `counted` are those that count against `daily_message_limit`: on WPPConnect all, on Meta those
    outside the customer's 24 hours. The others of a month (`sent - counted`) are Meta's free ones.
    """

    __tablename__ = "number_days"

    whatsapp_number_id: Mapped[int] = mapped_column(
        ForeignKey("whatsapp_numbers.id", ondelete="CASCADE"), primary_key=True
    )
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    sent: Mapped[int] = mapped_column(server_default=text("0"))
    counted: Mapped[int] = mapped_column(server_default=text("0"))
