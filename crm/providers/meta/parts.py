"""Pieces that every reader of Meta's bodies uses: ids, times, people, one change's messages.

Pure, and forgiving: a field that is missing, or of another type than documented, is left out.
"""

from __future__ import annotations

import re
from typing import Any

from crm.lib.clock import from_unix
from crm.providers.base import EchoedMessage, InboundMessage, Json, Receipt, ReceiptError, Sender
from crm.providers.meta.kinds import MAX_ID, read_kind

MAX_NAME = 255
USER_ID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")


class Reader:
    """Reads the messages and statuses of one change, which share number and contacts."""

    def __init__(self, value: dict[str, Any], number: str | None) -> None:
        self.number = number or ""
        self.errors = value.get("errors")
        metadata = value.get("metadata")
        shown = metadata.get("display_phone_number") if isinstance(metadata, dict) else None
        self.own_ids = {self.number, re.sub(r"\D", "", str(shown or ""))} - {""}
        self.contacts = [c for c in items(value.get("contacts")) if isinstance(c, dict)]

    def is_own(self, wa_id: str | None) -> bool:
        """Is this our number, by its id or as people dial it?"""
        return wa_id is not None and (wa_id in self.own_ids or digits(wa_id) in self.own_ids)

    def message(self, item: Any) -> InboundMessage:
        """Somebody's message to us."""
        message_id = self.id_of(item)
        read = read_kind(item, errors=self.errors)
        sender = self._sender(item)
        if group := read.extra.get("group"):
            names = {"name": sender.profile_name, "wa_id": sender.wa_id, "user_id": sender.user_id}
            group.update({key: value for key, value in names.items() if value})
            sender = Sender(group_id=group["id"][:MAX_ID])
        timestamp, sent_at = read_time(item.get("timestamp"))
        return InboundMessage(
            provider="meta",
            phone_number_id=self.number,
            whatsapp_message_id=message_id,
            kind=read.kind,
            provider_kind=text(item.get("type")) or "",
            sender=sender,
            timestamp=timestamp,
            sent_at=sent_at,
            content=read.content,
            metadata=read.metadata,
            mime_type=read.mime_type,
            target_id=read.target_id,
            is_utterance=read.is_utterance,
            renews_window=read.renews_window,
        )

    def echo(self, item: Any, recipient: Sender | None = None) -> EchoedMessage:
        """A message that the number's own phone sent."""
        message_id = self.id_of(item)
        read = read_kind(item, errors=self.errors)
        timestamp, sent_at = read_time(item.get("timestamp"))
        return EchoedMessage(
            provider="meta",
            phone_number_id=self.number,
            whatsapp_message_id=message_id,
            kind=read.kind,
            provider_kind=text(item.get("type")) or "",
            recipient=recipient or self.recipient(item),
            timestamp=timestamp,
            sent_at=sent_at,
            content=read.content,
            metadata=read.metadata,
            mime_type=read.mime_type,
            target_id=read.target_id,
        )

    def receipt(self, item: Any) -> Receipt:
        """What became of a message of ours."""
        message_id = self.id_of(item)
        status = text(item.get("status"))
        if not status:
            raise ValueError("a status without its word")
        errors = [error for error in items(item.get("errors")) if isinstance(error, dict)]
        pricing = item.get("pricing")
        return Receipt(
            provider="meta",
            phone_number_id=self.number,
            whatsapp_message_id=message_id,
            status=status,
            occurred_at=read_time(item.get("timestamp"))[1],
            opaque_id=text(item.get("biz_opaque_callback_data")),
            recipient_wa_id=text(item.get("recipient_id")),
            recipient_user_id=text(item.get("recipient_user_id")),
            errors=tuple(receipt_error(error) for error in errors),
            pricing=pricing if isinstance(pricing, dict) else None,
            raw=item,
        )

    def id_of(self, item: Any) -> str:
        if not isinstance(item, dict):
            raise ValueError("not an object")
        found = text(item.get("id"))
        if not found:
            raise ValueError("without an id")
        if len(found) > MAX_ID:
            raise ValueError(f"its id has {len(found)} characters")
        return found

    def _sender(self, message: Json) -> Sender:
        return self.person(
            text(message.get("from")),
            text(message.get("from_user_id")),
            text(message.get("from_parent_user_id")),
        )

    def recipient(self, message: Json) -> Sender:
        """To whom a message of ours went: an echo, or a status."""
        if message.get("group_id"):
            return Sender(group_id=str(message["group_id"])[:MAX_ID])
        return self.person(
            text(message.get("to")),
            text(message.get("to_user_id")),
            text(message.get("to_parent_user_id")),
        )

    def named(self, wa_id: str | None, user_id: str | None) -> Sender:
        """A person whom the event names for certain: a contact with another number is another."""
        person = self.person(wa_id, user_id)
        if are_two_people(digits(wa_id), person.wa_id):
            return Sender(wa_id=digits(wa_id), user_id=user_id)
        return person

    def person(
        self, wa_id: str | None, user_id: str | None, parent_user_id: str | None = None
    ) -> Sender:
        """Event and contact name a person together; either may lack what the other has."""
        if self.is_own(wa_id):
            wa_id = None
        if wa_id and USER_ID.fullmatch(wa_id):
            wa_id, user_id = None, user_id or wa_id
        contact = self._contact(wa_id, user_id)
        contact_wa_id = text(contact.get("wa_id"))
        profile = contact.get("profile")
        profile = profile if isinstance(profile, dict) else {}
        return Sender(
            wa_id=digits(contact_wa_id or wa_id),
            other_wa_id=same_number(digits(wa_id), digits(contact_wa_id)),
            user_id=user_id or text(contact.get("user_id")),
            parent_user_id=parent_user_id or text(contact.get("parent_user_id")),
            profile_name=(text(profile.get("name")) or "")[:MAX_NAME] or None,
            username=(text(profile.get("username")) or "").removeprefix("@")[:MAX_NAME] or None,
        )

    def _contact(self, wa_id: str | None, user_id: str | None) -> dict[str, Any]:
        for contact in self.contacts:
            if user_id and contact.get("user_id") == user_id:
                return contact
            if wa_id and text(contact.get("wa_id")) == wa_id:
                return contact
        # One contact and no match: the same person under another form of the number. System
        # messages come without contacts, so that nobody is mistaken for the old number's owner.
        return self.contacts[0] if len(self.contacts) == 1 else {}


