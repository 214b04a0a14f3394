"""Reads what Meta posts to our webhook: the signature, the envelope, the events in it.

Pure: bytes in, events out. Shapes after developers.facebook.com/documentation/business-messaging/
whatsapp/webhooks. Meta delivers at least once, in any order, in batches, and adds fields and types
without notice: whatever is readable is read, the rest becomes `Other` or `Problem` and is kept.
"""

from __future__ import annotations

import hmac
import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from crm.lib.clock import from_unix
from crm.lib.text import clean
from crm.providers.base import Event, InboundMessage, Other, Problem, Receipt, ReceiptError, Sender
from crm.providers.meta.kinds import read_kind

# Meta's bodies are about twelve levels deep; deeper ones only try out our stack.
MAX_DEPTH = 64
MAX_ID = 255
MAX_NAME = 255

# Fields that we know and keep; a later reader of the ledger acts on them.
KNOWN_FIELDS = frozenset(
    {
        "messages",
        "account_alerts",
        "account_review_update",
        "account_settings_update",
        "account_update",
        "business_capability_update",
        "business_status_update",
        "calls",
        "flows",
        "group_lifecycle_update",
        "group_participants_update",
        "group_settings_update",
        "group_status_update",
        "history",
        "message_template_components_update",
        "message_template_quality_update",
        "message_template_status_update",
        "partner_solutions",
        "payment_configuration_update",
        "phone_number_name_update",
        "phone_number_quality_update",
        "security",
        "smb_app_state_sync",
        "smb_message_echoes",
        "template_category_update",
        "tracking_events",
        "user_preferences",
    }
)
USER_ID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")


def verify_signature(raw: bytes, header: str | None, secrets: Iterable[str]) -> str | None:
    """The secret with which `X-Hub-Signature-256` signs these bytes, or None.

    Every secret is tried, so that the time tells nothing about which one fits.
    """
    scheme, _, given = (header or "").partition("=")
    if scheme != "sha256" or not given.isascii():
        return None
    found = None
    for secret in secrets:
        expected = hmac.digest(secret.encode(), raw, "sha256").hex()
        if hmac.compare_digest(expected, given):
            found = secret
    return found


def parse(raw: bytes) -> list[Event]:
    """All events of one POST, in its order. ValueError for what is no JSON of any provider.

    Refused: not UTF-8, not JSON, NaN and Infinity, deeper than MAX_DEPTH. Everything else answers
    with events, however odd the shape is.
    """
    body = read_json(raw)
    if not isinstance(body, dict) or body.get("object") != "whatsapp_business_account":
        name = str(body.get("object", ""))[:100] if isinstance(body, dict) else ""
        return [Other(field="", kind=name, phone_number_id=None, raw=body, known=False)]
    return list(_entries(body))


def read_json(raw: bytes) -> Any:
    """The body with every text cleaned. ValueError as `parse` says."""
    text = raw.decode("utf-8")
    try:
        body = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    # Both can only come in as escapes: raw ones are no JSON and no UTF-8. Most bodies are small
    # and have none, and need no walk.
    few = text.count("{") + text.count("[") <= MAX_DEPTH
    if few and "\\u0000" not in text and "\\ud" not in text and "\\uD" not in text:
        return body
    return _clean(body, depth=0)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float | str:
    """1e999 is JSON, but no number that jsonb or Python would give back: it stays text."""
    value = float(text)
    return value if math.isfinite(value) else text


def _clean(value: Any, *, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(key): _clean(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, depth=depth + 1) for item in value]
    return value


def _entries(body: dict[str, Any]) -> Iterator[Event]:
    for entry in _items(body.get("entry")):
        changes = entry.get("changes") if isinstance(entry, dict) else None
        if not isinstance(changes, list):
            yield Problem("entry_unreadable", "an entry without changes", None, entry)
            continue
        for change in changes:
            if isinstance(change, dict) and isinstance(change.get("value"), dict):
                yield from _change(str(change.get("field") or ""), change["value"])
            else:
                yield Problem("change_unreadable", "a change without a value", None, change)


def _change(field: str, value: dict[str, Any]) -> Iterator[Event]:
    metadata = value.get("metadata")
    number = _text(metadata.get("phone_number_id")) if isinstance(metadata, dict) else None
    if field != "messages":
        kind = _text(value.get("event")) or _text(value.get("type")) or ""
        yield Other(field, kind, number, value, known=field in KNOWN_FIELDS)
        return
    reader = _Reader(value, number)
    found = False
    for key, read in (("messages", reader.message), ("statuses", reader.receipt)):
        for item in _items(value.get(key)):
            found = True
            try:
                yield read(item)
            except Exception as error:
                # Whatever shape we did not foresee: this event is kept, its neighbours go on.
                yield Problem(f"{key}_unreadable", _words(error), number, item)
    if not found:
        kind = "errors" if value.get("errors") else ""
        yield Other(field, kind, number, value, known=bool(kind))


