"""Reads what WPPConnect Server posts: one event per POST, its fields at the top level.

Pure: a JSON object in, events out. Shapes after recorded bodies of version 2.10.4. There is no
signature, no order and no second try; whatever is readable is read, the rest becomes `Other` or
`Problem` and is kept. The same readers serve the gateway's history (`read_message`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crm.lib.clock import from_unix
from crm.providers.base import (
    CallEvent,
    EchoedMessage,
    Event,
    InboundMessage,
    Other,
    Problem,
    Receipt,
    ReceiptError,
    Sender,
)
from crm.providers.wppconnect import codes, kinds
from crm.providers.wppconnect.ids import MessageKey, Wid, number_key, read_key, read_wid, stored_id

Json = dict[str, Any]
MAX_NAME = 255
PROVIDER = "wppconnect"
ACK_WORDS = {1: "sent", 2: "delivered", 3: "read", 4: "played"}
# What the session itself tells; the number's session life acts on it.
SESSION_EVENTS = frozenset({"qrcode", "phoneCode", "status-find", "closesession", "logoutsession"})
KNOWN_EVENTS = SESSION_EVENTS | {
    "onpresencechanged",
    "onparticipantschanged",
    "onupdatelabel",
    "location",
    "unreadmessages",
    "onack",
    "onmessage",
    "onselfmessage",
    "onreactionmessage",
    "onrevokedmessage",
    "onpollresponse",
    "incomingcall",
}


@dataclass(frozen=True)
class Line:
    """The number that an event is about, and what of its body was cut into a file."""

    number_id: int
    file: Json | None = None

    @property
    def key(self) -> str:
        return number_key(self.number_id)

    def stored(self, key: MessageKey | str) -> str:
        return stored_id(self.number_id, key)


def parse(body: Any, *, number_id: int, file: Json | None = None) -> list[Event]:
    """The events of one POST. `file` {name, size, sha256} is what its `body` was cut into."""
    line = Line(number_id, file)
    if not isinstance(body, dict) or not isinstance(body.get("event"), str):
        return [Other("", "", line.key, body, known=False)]
    name = body["event"]
    if name == "unreadmessages":
        return _several(body, line)
    reader = READERS.get(name)
    if reader is None:
        kind = str(body.get("status") or body.get("type") or "")[:100]
        return [Other(name, kind, line.key, body, known=name in KNOWN_EVENTS)]
    return [_carefully(reader, body, line)]


def read_message(message: Any, *, number_id: int) -> Event:
    """One message of the gateway's history, inbound or ours."""
    return _carefully(_message, message, Line(number_id))


def _carefully(read: Callable[[Json, Line], Event], item: Any, line: Line) -> Event:
    try:
        if not isinstance(item, dict):
            raise ValueError("not an object")
        return read(item, line)
    except Exception as error:
        # Whatever shape we did not foresee: this event is kept, its neighbours go on.
        words = str(error) if isinstance(error, ValueError) else repr(error)
        name = str(item.get("event") or "message") if isinstance(item, dict) else "message"
        return Problem(f"{name}_unreadable", words[:300], line.key, item)


def _several(body: Json, line: Line) -> list[Event]:
    """What was unread when the session came up: a list under `data`, or keys "0", "1", ..."""
    listed = body.get("data")
    if not isinstance(listed, list):
        listed = [body[key] for key in sorted(filter(str.isdigit, body), key=int)]
    return [_carefully(_message, item, line) for item in listed] or [
        Other("unreadmessages", "", line.key, body)
    ]


def _message(message: Json, line: Line) -> Event:
    key = read_key(message.get("id"))
    kind = message.get("type")
    kind = kind if isinstance(kind, str) else ""
    is_mine = message["fromMe"] if isinstance(message.get("fromMe"), bool) else key.is_mine
    chat = _chat_of(message, key, is_mine)
    if chat is None:
        raise ValueError("nobody knows in which chat")
    if kind in kinds.NOTICES or not (chat.is_person or chat.is_group):
        # Also status@broadcast, newsletters and broadcast lists.
        return Other("onmessage", kind or chat.server, line.key, kinds.raw_of(message))
    read = kinds.read_kind(message, file=line.file)
    extra = {**read.extra, **kinds.surroundings(message), "gateway_id": key.text}
    if quoted := kinds.quoted_id(message):
        extra["quote"] = {"message_id": line.stored(quoted)}
    if "media" in extra:
        extra["media"]["id"] = key.text
    if read.kind != "text":
        extra["raw"] = kinds.raw_of(message)
    person = Sender(group_id=str(chat)) if chat.is_group else _partner(message, chat, is_mine)
    common = _common(line, key, message, kind=read.kind, provider_kind=kind)
    common |= {"content": read.content, "metadata": extra, "mime_type": read.mime_type}
    if is_mine:
        return EchoedMessage(recipient=person, **common)
    if chat.is_group:
        # Groups are kept apart: an answer in the private chat would reach one member only.
        extra["group"] = _group(message, chat)
        read.is_utterance = read.renews_window = False
    return InboundMessage(
        sender=person,
        is_utterance=read.is_utterance,
        renews_window=read.renews_window,
        **common,
    )


