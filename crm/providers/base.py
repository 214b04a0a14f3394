"""What comes in from a provider, in shapes of ours. Plain data: nothing here knows a database.

A POST is read into a list of events: a message, a receipt for one of ours, what the number's phone
wrote, a call, a change of a preference, news of the account, ..., something that we keep without
acting on it (`Other`), or something that cannot be read (`Problem`). Every text in them is free of
NUL and lone surrogates, which Postgres refuses.
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
    id, `parent_user_id` that of the whole portfolio. `group_id` stands for a group: what is said in
    it belongs to the group, whoever says it (`metadata.group` names them).
    """

    wa_id: str | None = None
    user_id: str | None = None
    parent_user_id: str | None = None
    lid: str | None = None
    group_id: str | None = None
    other_wa_id: str | None = None
    profile_name: str | None = None
    username: str | None = None

    @property
    def identities(self) -> tuple[tuple[str, str], ...]:
        """(kind, value) pairs, the surest first: an id never changes hands, a number may."""
        if self.group_id:
            return (("group", self.group_id),)
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
    referral {...}; group {id, name, wa_id, user_id}; media {id, mime_type, sha256, filename, url};
    voice; animated;
    location {latitude, longitude, name, address, url}; contacts [{...}]; reply {id, title,
    description}; flow {name, response}; call_permission {...}; order {...}; reaction {message_id,
    emoji}; system {kind, ...}; edit {message_id, kind}; revoke {message_id}; unsupported {kind,
    errors}.

    `target_id` is the provider's id of the message that this one reacts to, edits or revokes.
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
    target_id: str | None = None
    is_utterance: bool = True
    renews_window: bool = True


@dataclass(frozen=True, slots=True)
class EchoedMessage:
    """What somebody wrote on the number's own phone: a message of ours that we did not send.

    Fields as in `InboundMessage`; `recipient` is the customer.
    """

    provider: str
    phone_number_id: str
    whatsapp_message_id: str
    kind: str
    provider_kind: str
    recipient: Sender
    timestamp: int | None
    sent_at: datetime | None
    content: str | None
    metadata: Json | None = None
    mime_type: str | None = None
    target_id: str | None = None


@dataclass(frozen=True, slots=True)
class HistoricMessage:
    """A message of before the number came to us; `status` is the provider's word for its tick."""

    message: InboundMessage | EchoedMessage
    status: str = ""

    @property
    def person(self) -> Sender:
        message = self.message
        return message.sender if isinstance(message, InboundMessage) else message.recipient


@dataclass(frozen=True, slots=True)
class HistoryChunk:
    """A piece of a number's past: thousands of messages, the pieces in any order.

    `progress` is the provider's per cent over all pieces, None where it does not say.
    """

    phone_number_id: str
    messages: tuple[HistoricMessage, ...]
    phase: int | None = None
    chunk_order: int | None = None
    progress: int | None = None


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One step of a call. `event` is the provider's word in lower case: connect, terminate,
    ringing, accepted, rejected, ...; `outcome` how it ended: completed, failed.

    `outbound` None: this step does not say who called. `duration` in seconds.
    """

    provider: str
    phone_number_id: str
    call_id: str
    event: str
    outbound: bool | None
    person: Sender
    occurred_at: datetime | None
    outcome: str | None = None
    duration: int | None = None
    raw: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PreferenceChange:
    """A person stops (or takes up again) a category of messages, told to the provider itself."""

    phone_number_id: str
    person: Sender
    category: str
    value: str
    occurred_at: datetime | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ContactChange:
    """A contact in the address book of the number's phone; names None = taken out of it."""

    phone_number_id: str
    wa_id: str
    full_name: str | None
    first_name: str | None
    occurred_at: datetime | None


@dataclass(frozen=True, slots=True)
class GroupChange:
    """Something about a group. `subject` is its name, where the event tells it."""

    phone_number_id: str
    group_id: str
    kind: str
    subject: str | None
    occurred_at: datetime | None


@dataclass(frozen=True, slots=True)
class AccountEvent:
    """News of the account, its templates or its numbers. `value` is the provider's object.

    `account_id` is the WhatsApp business account (WABA); `display_phone_number` in digits names one
    of its numbers, where the news is about one. `occurred_at` None: the provider gave no time.
    """

    field: str
    kind: str
    account_id: str | None
    display_phone_number: str | None
    occurred_at: datetime | None
    value: Json
    phone_number_id: str | None = None


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


Event = (
    InboundMessage
    | EchoedMessage
    | HistoryChunk
    | CallEvent
    | PreferenceChange
    | ContactChange
    | GroupChange
    | AccountEvent
    | Receipt
    | Other
    | Problem
)
