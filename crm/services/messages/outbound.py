"""The way out begins here: a message and its row in the queue, in one transaction.

Nothing is sent here. After the commit the bubble shows a clock and the delivery is rung for.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select, update

from crm.db import database_now, db
from crm.doorbell import ring_on_commit
from crm.errors import Conflict, NotFound
from crm.events import ChatChanged, MessageAdded, MessageChanged, publish_on_commit
from crm.models import (
    Chat,
    ChatEvent,
    Client,
    Direction,
    File,
    LeadStatus,
    Message,
    MessageStatus,
    Provider,
    QueuedMessage,
    QueueStatus,
    QuickReply,
    User,
    WhatsappNumber,
)
from crm.providers.outbound import Content
from crm.services.chats import Actor, ChatIsOver, lock_chat, person, record_human_reply
from crm.services.chats.moves import touch_chat
from crm.services.messages import delivery, window
from crm.services.messages.announcing import announce_ticks, audience_of
from crm.services.messages.checks import check_content
from crm.services.messages.consent import is_unwanted
from crm.services.messages.contents import Described, describe

MAX_RETRIES = 6
# The providers that the delivery can speak to.
SENDABLE = frozenset({Provider.META, Provider.WPPCONNECT})


class Priority(IntEnum):
    """Between chats, what leaves first. Within a chat only the order of writing counts."""

    AGENT = 100
    BOT = 50
    BULK = 0


class WindowClosed(Conflict):
    code = "window_closed"
    message = "More than 24 hours since the customer's last message: send a template."


class ClientBlocked(Conflict):
    code = "client_blocked"
    message = "This contact is blocked."


class OptedOut(Conflict):
    code = "opted_out"
    message = (
        "This contact has not agreed to advertising: a marketing template may not be sent. "
        "Answers and service templates may."
    )


class CannotSend(Conflict):
    code = "cannot_send"
    message = "This number cannot send messages."


class NotWaiting(Conflict):
    code = "not_waiting"
    message = "This message is already on its way or was sent."


class NotFailed(Conflict):
    code = "not_failed"
    message = "Only a message that failed can be sent again."


def queue_outbound(
    chat: Chat,
    content: Content,
    *,
    author: User | None = None,
    client_key: UUID | None = None,
    reply_to: Message | None = None,
    quick_reply_id: int | None = None,
    priority: Priority | None = None,
    file: File | None = None,
) -> Message:
    """Write a message of ours and queue it; the caller's transaction commits both.

    `author` is the person who wrote it; None means a bot or the system. `client_key` comes from the
    composer's form: the same key again returns the message that is there (a double click is one
    message). `reply_to` is the message that this one quotes, `file` what a Media is made of.
    Templates go through `services.templates.queue_template`, which knows what they say.

    Raises ChatIsOver, WindowClosed, ClientBlocked, CannotSend, Invalid for what WhatsApp would not
    take, Conflict for a key that belongs to another chat.
    """
    return queue_described(
        chat,
        describe(check_content(content)),
        author=author,
        client_key=client_key,
        reply_to=reply_to,
        quick_reply_id=quick_reply_id,
        priority=priority,
        file=file,
    )


def queue_described(
    chat: Chat,
    row: Described,
    *,
    author: User | None = None,
    client_key: UUID | None = None,
    reply_to: Message | None = None,
    quick_reply_id: int | None = None,
    priority: Priority | None = None,
    file: File | None = None,
) -> Message:
    """The second half of `queue_outbound`, for a content that is checked and described."""
    client_key = client_key or uuid4()
    # The house's order of locks. They also make the second click wait for the first one's commit.
    client = _lock_client(chat.client_id)
    chat = lock_chat(chat.id)
    existing = db.session.scalar(select(Message).where(Message.client_key == client_key))
    if existing is not None:
        if existing.chat_id != chat.id:
            raise Conflict
        return existing
    if chat.status.is_final:
        raise ChatIsOver
    check_may_send(
        client,
        whatsapp_number_id=chat.whatsapp_number_id,
        template=(row.meta or {}).get("template"),
    )
    # What is seen on another message (a reaction, an edit) answers nobody and counts as no message.
    speaks = row.target_id is None
    if author is not None and speaks:
        chat = record_human_reply(chat, author)
        _note_contact(client, chat, author)
    message = Message(
        chat_id=chat.id,
        client_id=chat.client_id,
        whatsapp_number_id=chat.whatsapp_number_id,
        direction=Direction.OUTBOUND,
        message_type=row.kind,
        content=row.text,
        media_file_id=file.id if file else None,
        media_mime_type=file.mime_type if file else None,
        user_id=author.id if author else None,
        is_bot_message=author is None,
        meta={**row.meta, **_quote(reply_to)} or None,
        quick_reply_id=quick_reply_id,
        client_key=client_key,
        max_retries=MAX_RETRIES,
        status=MessageStatus.PENDING,
        position=database_now(),
        target_whatsapp_id=row.target_id,
    )
    db.session.add(message)
    db.session.flush()
    if quick_reply_id is not None:
        _count_quick_reply(quick_reply_id)
    if priority is None:
        priority = Priority.AGENT if author else Priority.BOT
    _enqueue(message, priority=priority)
    _announce(chat, message)
    if speaks:
        _count(chat, client, message)
    return message


def retry_message(message: Message, *, actor: Actor) -> Message:
    """Send a failed message again, behind what its chat still has waiting.

    Its place in the thread stays.

    Raises NotFailed, and what `queue_outbound` raises of the chat, the client and the window.
    """
    client = _lock_client(message.client_id)
    chat = lock_chat(message.chat_id)
    message = _lock_message(message.id)
    if message.direction != Direction.OUTBOUND or message.status is not MessageStatus.FAILED:
        raise NotFailed
    if chat.status.is_final:
        raise ChatIsOver
    check_may_send(
        client,
        whatsapp_number_id=message.whatsapp_number_id,
        template=(message.meta or {}).get("template"),
    )
    old = _lock_queue_row(message.id)
    attempts, priority = (old.attempts, old.priority) if old else (0, Priority.AGENT)
    if old is not None:
        # A new row, not the old one revived: its number would put it before messages that may be
        # leaving at this moment.
        db.session.delete(old)
        db.session.flush()
    message.status = MessageStatus.PENDING
    message.error_code = message.error_message = message.failed_at = None
    # The provider gives a new id; the old one belongs to the try that failed.
    message.whatsapp_message_id = None
    # The attempts go on counting: reports of an earlier try stay recognisable.
    _enqueue(message, priority=priority, attempts=attempts)
    _note(chat, "message_retried", message, actor)
    announce_ticks({message.id: chat.id})
    return message


def cancel_message(message: Message, *, actor: Actor) -> Message:
    """Take back a message that still waits; those behind it go on. NotWaiting if it is too late."""
    chat = lock_chat(message.chat_id)
    message = _lock_message(message.id)
    row = _lock_queue_row(message.id)
    if row is None or row.status is not QueueStatus.PENDING:
        raise NotWaiting
    if message.status is not MessageStatus.PENDING:
        raise NotWaiting
    now = database_now()
    row.status = QueueStatus.FAILED
    row.processing_completed_at = now
    message.status = MessageStatus.FAILED
    message.error_code = "cancelled"
    message.error_message = "Cancelled before it was sent."
    message.failed_at = now
    _note(chat, "message_cancelled", message, actor)
    announce_ticks({message.id: chat.id})
    ring_on_commit("messages.deliver", message.whatsapp_number_id)
    return message


def check_may_send(
    client: Client, *, whatsapp_number_id: int, template: dict[str, Any] | None = None
) -> None:
    """Raise the reason why this may not leave to this client through this number.

    `template` is the metadata of a template message; None is free text and all the rest.
    """
    number = db.session.get_one(WhatsappNumber, whatsapp_number_id)
    if number.provider not in SENDABLE or number.deleted_at is not None:
        raise CannotSend
    if client.is_blocked:
        raise ClientBlocked
    if template is not None:
        if is_unwanted(client, template):
            raise OptedOut
    elif not window.is_open(
        client_id=client.id, whatsapp_number_id=number.id, provider=number.provider
    ):
        raise WindowClosed


def find_blocking_message(message: Message) -> Message | None:
    """The message of the same chat for which this waiting one waits, if any."""
    own = db.session.scalar(select(QueuedMessage.id).where(QueuedMessage.message_id == message.id))
    return db.session.scalar(
        select(Message)
        .join(QueuedMessage, QueuedMessage.message_id == Message.id)
        .where(
            QueuedMessage.chat_id == message.chat_id,
            QueuedMessage.id < own,
            QueuedMessage.status.in_([status for status in QueueStatus if status.is_open]),
        )
        .order_by(QueuedMessage.id)
        .limit(1)
    )


def _lock_client(client_id: int) -> Client:
    return db.session.scalars(
        select(Client)
        .where(Client.id == client_id)
        .with_for_update(key_share=True, of=Client)
        .execution_options(populate_existing=True)
    ).one()


def _lock_message(message_id: int) -> Message:
    message = db.session.scalar(
        select(Message)
        .where(Message.id == message_id)
        .with_for_update(key_share=True, of=Message)
        .execution_options(populate_existing=True)
    )
    if message is None:
        raise NotFound
    return message


def _lock_queue_row(message_id: int) -> QueuedMessage | None:
    return db.session.scalar(
        select(QueuedMessage)
        .where(QueuedMessage.message_id == message_id)
        .with_for_update(of=QueuedMessage)
        .execution_options(populate_existing=True)
    )


def _enqueue(message: Message, *, priority: int, attempts: int = 0) -> None:
    """The row's number is the order of leaving within the chat, because the chat is locked.

    What still waits before it becomes as urgent: an agent's answer would else wait for the
    customer's turn in a mass sending.
    """
    delivery.hurry_chat(message.chat_id, priority=int(priority))
    db.session.add(
        QueuedMessage(
            message_id=message.id,
            chat_id=message.chat_id,
            whatsapp_number_id=message.whatsapp_number_id,
            priority=int(priority),
            attempts=attempts,
            scheduled_at=func.clock_timestamp(),
        )
    )
    db.session.flush()
    ring_on_commit("messages.deliver", message.whatsapp_number_id)


def _count(chat: Chat, client: Client, message: Message) -> None:
    chat.message_count += 1
    chat.last_message_id = message.id
    chat.last_message_at = message.position
    client.last_contact_at = message.position
    touch_chat(chat)
    publish_on_commit(ChatChanged(chat.id), audience_of(chat))


def _count_quick_reply(quick_reply_id: int) -> None:
    db.session.execute(
        update(QuickReply)
        .where(QuickReply.id == quick_reply_id)
        .values(usage_count=QuickReply.usage_count + 1, updated_at=QuickReply.updated_at)
    )


def _announce(chat: Chat, message: Message) -> None:
    """A reaction or an edit is news of the message that it speaks of."""
    if message.target_whatsapp_id is None:
        publish_on_commit(MessageAdded(chat.id, message.id), audience_of(chat))
        return
    target = db.session.scalar(
        select(Message.id).where(Message.whatsapp_message_id == message.target_whatsapp_id)
    )
    if target is not None:
        publish_on_commit(MessageChanged(chat.id, target), audience_of(chat))


def _quote(reply_to: Message | None) -> dict[str, Any]:
    """The same shape as in a message of the customer that quotes; see providers/base.py."""
    if reply_to is None or reply_to.whatsapp_message_id is None:
        return {}
    return {"quote": {"message_id": reply_to.whatsapp_message_id}}


def _note_contact(client: Client, chat: Chat, author: User) -> None:
    """The first human answer makes a new lead a contacted one."""
    if client.lead_status is LeadStatus.NEW:
        client.lead_status = LeadStatus.CONTACTED
        _note(chat, "lead_moved", None, person(author.id), lead_status=LeadStatus.CONTACTED.value)


def _note(chat: Chat, kind: str, message: Message | None, actor: Actor, **data: Any) -> None:
    """A line in the chat's history that is no move: it names no state."""
    if message is not None:
        data["message_id"] = message.id
    db.session.add(
        ChatEvent(
            chat_id=chat.id,
            kind=kind,
            actor_kind=actor.kind,
            actor_user_id=actor.user_id,
            data=data,
            created_at=database_now(),
        )
    )
