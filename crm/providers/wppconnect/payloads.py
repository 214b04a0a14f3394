"""What a message of ours is as a call to WPPConnect Server: a path below the session, and a body.

Source: its swagger of 2.10.4 and recorded calls. WhatsApp Web delivers buttons and lists
unreliably, so that they leave as a text with numbered lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from crm.providers.outbound import (
    Buttons,
    ContactCard,
    Contacts,
    Content,
    Deletion,
    Edit,
    FilledTemplate,
    Gesture,
    LinkButton,
    ListMenu,
    Location,
    Media,
    MediaKind,
    OutboundMessage,
    ProviderError,
    Reaction,
    Recipient,
    Sign,
    Text,
)
from crm.providers.wppconnect import codes

Json = dict[str, Any]
# In the body's place of a file until it is written out; no JSON text of ours holds a NUL.
FILE = "\x00file\x00"


@dataclass(frozen=True)
class Call:
    """`POST /api/<session>/<path>`. `file`: the bytes of this path stand, as base64, for FILE."""

    path: str
    body: Json
    file: str | None = None


def call_for(message: OutboundMessage) -> Call:
    """The call that sends this message. ProviderError for what WPPConnect cannot send."""
    content, to = message.content, _address(message.to)
    match content:
        case Reaction():
            return Call("react-message", {"msgId": content.message_id, "reaction": content.emoji})
        case Edit():
            return Call("edit-message", {"id": content.message_id, "newText": content.body})
        case Deletion():
            whole = {"messageId": content.message_id, "onlyLocal": False}
            return Call("delete-message", to | whole | {"deleteMediaInDevice": True})
        case Location():
            return Call("send-location", to | _place(content))
        case Contacts():
            return _contacts(content, to, message.reply_to)
        case Media():
            return _media(content, to, message.reply_to)
        case FilledTemplate():
            raise refusal("wpp_no_template")
        case Buttons() | LinkButton() if isinstance(content.header, Media):
            header = content.header
            captioned = Media(
                kind=header.kind,
                path=header.path,
                mime_type=header.mime_type,
                filename=header.filename,
                caption=as_text(content),
            )
            return _media(captioned, to, message.reply_to)
        case _:
            return _text(as_text(content), to, message.reply_to)


def sign_call(sign: Sign) -> Call:
    """The call that shows this sign; "typing..." stays until it is taken back."""
    to = _address(sign.to)
    if sign.gesture is Gesture.READ:
        return Call("send-seen", to)
    return Call("typing", to | {"value": sign.gesture is Gesture.TYPING})


def as_text(content: Content) -> str:
    """What is asked with buttons, as a text: each choice on a line with its number."""
    match content:
        case Text():
            return content.body
        case Buttons():
            return _numbered(content, [button.title for button in content.buttons])
        case ListMenu():
            titles = [
                f"{row.title}: {row.description}" if row.description else row.title
                for row in content.rows
            ]
            return _numbered(content, titles)
        case LinkButton():
            return _framed(content, f"{content.title}: {content.url}")
    raise TypeError(f"no text for {type(content).__name__}")


def _numbered(content: Buttons | ListMenu, titles: list[str]) -> str:
    return _framed(content, "\n".join(f"{n}. {title}" for n, title in enumerate(titles, start=1)))


def _framed(content: Buttons | ListMenu | LinkButton, below: str) -> str:
    header = f"*{content.header}*" if isinstance(content.header, str) and content.header else ""
    footer = f"_{content.footer}_" if content.footer else ""
    return "\n\n".join(part for part in (header, content.body, below, footer) if part)


def _address(to: Recipient) -> Json:
    """Digits only: `+55 (11) 9...` would become the hidden id of somebody else."""
    if to.phone:
        return {"phone": re.sub(r"[^0-9]", "", to.phone), "isGroup": False}
    if to.lid:
        return {"phone": re.sub(r"[^0-9]", "", to.lid), "isGroup": False, "isLid": True}
    raise refusal("wpp_refused")


def _text(body: str, to: Json, reply_to: str | None) -> Call:
    if reply_to:
        return Call("send-reply", to | {"message": body, "messageId": reply_to})
    return Call("send-message", to | {"message": body})


def _media(media: Media, to: Json, reply_to: str | None) -> Call:
    if not media.path:
        raise refusal("wpp_file_missing")
    data = f"data:{(media.mime_type or 'application/octet-stream').replace(' ', '')};base64,{FILE}"
    quote = {"quotedMessageId": reply_to} if reply_to else {}
    if media.kind is MediaKind.STICKER:
        return Call("send-sticker", to | {"path": data}, media.path)
    if media.kind is MediaKind.AUDIO and media.voice:
        # The parameter of the type would be taken for a part of the address.
        data = f"data:audio/ogg;base64,{FILE}"
        return Call("send-voice-base64", to | {"base64Ptt": data} | quote, media.path)
    body = to | {"base64": data, "filename": media.filename or _name(media)} | quote
    if media.caption:
        body["caption"] = media.caption
    path = "send-image" if media.kind is MediaKind.IMAGE else "send-file-base64"
    return Call(path, body, media.path)


def _name(media: Media) -> str:
    ending = (media.mime_type or "").partition(";")[0].rpartition("/")[2] or "bin"
    return f"{media.kind.value}.{ending}"


def _place(content: Location) -> Json:
    return {
        "lat": str(content.latitude),
        "lng": str(content.longitude),
        "title": content.name or "",
        "address": content.address or "",
    }


def _contacts(content: Contacts, to: Json, reply_to: str | None) -> Call:
    """Cards of people who have WhatsApp; whoever has none is written out as text."""
    ids = [f"{phone.wa_id}@c.us" for card in content.cards for phone in card.phones if phone.wa_id]
    if len(ids) < len(content.cards):
        return _text("\n\n".join(_card(card) for card in content.cards), to, reply_to)
    return Call("contact-vcard", to | {"contactsId": ids, "name": content.cards[0].formatted_name})


def _card(card: ContactCard) -> str:
    lines = [card.formatted_name, card.company, *(phone.phone for phone in card.phones)]
    return "\n".join(line for line in (*lines, *card.emails) if line)


def refusal(code: str, *, detail: str = "") -> ProviderError:
    """The error of this code, by the table."""
    meaning = codes.meaning_of(code)
    return ProviderError(
        meaning.reason,
        effect=meaning.effect,
        code=code,
        detail=detail,
        wait_seconds=meaning.wait_seconds,
    )
