"""What stands around an account: attempts to sign in, known devices, links, codes, e-mails."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from crm.db import Model, Timestamp
from crm.models.columns import NOW, choice, one_of


class AttemptKind(StrEnum):
    """Whose failures are counted. `key` is a hash: neither addresses nor e-mails stand here."""

    DEVICE = "device"  # an account, from a browser that has signed in to it before
    ORIGIN = "origin"  # an account, from one network
    ACCOUNT = "account"  # an account, from everywhere else
    NETWORK = "network"  # any account, from one network
    CODE = "code"  # second factor of an account
    RESET = "reset"  # requests for a new password


class LinkPurpose(StrEnum):
    INVITE = "invite"
    RESET = "reset"


class EmailKind(StrEnum):
    """What an e-mail says. Those with a link get it at the moment of sending."""

    INVITE = "invite"
    RESET = "reset"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a word, not a password
    TWO_FACTOR_CHANGED = "two_factor_changed"
    ALARM = "alarm"


class EmailStatus(StrEnum):
    """`dropped`: nothing to send, e.g. a reset for an address that nobody has."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"


class LoginAttempt(Model):
    """Failures of one kind and key, and until when the next try is refused without a look."""

    __tablename__ = "login_attempts"
    __table_args__ = (
        one_of("kind", AttemptKind),
        Index("idx_login_attempts_last_at", "last_at"),
    )

    kind: Mapped[AttemptKind] = mapped_column(choice(AttemptKind, 20), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int]
    first_at: Mapped[datetime] = mapped_column(Timestamp)
    last_at: Mapped[datetime] = mapped_column(Timestamp)
    blocked_until: Mapped[datetime] = mapped_column(Timestamp)


class KnownDevice(Model):
    """A browser that has signed in to an account; `token` is the hash of its cookie."""

    __tablename__ = "known_devices"
    __table_args__ = (
        UniqueConstraint("user_id", "token", name="uq_known_devices_user_id_token"),
        Index("idx_known_devices_last_used_at", "last_used_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    token: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    last_used_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)


class BackupCode(Model):
    """One of the ten codes for when the phone is away; hashed, good for one sign-in."""

    __tablename__ = "backup_codes"
    __table_args__ = (UniqueConstraint("user_id", "code", name="uq_backup_codes_user_id_code"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    code: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    used_at: Mapped[datetime | None] = mapped_column(Timestamp)


class AccountLink(Model):
    """A link that lets somebody set a password once; `token` is the hash of its random part."""

    __tablename__ = "account_links"
    __table_args__ = (
        one_of("purpose", LinkPurpose),
        UniqueConstraint("token", name="uq_account_links_token"),
        Index("idx_account_links_user_id", "user_id"),
        Index("idx_account_links_expires_at", "expires_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    purpose: Mapped[LinkPurpose] = mapped_column(choice(LinkPurpose, 20))
    token: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime] = mapped_column(Timestamp)
    used_at: Mapped[datetime | None] = mapped_column(Timestamp)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


class OutgoingEmail(Model):
    """An e-mail to be sent. It holds no text and no link: the job writes both when it sends."""

    __tablename__ = "outgoing_emails"
    __table_args__ = (
        one_of("kind", EmailKind),
        one_of("status", EmailStatus),
        Index(
            "idx_outgoing_emails_due_at",
            "due_at",
            postgresql_where=text("status = 'pending'"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    kind: Mapped[EmailKind] = mapped_column(choice(EmailKind, 30))
    recipient: Mapped[str] = mapped_column(String(255))
    # NULL for a request by somebody who is not signed in: the job looks whose address it is.
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    # What an e-mail of the kind alarm speaks of.
    alarm_id: Mapped[int | None] = mapped_column(ForeignKey("alarms.id", ondelete="CASCADE"))
    status: Mapped[EmailStatus] = mapped_column(choice(EmailStatus, 20), server_default="pending")
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    due_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    sent_at: Mapped[datetime | None] = mapped_column(Timestamp)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