def _common(
    line: Line, key: MessageKey | str, item: Json, *, kind: str, provider_kind: str
) -> Json:
    """What an inbound message and an echo have in common."""
    timestamp, sent_at = _time(item)
    return {
        "provider": PROVIDER,
        "phone_number_id": line.key,
        "whatsapp_message_id": line.stored(key),
        "kind": kind,
        "provider_kind": provider_kind,
        "timestamp": timestamp,
        "sent_at": sent_at,
    }


def _chat_of(message: Json, key: MessageKey, is_mine: bool) -> Wid | None:
    """The other side: who wrote, to whom we wrote, or the group."""
    for value in (message.get("to" if is_mine else "from"), message.get("chatId")):
        if (chat := read_wid(value)) is not None:
            return chat
    return key.chat


def _partner(message: Json, chat: Wid, is_mine: bool) -> Sender:
    """The customer of a private chat; `sender` may hold the other one of their two names."""
    if is_mine:
        return _person(chat)
    sender = message.get("sender")
    sender = sender if isinstance(sender, dict) else {}
    # Never `name` or `formattedName`: those are the phone's own address book.
    name = _text(message.get("notifyName")) or _text(sender.get("pushname"))
    return _person(chat, read_wid(sender.get("id")), name=name)


def _group(message: Json, chat: Wid) -> Json:
    """Who speaks in a group: {id, name, wa_id, lid}, as far as it is told."""
    sender = message.get("sender")
    sender = sender if isinstance(sender, dict) else {}
    author = read_wid(message.get("author")) or read_wid(sender.get("id"))
    told = {
        "id": str(chat),
        "name": _text(message.get("notifyName")) or _text(sender.get("pushname")),
        "wa_id": author.phone if author else None,
        "lid": author.lid if author else None,
    }
    return {key: value for key, value in told.items() if value}


def _person(*wids: Wid | None, name: str | None = None) -> Sender:
    phones = [wid.phone for wid in wids if wid and wid.phone]
    lids = [wid.lid for wid in wids if wid and wid.lid]
    return Sender(
        wa_id=phones[0] if phones else None,
        lid=lids[0] if lids else None,
        profile_name=name[:MAX_NAME] if name else None,
    )


def _ack(body: Json, line: Line) -> Event:
    key = read_key(body.get("id"))
    ack = body.get("ack")
    is_mine = key.is_mine
    if not is_mine or not isinstance(ack, int) or (key.chat and not key.chat.is_person):
        # Also comes for what we received, and for groups, where each member has a say.
        return Other("onack", "received" if not is_mine else str(ack), line.key, _bare(body))
    if ack in ACK_WORDS or ack < 0:
        return _receipt(key, ack, body, line)
    # 0: the clock; 5: our own other device.
    return Other("onack", str(ack), line.key, _bare(body))


def _receipt(key: MessageKey, ack: int, body: Json, line: Line) -> Receipt:
    errors: tuple[ReceiptError, ...] = ()
    if ack < 0:
        errors = (ReceiptError(code=codes.code_of_ack(ack), title=str(ack)),)
    return Receipt(
        provider=PROVIDER,
        phone_number_id=line.key,
        whatsapp_message_id=line.stored(key),
        status=ACK_WORDS.get(ack, "failed"),
        # `t` is the time of the message; when the tick came is not told.
        occurred_at=None,
        recipient_wa_id=key.chat.phone if key.chat else None,
        errors=errors,
        raw=_bare(body),
    )


