"""Edits and deletions of what we have sent: who may, for how long, and through which provider.

An edit or a deletion is a row of its own that speaks of the message, as the customer's are (see
changes.py); it leaves by the same queue, in its place, and the message shows it once WhatsApp has
taken it.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from crm.db import database_now, db
from crm.errors import Conflict
from crm.models import (
    Chat,
    Direction,
    Message,
    MessageStatus,
    MessageType,
    Provider,
    User,
    WhatsappNumber,
)
from crm.providers.outbound import Deletion, Edit
from crm.services.messages.outbound import queue_outbound

# Meta's Cloud API has no call for either; WPPConnect does what WhatsApp Web does.
AMENDABLE = frozenset({Provider.WPPCONNECT})
# WhatsApp's own limits; it takes back for "about two days".
EDIT_FOR = timedelta(minutes=15)
DELETE_FOR = timedelta(hours=48)
ARRIVED = frozenset({MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.READ})


class CannotAmend(Conflict):
    code = "cannot_amend"
    message = (
        "Meta's WhatsApp cannot edit or delete what was sent. Write to the customer what is right."
    )


class TooLate(Conflict):
    code = "too_late"


class NotEditable(Conflict):
    code = "not_editable"
    message = "Only a text that you sent yourself can be edited."


class NotSentYet(Conflict):
    code = "not_sent_yet"
    message = "This message has not reached WhatsApp yet."


def edit_message(message: Message, words: str, *, author: User, client_key: UUID) -> Message:
    """Queue new words for a text of one's own. The same words again change nothing.

    Raises CannotAmend, NotEditable, NotSentYet, TooLate, and what `queue_outbound` raises.
    """
    chat = check_editable(message, author=author)
    if words.strip() == (message.content or "").strip():
        return message
    return queue_outbound(
        chat, Edit(message.whatsapp_message_id or "", words), author=author, client_key=client_key
    )


def delete_message(message: Message, *, author: User, client_key: UUID) -> Message:
    """Queue that a message of ours disappears from everybody's phone; once is enough.

    Raises CannotAmend, NotSentYet, TooLate, and what `queue_outbound` raises.
    """
    chat = check_deletable(message)
    under_way = db.session.scalar(
        select(Message).where(
            Message.target_whatsapp_id == message.whatsapp_message_id,
            Message.direction == Direction.OUTBOUND,
            Message.meta.has_key("revoke"),
            Message.status != MessageStatus.FAILED,
        )
    )
    if under_way is not None:
        return under_way
    return queue_outbound(
        chat, Deletion(message.whatsapp_message_id or ""), author=author, client_key=client_key
    )


def check_editable(message: Message, *, author: User) -> Chat:
    """The message's chat, where this person may edit it now; raises the reason otherwise."""
    chat = _check(message)
    if message.message_type is not MessageType.TEXT or message.user_id != author.id:
        raise NotEditable
    if _age(message) > EDIT_FOR:
        raise TooLate("WhatsApp lets a message be edited for 15 minutes only.")
    return chat


def check_deletable(message: Message) -> Chat:
    chat = _check(message)
    if _age(message) > DELETE_FOR:
        raise TooLate("WhatsApp lets a message be deleted for everybody for two days only.")
    return chat


def _check(message: Message) -> Chat:
    number = db.session.get_one(WhatsappNumber, message.whatsapp_number_id)
    if number.provider not in AMENDABLE:
        raise CannotAmend
    if message.direction != Direction.OUTBOUND or message.target_whatsapp_id is not None:
        raise NotEditable
    if message.status not in ARRIVED or not message.whatsapp_message_id:
        raise NotSentYet
    if message.deleted_at is not None:
        raise TooLate("This message is deleted already.")
    return db.session.get_one(Chat, message.chat_id)


def _age(message: Message) -> timedelta:
    return database_now() - (message.sent_at or message.position)
