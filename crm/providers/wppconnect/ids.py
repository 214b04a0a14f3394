"""Names of people and of messages as WPPConnect writes them.

A name is `<user>@<server>`: `573001234567@c.us` is a phone, `276974622781686@lid` an account that
hides its phone (the digits are no phone number), `...@g.us` a group. A message is
`true_<chat>_<id>[_<participant>]`, `true` being ours, with `_out` behind it in the answer to a
send; in `onack` and reactions it is an object of the same parts.

The chat of one and the same message is written with `@c.us` in one event and with `@lid` in the
next, so that the whole text is no key. `<number id>:<id>` is: WhatsApp draws the last part anew for
each message, and the customer's and our own ids never meet because whoever wrote it drew it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

SERIALIZED = re.compile(
    r"(?P<mine>true|false)_(?P<chat>[^_@]+@[a-z.]+)_(?P<id>[^_\s]+)(?:_(?P<rest>\S+))?"
)
PRIVATE = frozenset({"c.us", "lid", "s.whatsapp.net"})
MAX_ID = 200


@dataclass(frozen=True, slots=True)
class Wid:
    """A name at WhatsApp."""

    user: str
    server: str

    def __str__(self) -> str:
        return f"{self.user}@{self.server}"

    @property
    def is_group(self) -> bool:
        return self.server == "g.us"

    @property
    def is_person(self) -> bool:
        return self.server in PRIVATE

    @property
    def phone(self) -> str | None:
        """Digits of the phone ("573001234567"), where the name is one."""
        return self.user if self.server in {"c.us", "s.whatsapp.net"} else None

    @property
    def lid(self) -> str | None:
        return self.user if self.server == "lid" else None


@dataclass(frozen=True, slots=True)
class MessageKey:
    """`text` is the serialized form, which the gateway takes in its calls."""

    is_mine: bool
    chat: Wid | None
    id: str
    text: str


def read_wid(value: Any) -> Wid | None:
    """A name, written as text or as `{user, server, _serialized}`; None for everything else."""
    if isinstance(value, dict):
        serialized = value.get("_serialized")
        value = serialized or f"{value.get('user') or value.get('id')}@{value.get('server')}"
    if not isinstance(value, str):
        return None
    user, at, server = value.strip().partition("@")
    # A device of somebody ("5511...:12@c.us") is that somebody.
    user = user.partition(":")[0]
    if not at or not user or not server or len(value) > MAX_ID:
        return None
    return Wid(user, server)


def read_key(value: Any) -> MessageKey:
    """A message's name from either of its forms. ValueError where it cannot be read."""
    if isinstance(value, dict):
        found = _key_of_object(value)
        if found is not None:
            return found
        value = value.get("_serialized")
    if not isinstance(value, str) or not value:
        raise ValueError("without an id")
    match = SERIALIZED.fullmatch(value)
    if match is None:
        raise ValueError(f"no id of a message: {value[:60]!r}")
    if len(value) > MAX_ID:
        raise ValueError(f"its id has {len(value)} characters")
    return MessageKey(match["mine"] == "true", read_wid(match["chat"]), match["id"], value)


def _key_of_object(value: dict[str, Any]) -> MessageKey | None:
    chat, name = read_wid(value.get("remote")), value.get("id")
    if chat is None or not isinstance(name, str) or not name or len(name) > MAX_ID:
        return None
    is_mine = value.get("fromMe") is True
    written = value.get("_serialized")
    if not isinstance(written, str) or len(written) > MAX_ID:
        written = f"{'true' if is_mine else 'false'}_{chat}_{name}"
    return MessageKey(is_mine, chat, name, written)


def stored_id(number_id: int, key: MessageKey | str) -> str:
    """What stands in messages.whatsapp_message_id."""
    return f"{number_id}:{key if isinstance(key, str) else key.id}"


def gateway_id(stored: str) -> str:
    """The last part of a stored id, as WhatsApp drew it."""
    return stored.partition(":")[2] or stored


def number_key(number_id: int) -> str:
    """Takes the place of Meta's phone number id in the events of a WPPConnect number."""
    return f"wppconnect:{number_id}"
