"""Messages of both directions, and the queue of those that still have to leave."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column, relationship

from crm.db import Model, Timestamp
from crm.models.columns import NOW, JsonB, choice, one_of

if TYPE_CHECKING:
    from crm.models.chats import Chat
    from crm.models.clients import Client
    from crm.models.files import File
    from crm.models.numbers import WhatsappNumber
    from crm.models.users import User


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class MessageType(StrEnum):
    """A voice note is `audio` with `metadata.voice`."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    DOCUMENT = "document"
    LOCATION = "location"
    CONTACT = "contact"
    STICKER = "sticker"
    TEMPLATE = "template"
    INTERACTIVE = "interactive"
    BUTTON_REPLY = "button_reply"
    LIST_REPLY = "list_reply"
    REACTION = "reaction"
    ORDER = "order"
    SYSTEM = "system"
    UNSUPPORTED = "unsupported"
    CALL = "call"


class MessageStatus(StrEnum):
    """The tick under a bubble. Receipts come late, twice and in any order: see `REPLACES`."""

    PENDING = "pending"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    UNCERTAIN = "uncertain"

    @property
    def rank(self) -> int:
        """pending < sent < delivered < read. Uncertain and failed stand outside, at pending."""
        return {"sent": 1, "delivered": 2, "read": 3}.get(self.value, 0)

    @property
    def is_final(self) -> bool:
        """Nothing is expected any more; a failed one may still be proven wrong by a receipt."""
        return self in (MessageStatus.READ, MessageStatus.FAILED)

    def may_replace(self, current: MessageStatus) -> bool:
        return current in REPLACES[self]


# A new status -> the ones that give way to it, for Python and for `status IN (...)` in SQL.
# `pending` is the person's Retry; a receipt never says it.
REPLACES: dict[MessageStatus, frozenset[MessageStatus]] = {
    MessageStatus.PENDING: frozenset({MessageStatus.FAILED}),
    MessageStatus.SENT: frozenset(
        {MessageStatus.PENDING, MessageStatus.UNCERTAIN, MessageStatus.FAILED}
    ),
    MessageStatus.DELIVERED: frozenset(
        {
            MessageStatus.PENDING,
            MessageStatus.UNCERTAIN,
            MessageStatus.FAILED,
            MessageStatus.SENT,
        }
    ),
    MessageStatus.READ: frozenset(
        {
            MessageStatus.PENDING,
            MessageStatus.UNCERTAIN,
            MessageStatus.FAILED,
            MessageStatus.SENT,
            MessageStatus.DELIVERED,
        }
    ),
    MessageStatus.FAILED: frozenset(
        {MessageStatus.PENDING, MessageStatus.UNCERTAIN, MessageStatus.SENT}
    ),
    MessageStatus.UNCERTAIN: frozenset({MessageStatus.PENDING}),
}