class _Reader:
    """Reads the messages and statuses of one change, which share number and contacts."""

    def __init__(self, value: dict[str, Any], number: str | None) -> None:
        self.number = number or ""
        self.errors = value.get("errors")
        metadata = value.get("metadata")
        shown = metadata.get("display_phone_number") if isinstance(metadata, dict) else None
        self.own_ids = {self.number, re.sub(r"\D", "", str(shown or ""))}
        self.contacts = [c for c in _items(value.get("contacts")) if isinstance(c, dict)]

    def message(self, item: Any) -> Event:
        message_id = self._id(item)
        provider_kind = _text(item.get("type")) or ""
        read = read_kind(item, errors=self.errors)
        timestamp, sent_at = _time(item.get("timestamp"))
        return InboundMessage(
            provider="meta",
            phone_number_id=self.number,
            whatsapp_message_id=message_id,
            kind=read.kind,
            provider_kind=provider_kind,
            sender=self._sender(item),
            timestamp=timestamp,
            sent_at=sent_at,
            content=read.content,
            metadata=read.metadata,
            mime_type=read.mime_type,
            is_utterance=read.is_utterance,
            renews_window=read.renews_window,
        )

    def receipt(self, item: Any) -> Event:
        message_id = self._id(item)
        status = _text(item.get("status"))
        if not status:
            raise ValueError("a status without its word")
        errors = [error for error in _items(item.get("errors")) if isinstance(error, dict)]
        pricing = item.get("pricing")
        return Receipt(
            provider="meta",
            phone_number_id=self.number,
            whatsapp_message_id=message_id,
            status=status,
            occurred_at=_time(item.get("timestamp"))[1],
            opaque_id=_text(item.get("biz_opaque_callback_data")),
            recipient_wa_id=_text(item.get("recipient_id")),
            recipient_user_id=_text(item.get("recipient_user_id")),
            errors=tuple(_receipt_error(error) for error in errors),
            pricing=pricing if isinstance(pricing, dict) else None,
            raw=item,
        )

    def _id(self, item: Any) -> str:
        if not isinstance(item, dict):
            raise ValueError("not an object")
        found = _text(item.get("id"))
        if not found:
            raise ValueError("without an id")
        if len(found) > MAX_ID:
            raise ValueError(f"its id has {len(found)} characters")
        return found

    def _sender(self, message: dict[str, Any]) -> Sender:
        """Message and contact name the writer together; either may lack what the other has."""
        wa_id = _text(message.get("from"))
        user_id = _text(message.get("from_user_id"))
        if wa_id in self.own_ids:
            wa_id = None
        if wa_id and USER_ID.fullmatch(wa_id):
            wa_id, user_id = None, user_id or wa_id
        contact = self._contact(wa_id, user_id)
        contact_wa_id = _text(contact.get("wa_id"))
        profile = contact.get("profile")
        profile = profile if isinstance(profile, dict) else {}
        return Sender(
            wa_id=_digits(contact_wa_id or wa_id),
            other_wa_id=_same_number(_digits(wa_id), _digits(contact_wa_id)),
            user_id=user_id or _text(contact.get("user_id")),
            parent_user_id=_text(message.get("from_parent_user_id"))
            or _text(contact.get("parent_user_id")),
            profile_name=(_text(profile.get("name")) or "")[:MAX_NAME] or None,
            username=(_text(profile.get("username")) or "").removeprefix("@")[:MAX_NAME] or None,
        )

    def _contact(self, wa_id: str | None, user_id: str | None) -> dict[str, Any]:
        for contact in self.contacts:
            if user_id and contact.get("user_id") == user_id:
                return contact
            if wa_id and _text(contact.get("wa_id")) == wa_id:
                return contact
        # One contact and no match: the same person under another form of the number. System
        # messages come without contacts, so that nobody is mistaken for the old number's owner.
        return self.contacts[0] if len(self.contacts) == 1 else {}


def _receipt_error(error: dict[str, Any]) -> ReceiptError:
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, dict) else data or error.get("details")
    return ReceiptError(
        code=_text(error.get("code")) or "",
        title=_text(error.get("title")) or "",
        message=_text(error.get("message")) or "",
        details=_text(details) or "",
    )


def _time(value: Any) -> tuple[int | None, Any]:
    """Meta writes unix seconds as text, sometimes as a number. What is neither has no time."""
    try:
        seconds = int(value)
        if seconds < 0:
            return None, None
        return seconds, from_unix(seconds)
    except (TypeError, ValueError, OverflowError):
        return None, None


def _digits(wa_id: str | None) -> str | None:
    """`+57 300 123 4567` and `573001234567` are one account; other ids stay as they are."""
    if wa_id is None:
        return None
    bare = re.sub(r"[\s()+.-]", "", wa_id)
    return (bare if bare.isdigit() else wa_id)[:MAX_ID]


def _same_number(one: str | None, other: str | None) -> str | None:
    """`one`, where it is another way to write the number `other`; None otherwise.

    Brazil's ninth digit, Mexico's 521 and Argentina's 549 change the front; the last eight digits
    stay. Two unrelated ids together are an error of somebody's, and must not join two people.
    """
    if not one or not other or one == other or not (one + other).isdigit():
        return None
    return one if one[-8:] == other[-8:] and one[:2] == other[:2] else None


def _text(value: Any) -> str | None:
    """Text or a number as text; None for everything else and for nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def _items(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _words(error: Exception) -> str:
    return (str(error) if isinstance(error, ValueError) else repr(error))[:300]
