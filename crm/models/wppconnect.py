"""Numbers that speak through a WPPConnect server: the session behind each, and its diary."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from crm.db import Model, Timestamp
from crm.models.columns import NOW, JsonB, choice, one_of


class SessionState(StrEnum):
    """Where a session stands, in our words; the server's raw word is `connection_status`.

    Expired = the QR code was not scanned in time; refused = the server does not take our key.
    """

    OFF = "off"
    STARTING = "starting"
    QR = "qr"
    CONNECTED = "connected"
    LOST = "lost"
    EXPIRED = "expired"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


class WppconnectSession(Model):
    """The session of one number. `token` and `webhook_secret` hold ciphertext (crm/lib/crypto)."""

    __tablename__ = "wppconnect_sessions"
    __table_args__ = (one_of("state", SessionState),)

    whatsapp_number_id: Mapped[int] = mapped_column(
        ForeignKey("whatsapp_numbers.id", ondelete="CASCADE"), primary_key=True
    )
    state: Mapped[SessionState] = mapped_column(choice(SessionState, 20), server_default="off")
    state_since: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    # Somebody pressed *Connect*, and nobody *Disconnect*: we keep it alive.
    is_wanted: Mapped[bool] = mapped_column(server_default=text("false"))
    token: Mapped[str | None] = mapped_column(Text)
    # In the address to which the server posts; the hash finds the number of a POST.
    webhook_secret: Mapped[str] = mapped_column(Text)
    webhook_secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    # The last word that the server posted of the session, until the next check has read it.
    hint: Mapped[str | None] = mapped_column(String(50))
    # Starts since it was last connected; each makes the next wait longer.
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    check_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    lost_at: Mapped[datetime | None] = mapped_column(Timestamp)
    # Messages of before belong to the phone's past and are not brought in.
    history_from: Mapped[datetime | None] = mapped_column(Timestamp)
    gaps_checked_at: Mapped[datetime | None] = mapped_column(Timestamp)
    gaps_due_at: Mapped[datetime | None] = mapped_column(Timestamp)
    recovered_count: Mapped[int] = mapped_column(server_default=text("0"))
    recovered_at: Mapped[datetime | None] = mapped_column(Timestamp)
    recovered_total: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    reconcile_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)


class NumberEvent(Model):
    """What happened to a number: a state of its session, messages that were recovered."""

    __tablename__ = "number_events"
    __table_args__ = (Index("idx_number_events_number", "whatsapp_number_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    whatsapp_number_id: Mapped[int] = mapped_column(
        ForeignKey("whatsapp_numbers.id", ondelete="CASCADE")
    )
    kind: Mapped[str] = mapped_column(String(40))
    data: Mapped[dict[str, Any]] = mapped_column(JsonB, server_default=text("'{}'::jsonb"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
