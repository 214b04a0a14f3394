"""What goes out to a provider and what comes back. Our shapes, which every provider takes."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Effect(StrEnum):
    """What an error of a provider does to the message, the chat and the number."""

    PERMANENT = "permanent"
    """This message will never be taken: it fails at once."""
    RETRY = "retry"
    """Something passing: again after a growing delay, counted against max_retries."""
    RATE = "rate"
    """The number sends too fast or is in maintenance: the number slows down; never counted."""
    PAIR = "pair"
    """Too many messages to this one person: this chat waits 4^n s; never counted."""
    CHANNEL = "channel"
    """The number itself is refused (token, account, billing): its queue is held, nothing fails."""
    UNKNOWN = "unknown"
    """Nobody knows whether the message was taken: uncertain, never sent again by itself."""


class ProviderError(Exception):
    """A send that did not end with the provider's yes.

    `code` is the provider's own code as text, or one of ours ("timeout", "http_502"). `reason` is
    an English msgid in plain words for the agent. `detail` is the provider's text, for the log and
    for support. `wait_seconds` is the least delay before trying again, where one is known.
    """

    def __init__(
        self,
        reason: str,
        *,
        effect: Effect,
        code: str,
        detail: str = "",
        wait_seconds: float | None = None,
    ) -> None:
        super().__init__(f"{code}: {reason}")
        self.reason = reason
        self.effect = effect
        self.code = code
        self.detail = detail
        self.wait_seconds = wait_seconds

    @property
    def permanent(self) -> bool:
        return self.effect is Effect.PERMANENT


@dataclass(frozen=True)
class Recipient:
    """Who gets it: a phone number in digits ("573001234567"), or a provider's own user id.

    The user id (Meta's business-scoped one, "CO.13491208655302741918") and the `lid` (the digits of
    WhatsApp's hidden id, which WPPConnect takes) serve for people who hide their number. Where the
    phone is known it is used.
    """

    phone: str | None = None
    user_id: str | None = None
    lid: str | None = None

    def __post_init__(self) -> None:
        if not (self.phone or self.user_id or self.lid):
            raise ValueError("a recipient needs a phone, a user id or a lid")


class MediaKind(StrEnum):
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    DOCUMENT = "document"
    STICKER = "sticker"


@dataclass(frozen=True)
class Text:
    body: str = field(repr=False)
    preview_url: bool = True
    """Whether the first web address in it gets a preview."""


@dataclass(frozen=True)
class Media:
    """A file: by the provider's id of an upload, by a public https link, or by its path here.

    Meta takes the first two, WPPConnect the last. `voice` makes an audio (Ogg with Opus, one
    channel) a voice note. Audio and stickers have no caption; only a document has a filename.
    """

    kind: MediaKind
    media_id: str | None = None
    link: str | None = None
    path: str | None = None
    mime_type: str | None = None
    caption: str | None = field(default=None, repr=False)
    filename: str | None = None
    voice: bool = False


@dataclass(frozen=True)
class Location:
    """A pin: degrees, north and east positive."""

    latitude: float
    longitude: float
    name: str | None = None
    address: str | None = None


@dataclass(frozen=True)
class ContactPhone:
    """`phone` as it is shown ("+57 300 123 4567"); `wa_id` its digits, where it has WhatsApp."""

    phone: str
    wa_id: str | None = None
    type: str = "CELL"


@dataclass(frozen=True)
class ContactCard:
    """A person as a card. `formatted_name` is what is shown; a first name goes beside it."""

    formatted_name: str
    first_name: str
    last_name: str | None = None
    phones: tuple[ContactPhone, ...] = ()
    emails: tuple[str, ...] = ()
    company: str | None = None
    title: str | None = None


@dataclass(frozen=True)
class Contacts:
    cards: tuple[ContactCard, ...]


@dataclass(frozen=True)
class Reaction:
    """On the provider's id of a message; an empty emoji takes ours back."""

    message_id: str
    emoji: str


@dataclass(frozen=True)
class Edit:
    """New words for a text of ours, by the provider's id of it. Only WPPConnect has this."""

    message_id: str
    body: str = field(repr=False)


@dataclass(frozen=True)
class Deletion:
    """Takes a message of ours back from everybody's phone. Only WPPConnect has this."""

    message_id: str


@dataclass(frozen=True)
class ReplyButton:
    """`id` comes back when it is tapped."""

    id: str
    title: str


@dataclass(frozen=True)
class Buttons:
    """A text with one to three buttons; the header is a text or a file."""

    body: str = field(repr=False)
    buttons: tuple[ReplyButton, ...]
    header: str | Media | None = None
    footer: str | None = None


@dataclass(frozen=True)
class ListRow:
    """`id` comes back when it is chosen."""

    id: str
    title: str
    description: str | None = None


@dataclass(frozen=True)
class ListSection:
    """`title` may be empty only where the list has one section."""

    rows: tuple[ListRow, ...]
    title: str = ""


@dataclass(frozen=True)
class ListMenu:
    """A text with a button that opens a list, ten rows at most over all its sections."""

    body: str = field(repr=False)
    button: str
    sections: tuple[ListSection, ...]
    header: str | None = None
    footer: str | None = None

    @property
    def rows(self) -> tuple[ListRow, ...]:
        return tuple(row for section in self.sections for row in section.rows)


@dataclass(frozen=True)
class LinkButton:
    """A text with one button that opens a web address."""

    body: str = field(repr=False)
    title: str
    url: str
    header: str | Media | None = None
    footer: str | None = None


@dataclass(frozen=True)
class TextParameter:
    """`name` only in templates with named variables ({{first_name}} instead of {{1}})."""

    text: str = field(repr=False)
    name: str | None = None


@dataclass(frozen=True)
class CurrencyParameter:
    """An amount in thousandths ("25000" is 25.00) of an ISO currency."""

    fallback: str
    code: str
    amount_1000: int
    name: str | None = None


@dataclass(frozen=True)
class DateTimeParameter:
    """Meta shows the words as they are."""

    fallback: str
    name: str | None = None


@dataclass(frozen=True)
class QuickReplyParameter:
    """`payload` comes back when the template's quick reply at `index` is tapped."""

    index: int
    payload: str


@dataclass(frozen=True)
class UrlParameter:
    """What stands for the variable at the end of the button's address."""

    index: int
    text: str


@dataclass(frozen=True)
class CopyCodeParameter:
    index: int
    code: str


@dataclass(frozen=True)
class FlowParameter:
    """`token` comes back in the customer's answer."""

    index: int
    token: str
    data: tuple[tuple[str, str], ...] = ()


BodyParameter = TextParameter | CurrencyParameter | DateTimeParameter
HeaderParameter = TextParameter | Media | Location
ButtonParameter = QuickReplyParameter | UrlParameter | CopyCodeParameter | FlowParameter


@dataclass(frozen=True)
class FilledTemplate:
    """An approved template with what stands for its variables, in their order."""

    name: str
    language: str
    header: HeaderParameter | None = None
    body: tuple[BodyParameter, ...] = ()
    buttons: tuple[ButtonParameter, ...] = ()


Amendment = Edit | Deletion
Content = (
    Text
    | Media
    | Location
    | Contacts
    | Reaction
    | Edit
    | Deletion
    | Buttons
    | ListMenu
    | LinkButton
    | FilledTemplate
)
"""What a message can be. The same shapes are queued, kept and sent."""


@dataclass(frozen=True)
class OutboundMessage:
    """One message to one person.

    `opaque_id` is ours, at most 512 characters, and comes back in statuses. `reply_to` is the
    provider's id of the message that this one quotes; a reaction quotes nothing.
    """

    to: Recipient
    content: Content
    opaque_id: str
    reply_to: str | None = None


class Gesture(StrEnum):
    """What the customer sees of us beside messages."""

    READ = "read"
    TYPING = "typing"
    PAUSED = "paused"
    """No longer typing. Meta's sign goes out by itself; WhatsApp Web's has to be taken back."""


@dataclass(frozen=True)
class Sign:
    """A gesture to one person. `message_id` is the provider's id of their newest read message.

    Meta names the message, WPPConnect the person.
    """

    gesture: Gesture
    to: Recipient
    message_id: str


@dataclass(frozen=True)
class SendResult:
    """The provider's yes: the message is accepted (not yet delivered).

    `wa_id` may differ from the number dialled, `user_id` and `lid` may come without a `wa_id`; all
    may be missing. `state` is the provider's word, such as "accepted" or
    "held_for_quality_assessment". `serialized_id` is the message's name as the provider's own calls
    take it, where that is longer than the id that we keep.
    """

    whatsapp_message_id: str
    wa_id: str | None = None
    user_id: str | None = None
    lid: str | None = None
    state: str | None = None
    serialized_id: str | None = None


class SendsMessages(Protocol):
    """A client of any provider, for the channels that are its own."""

    def send(self, channel: Any, message: OutboundMessage) -> SendResult: ...