class QueueStatus(StrEnum):
    """Where a row of the queue stands. An `uncertain` one is never sent again by itself."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    UNCERTAIN = "uncertain"

    @property
    def is_open(self) -> bool:
        """Still holds back the messages behind it in the same chat."""
        return self in (QueueStatus.PENDING, QueueStatus.PROCESSING, QueueStatus.UNCERTAIN)

    @property
    def is_final(self) -> bool:
        return self in (QueueStatus.COMPLETED, QueueStatus.FAILED)


class ReceiptStatus(StrEnum):
    """What a provider may report of a message that we sent."""

    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


class Message(Model):
    """One message. Inbound: `delivered` on arrival, `read` when the owner opens the chat."""

    __tablename__ = "messages"
    __table_args__ = (
        one_of("direction", Direction),
        one_of("message_type", MessageType),
        one_of("status", MessageStatus),
        Index("idx_messages_whatsapp_message_id", "whatsapp_message_id", unique=True),
        # The thread in its order; also every lookup by chat alone.
        Index("idx_messages_chat_id", "chat_id", "position", "id"),
        UniqueConstraint("client_key", name="uq_messages_client_key"),
        # What speaks of another message: its reactions, edits and its deletion.
        Index(
            "idx_messages_target_whatsapp_id",
            "target_whatsapp_id",
            postgresql_where=text("target_whatsapp_id IS NOT NULL"),
        ),
        Index("idx_messages_client_id", "client_id"),
        Index("idx_messages_direction", "direction"),
        Index("idx_messages_status", "status"),
        Index("idx_messages_created_at", "created_at"),
        # Whose chat does a file stand in? Asked before its bytes are served.
        Index(
            "idx_messages_media_file_id",
            "media_file_id",
            postgresql_where=text("media_file_id IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    chat_id: Mapped[int] = mapped_column(ForeignKey("chats.id", ondelete="CASCADE"))
    client_id: Mapped[int] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"))
    whatsapp_number_id: Mapped[int] = mapped_column(
        ForeignKey("whatsapp_numbers.id", ondelete="RESTRICT")
    )
    direction: Mapped[Direction] = mapped_column(choice(Direction, 10))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    message_type: Mapped[MessageType] = mapped_column(
        choice(MessageType, 20), server_default="text"
    )
    content: Mapped[str | None] = mapped_column(Text)
    media_url: Mapped[str | None] = mapped_column(String(500))
    media_mime_type: Mapped[str | None] = mapped_column(String(100))
    media_file_id: Mapped[int | None] = mapped_column(ForeignKey("files.id"))
    meta: Mapped[dict[str, Any] | None] = mapped_column("metadata", JsonB)
    whatsapp_message_id: Mapped[str | None] = mapped_column(String(255))
    whatsapp_timestamp: Mapped[int | None] = mapped_column(BigInteger)
    # The provider's id of the message that this one reacts to, edits or revokes. Such a row is part
    # of that message's bubble, and a line of its own only while that message is not in our books.
    target_whatsapp_id: Mapped[str | None] = mapped_column(String(255))
    status: Mapped[MessageStatus] = mapped_column(
        choice(MessageStatus, 20), server_default="pending"
    )
    error_code: Mapped[str | None] = mapped_column(String(50))
    error_message: Mapped[str | None] = mapped_column(Text)
    sent_at: Mapped[datetime | None] = mapped_column(Timestamp)
    delivered_at: Mapped[datetime | None] = mapped_column(Timestamp)
    read_at: Mapped[datetime | None] = mapped_column(Timestamp)
    failed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    retry_count: Mapped[int] = mapped_column(server_default=text("0"))
    max_retries: Mapped[int] = mapped_column(server_default=text("3"))
    is_bot_message: Mapped[bool] = mapped_column(server_default=text("false"))
    quick_reply_id: Mapped[int | None] = mapped_column(ForeignKey("quick_replies.id"))
    # From the composer's form: a double click is one message. NULL for inbound.
    client_key: Mapped[UUID | None]
    # The place in the thread, which never moves: the provider's time for inbound, Postgres' time
    # for outbound; ties by id.
    position: Mapped[datetime] = mapped_column(Timestamp, server_default=text("clock_timestamp()"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)
    deleted_at: Mapped[datetime | None] = mapped_column(Timestamp)

    chat: Mapped[Chat] = relationship(foreign_keys=[chat_id])
    client: Mapped[Client] = relationship()
    whatsapp_number: Mapped[WhatsappNumber] = relationship()
    user: Mapped[User | None] = relationship()
    media_file: Mapped[File | None] = relationship()
    queued: Mapped[QueuedMessage | None] = relationship(back_populates="message")


class MessageWords(Model):
    """The words of a message's content, for the search; written a moment after the message.

    Beside the messages and not in them: a message is updated with each of its ticks, and would
    carry its words through this index every time. `services/messages/words.py` keeps it.
    """

    __tablename__ = "message_words"
    __table_args__ = (
        Index(
            "idx_message_words_words",
            "words",
            postgresql_using="gin",
            # One job writes here, in sets; who searches should not read a list of what is not
            # sorted in yet.
            postgresql_with={"fastupdate": "off"},
        ),
    )

    message_id: Mapped[int] = mapped_column(
        BigInteger,
        ForeignKey("messages.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )
    words: Mapped[str] = mapped_column(TSVECTOR)


class QueuedMessage(Model):
    """A message that has to leave. `attempts` is the fence: later writes carry it and `owner`."""

    __tablename__ = "message_queue"
    __table_args__ = (
        one_of("status", QueueStatus),
        UniqueConstraint("message_id", name="uq_message_queue_message_id"),
        Index("idx_message_queue_status", "status"),
        Index("idx_message_queue_scheduled_at", "scheduled_at"),
        Index("idx_message_queue_priority", "priority"),
        # What is due on a number, in the order in which it leaves.
        Index(
            "idx_message_queue_due",
            "whatsapp_number_id",
            text("priority DESC"),
            "scheduled_at",
            "id",
            postgresql_where=text("status = 'pending'"),
        ),
        # Is anything of the chat still ahead of this row?
        Index(
            "idx_message_queue_chat_open",
            "chat_id",
            "id",
            postgresql_where=text("status IN ('pending', 'processing', 'uncertain')"),
        ),
        Index(
            "idx_message_queue_leases",
            "lease_until",
            postgresql_where=text("status = 'processing'"),
        ),
        Index(
            "idx_message_queue_uncertain",
            "submitted_at",
            postgresql_where=text("status = 'uncertain'"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    message_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("messages.id", ondelete="CASCADE")
    )
    # Copies of the message's own, so that a claim reads one table.
    chat_id: Mapped[int] = mapped_column(ForeignKey("chats.id", ondelete="CASCADE"))
    whatsapp_number_id: Mapped[int] = mapped_column(
        ForeignKey("whatsapp_numbers.id", ondelete="RESTRICT")
    )
    priority: Mapped[int] = mapped_column(server_default=text("0"))
    scheduled_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    status: Mapped[QueueStatus] = mapped_column(choice(QueueStatus, 20), server_default="pending")
    processing_started_at: Mapped[datetime | None] = mapped_column(Timestamp)
    processing_completed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    # Tries that count against `messages.max_retries` (transport, 5xx), and refusals in a row for
    # too many messages to one person: each has a back-off of its own.
    retries: Mapped[int] = mapped_column(server_default=text("0"))
    pair_retries: Mapped[int] = mapped_column(server_default=text("0"))
    # Leases that ran out before the call: perhaps it is this row that ends its workers.
    crashes: Mapped[int] = mapped_column(server_default=text("0"))
    lease_until: Mapped[datetime | None] = mapped_column(Timestamp)
    owner: Mapped[UUID | None]
    # Set just before the body may reach the provider: from here on, no answer means "uncertain".
    submitted_at: Mapped[datetime | None] = mapped_column(Timestamp)
    last_error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW, onupdate=NOW)

    message: Mapped[Message] = relationship(back_populates="queued")


class EarlyReceipt(Model):
    """A status that came before its message was recorded as sent; `record_sent` reads it."""

    __tablename__ = "early_receipts"
    __table_args__ = (
        one_of("status", ReceiptStatus),
        UniqueConstraint(
            "whatsapp_message_id", "status", name="uq_early_receipts_whatsapp_message_id_status"
        ),
        Index(
            "idx_early_receipts_client_key",
            "client_key",
            postgresql_where=text("client_key IS NOT NULL"),
        ),
        Index("idx_early_receipts_received_at", "received_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    whatsapp_message_id: Mapped[str] = mapped_column(String(255))
    client_key: Mapped[UUID | None]
    status: Mapped[ReceiptStatus] = mapped_column(choice(ReceiptStatus, 20))
    occurred_at: Mapped[datetime] = mapped_column(Timestamp)
    data: Mapped[dict[str, Any] | None] = mapped_column(JsonB)
    received_at: Mapped[datetime] = mapped_column(Timestamp, server_default=NOW)
