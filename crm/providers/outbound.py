"""What goes out to a provider and what comes back. Our shapes, which every provider takes."""

from dataclasses import dataclass, field
from enum import StrEnum


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

    The user id (Meta's business-scoped one, "CO.13491208655302741918") serves for people who hide
    their number. Where both are known the phone is used.
    """

    phone: str | None = None
    user_id: str | None = None

    def __post_init__(self) -> None:
        if not (self.phone or self.user_id):
            raise ValueError("a recipient needs a phone or a user id")


@dataclass(frozen=True)
class OutboundText:
    """A text message. `opaque_id` is ours, at most 512 characters, and comes back in statuses."""

    to: Recipient
    body: str = field(repr=False)
    opaque_id: str
    preview_url: bool = True
    reply_to: str | None = None
    """The provider's id of the message that this one quotes."""


OutboundMessage = OutboundText
"""Every kind that can be sent; a union as soon as there is a second one."""


@dataclass(frozen=True)
class SendResult:
    """The provider's yes: the message is accepted (not yet delivered).

    `wa_id` may differ from the number dialled, `user_id` may come without a `wa_id`; both may be
    missing. `state` is the provider's word, such as "accepted" or "held_for_quality_assessment".
    """

    whatsapp_message_id: str
    wa_id: str | None = None
    user_id: str | None = None
    state: str | None = None
