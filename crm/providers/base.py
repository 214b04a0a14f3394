"""What comes in from a provider, in shapes of ours. Plain data: nothing here knows a database.

A POST is read into a list of events: a message, a receipt for one of ours, something that we keep
without acting on it (`Other`), or something that cannot be read (`Problem`). Every text in them is
free of NUL and lone surrogates, which Postgres refuses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sender:
    """Who wrote, as far as the provider tells. Every field may be missing, even all of them.

    `wa_id` is the account's number in digits, without a plus ("573001234567"). `other_wa_id` is a
    second form of it that came along (Brazil's ninth digit). `user_id` is Meta's business-scoped
    id, `parent_user_id` that of the whole portfolio.
    """

    wa_id: str | None = None
    user_id: str | None = None
    parent_user_id: str | None = None
    lid: str | None = None
    other_wa_id: str | None = None
    profile_name: str | None = None
    username: str | None = None

    @property
    def identities(self) -> tuple[tuple[str, str], ...]:
        """(kind, value) pairs, the surest first: an id never changes hands, a number may."""
        pairs = (
            ("user_id", self.user_id),
            ("wa_id", self.wa_id),
            ("wa_id", self.other_wa_id),
            ("lid", self.lid),
            ("parent_user_id", self.parent_user_id),
        )
        return tuple((kind, value) for kind, value in pairs if value)


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One message of a customer, or an event that the thread shows (reaction, system).

    `kind` is a message_type of ours, `provider_kind` the provider's word. `content` is what a
    person reads: text, caption, title; None where there is none. `metadata` holds what the kind
    needs, by name, plus `raw`, the provider's own object, for everything but plain text:

    quote {message_id, from}; forwarded "once" | "often"; product {catalog_id, retailer_id};
    referral {...}; group_id; media {id, mime_type, sha256, filename, url}; voice; animated;
    location {latitude, longitude, name, address, url}; contacts [{...}]; reply {id, title,
    description}; flow {name, response}; call_permission {...}; order {...}; reaction {message_id,
    emoji}; system {kind, ...}; edit {message_id, kind}; revoke {message_id}; unsupported {kind,
    errors}.

    `is_utterance` is False for what never opens or reopens a chat. `renews_window` tells whether
    it starts the provider's 24 hours anew. `timestamp` is the provider's, unix seconds; None where
    it could not be read.
    """

    provider: str
    phone_number_id: str
    whatsapp_message_id: str
    kind: str
    provider_kind: str
    sender: Sender
    timestamp: int | None
    sent_at: datetime | None
    content: str | None
    metadata: Json | None = None
    mime_type: str | None = None
    is_utterance: bool = True
    renews_window: bool = True


@dataclass(frozen=True, slots=True)
class ReceiptError:
    """Why a send failed, in the provider's words."""

    code: str
    title: str = ""
    message: str = ""
    details: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message of ours: sent, delivered, read, played, failed, or a newer word.

    `opaque_id` is what we gave along with the send (`<client_key>.<attempt>`). `pricing` is the
    provider's object as it came.
    """

    provider: str
    phone_number_id: str
    whatsapp_message_id: str
    status: str
    occurred_at: datetime | None
    opaque_id: str | None = None
    recipient_wa_id: str | None = None
    recipient_user_id: str | None = None
    errors: tuple[ReceiptError, ...] = ()
    pricing: Json | None = None
    raw: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Other:
    """Something that we keep and do not act on; `known` is False for a field that is new."""

    field: str
    kind: str
    phone_number_id: str | None
    raw: Any
    known: bool = True


@dataclass(frozen=True, slots=True)
class Problem:
    """A part that cannot be read. `reason` is a short stable name, `detail` says it in words."""

    reason: str
    detail: str
    phone_number_id: str | None
    raw: Any


Event = InboundMessage | Receipt | Other | Problem