def _reaction(body: Json, line: Line) -> Event:
    """An emoji on a message, the customer's or our phone's; an empty one takes it back."""
    key, target = read_key(body.get("id")), read_key(body.get("msgId"))
    if key.chat is None or not key.chat.is_person:
        return Other("onreactionmessage", "group", line.key, body)
    emoji = _text(body.get("reactionText"))
    extra = {"reaction": {"message_id": line.stored(target), "emoji": emoji}}
    common = _common(line, key, body, kind="reaction", provider_kind="reaction")
    return _aside(common, key.is_mine, _person(key.chat), emoji, extra, line.stored(target), body)


def _revoke(body: Json, line: Line) -> Event:
    """The customer (or our own phone) took a message back; `refId` names it."""
    target = read_key(body.get("refId") or body.get("id"))
    own = read_key(body["id"]) if body.get("id") else target
    if target.chat is None or not target.chat.is_person:
        return Other("onrevokedmessage", "group", line.key, body)
    extra = {"revoke": {"message_id": line.stored(target)}}
    common = _common(line, f"revoke_{own.id}", body, kind="system", provider_kind="revoke")
    person = _person(target.chat)
    return _aside(common, target.is_mine, person, None, extra, line.stored(target), body)


def _aside(
    common: Json,
    is_mine: bool,
    person: Sender,
    content: str | None,
    extra: Json,
    target_id: str,
    body: Json,
) -> Event:
    """What is said about another message: it neither opens a chat nor renews anything."""
    metadata = {**extra, "raw": kinds.raw_of(body)}
    common |= {"content": content, "metadata": metadata, "target_id": target_id}
    if is_mine:
        return EchoedMessage(recipient=person, **common)
    return InboundMessage(sender=person, is_utterance=False, renews_window=False, **common)


def _call(body: Json, line: Line) -> Event:
    caller = read_wid(body.get("peerJid"))
    if caller is None or not caller.is_person:
        return Other("incomingcall", "group", line.key, body)
    return CallEvent(
        provider=PROVIDER,
        phone_number_id=line.key,
        call_id=line.stored(_needed(body.get("id"))),
        # Nothing more is told of a call: it rings at the phone, and somebody may take it there.
        event="ringing",
        outbound=body.get("outgoing") is True,
        person=_person(caller),
        occurred_at=_time({"t": body.get("offerTime")})[1],
        raw=kinds.raw_of(body),
    )


def _poll_answer(body: Json, line: Line) -> Event:
    """A vote in a poll; it has no id of its own, so it is known by poll, voter and choice."""
    target = read_key(body.get("msgId"))
    chat = read_wid(body.get("chatId")) or target.chat
    voter = read_wid(body.get("sender")) or chat
    if chat is None or voter is None or not chat.is_person:
        return Other("onpollresponse", "group", line.key, body)
    rows = body.get("selectedOptions")
    chosen = [str(row["name"]) for row in rows or () if isinstance(row, dict) and row.get("name")]
    what = f"{target.id}|{voter}|{body.get('timestamp')}|{chosen}"
    name = "vote_" + hashlib.sha256(what.encode()).hexdigest()[:24]
    quote = {"message_id": line.stored(target)}
    vote = {**quote, "options": chosen}
    return InboundMessage(
        sender=_person(chat, voter),
        content=", ".join(chosen) or None,
        metadata={
            "vote": vote,
            "quote": {"message_id": line.stored(target)},
            "raw": kinds.raw_of(body),
        },
        is_utterance=bool(chosen),
        renews_window=bool(chosen),
        **_common(line, name, body, kind="interactive", provider_kind="poll_response"),
    )


READERS: dict[str, Callable[[Json, Line], Event]] = {
    "onmessage": _message,
    "onselfmessage": _message,
    "onack": _ack,
    "onreactionmessage": _reaction,
    "onrevokedmessage": _revoke,
    "incomingcall": _call,
    "onpollresponse": _poll_answer,
}


def _bare(body: Json) -> Json:
    """An ack of media brings the whole file again; none of it is needed."""
    return {key: value for key, value in body.items() if key not in {"body", "content"}}


def _time(message: Json) -> tuple[int | None, datetime | None]:
    """Unix seconds; some events write milliseconds."""
    for name in ("t", "timestamp"):
        value = message.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            continue
        try:
            seconds = int(value)
            if seconds > 100_000_000_000:
                seconds //= 1000
            if seconds > 0:
                return seconds, from_unix(seconds)
        except (ValueError, OverflowError):
            continue
    return None, None


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _needed(value: Any) -> str:
    found = _text(value)
    if found is None or len(found) > 200:
        raise ValueError("without an id")
    return found