def receipt_error(error: dict[str, Any]) -> ReceiptError:
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, dict) else data or error.get("details")
    return ReceiptError(
        code=text(error.get("code")) or "",
        title=text(error.get("title")) or "",
        message=text(error.get("message")) or "",
        details=text(details) or "",
    )


def read_time(value: Any) -> tuple[int | None, Any]:
    """Meta writes unix seconds as text, sometimes as a number. What is neither has no time."""
    try:
        seconds = int(value)
        if seconds < 0:
            return None, None
        return seconds, from_unix(seconds)
    except (TypeError, ValueError, OverflowError):
        return None, None


def digits(wa_id: str | None) -> str | None:
    """`+57 300 123 4567` and `573001234567` are one account; other ids stay as they are."""
    if wa_id is None:
        return None
    bare = re.sub(r"[\s()+.-]", "", wa_id)
    return (bare if bare.isdigit() else wa_id)[:MAX_ID]


def same_number(one: str | None, other: str | None) -> str | None:
    """`one`, where it is another way to write the number `other`; None otherwise.

    Brazil's ninth digit, Mexico's 521 and Argentina's 549 change the front; the last eight digits
    stay. Two unrelated ids together are an error of somebody's, and must not join two people.
    """
    if not one or not other or one == other or not (one + other).isdigit():
        return None
    return one if one[-8:] == other[-8:] and one[:2] == other[:2] else None


def are_two_people(one: str | None, other: str | None) -> bool:
    """Two numbers that are not two spellings of one."""
    if not one or not other or not (one + other).isdigit():
        return False
    return one != other and same_number(one, other) is None


def text(value: Any) -> str | None:
    """Text or a number as text; None for everything else and for nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def items(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def words(error: Exception) -> str:
    return (str(error) if isinstance(error, ValueError) else repr(error))[:300]
