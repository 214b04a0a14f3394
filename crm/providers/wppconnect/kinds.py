"""What a message of WhatsApp Web says, type by type: `type` becomes a message_type of ours.

One reader per type, in a table. Fields come and go with WhatsApp Web's versions: all but id, type,
from and the time may be missing, numbers may be texts. What has no reader, or a shape that its
reader does not know, is shown as "unsupported" with the raw object kept.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from crm.lib.media.types import given_name

Json = dict[str, Any]
MAX_MIME = 100
MAX_URL = 500
MAX_VCARD = 20_000
# type -> our kind, for what has a file.
MEDIA = {
    "image": "image",
    "video": "video",
    "gif": "video",
    "audio": "audio",
    "ptt": "audio",
    "ptv": "video",
    "document": "document",
    "sticker": "sticker",
}
# What the screen of a phone shows, but nobody said: kept, not shown. `ciphertext` could not be read
# yet; the real message follows under the same id, or the gap finder brings it.
NOTICES = frozenset(
    {
        "ciphertext",
        "gp2",
        "notification",
        "notification_template",
        "broadcast_notification",
        "e2e_notification",
        "call_log",
        "protocol",
        "debug",
        "pinned_message",
        "keep_in_chat",
        "reaction",
        "reaction_enc",
        "newsletter_notification",
        "group_notification",
        "poll_update",
        "comment",
    }
)
# Types that WhatsApp Web is known to have and that we show as not supported.
UNSUPPORTED = frozenset(
    {
        "product", "payment", "list", "interactive", "native_flow", "groups_v4_invite",
        "event_creation", "scheduled_call", "oversized", "unknown", "revoked", "carousel", "hsm",
        "buttons", "album", "sticker-pack", "call",
    }
)  # fmt: skip
# Never kept in `raw`: bytes, pictures of people, keys that open media.
DROPPED = frozenset(
    {"body", "content", "mediaKey", "messageSecret", "mediaData", "sender", "waveform"}
)


@dataclass
class Read:
    """A message's kind, its readable text, and what is kept beside it."""

    kind: str
    content: str | None = None
    extra: Json = field(default_factory=dict)
    mime_type: str | None = None
    is_utterance: bool = True
    renews_window: bool = True


def read_kind(message: Json, *, file: Json | None = None) -> Read:
    """Read one message. `file` is what its `body` was cut into: {name, size, sha256}."""
    kind = message.get("type")
    reader = READERS.get(kind) if isinstance(kind, str) else None
    try:
        if isinstance(kind, str) and kind in MEDIA:
            return _media(message, kind, file)
        if reader is not None:
            return reader(message)
    except (AttributeError, TypeError, ValueError, KeyError):
        pass
    return _unsupported(message)


def surroundings(message: Json) -> Json:
    """What any kind may carry: quote, forward, advertisement."""
    found: Json = {}
    if message.get("isForwarded") is True:
        score = _number(message.get("forwardingScore"))
        found["forwarded"] = "often" if score is not None and score >= 5 else "once"
    ad = message.get("ctwaContext")
    if isinstance(ad, dict):
        found["referral"] = _present(
            {
                "source_url": _string(ad.get("sourceUrl")),
                "source_id": _string(ad.get("sourceId")),
                "source_type": "ad",
                "headline": _string(ad.get("title")),
                "body": _string(ad.get("description")),
            }
        )
    return found


def quoted_id(message: Json) -> str | None:
    """The last part of the quoted message's id: in a field of its own, or in the whole id."""
    stanza = _string(message.get("quotedStanzaID"))
    if stanza:
        return stanza
    whole = message.get("quotedMsgId")
    if isinstance(whole, dict):
        return _string(whole.get("id")) or _last(_string(whole.get("_serialized")))
    return _last(_string(whole))


def raw_of(message: Json) -> Json:
    """The provider's object as far as it is worth keeping: no bytes, no defaults."""
    return {
        key: value
        for key, value in message.items()
        if key not in DROPPED
        and value not in (None, False, "", [], {})
        and not (isinstance(value, str) and len(value) > 2000)
    }


def _chat(message: Json) -> Read:
    body = message.get("body")
    if not isinstance(body, str):
        body = message["content"]
    if not isinstance(body, str):
        raise TypeError("a text without its body")
    return Read("text", body)


def _media(message: Json, kind: str, file: Json | None) -> Read:
    mime = _string(message.get("mimetype"))
    name = given_name(message.get("filename"))
    caption = _string(message.get("caption"))
    media = _present(
        {
            "mime_type": mime,
            "sha256": _sha256(message.get("filehash")),
            "filename": name,
            "size": _number(message.get("size")),
            "url": (_string(message.get("fileUrl")) or "")[:MAX_URL],
            "spool": usable_file(message, file),
        }
    )
    extra: Json = {"media": media}
    if kind == "ptt":
        extra["voice"] = True
    if kind == "sticker":
        extra["animated"] = message.get("isAnimated") is True
    if kind == "gif":
        extra["animated"] = True
    duration = _number(message.get("duration"))
    if duration is not None:
        extra["duration"] = int(duration)
    if message.get("isViewOnce") is True:
        extra["view_once"] = True
    content = caption or (name if kind == "document" else None)
    return Read(MEDIA[kind], content, extra, mime_type=mime[:MAX_MIME] if mime else None)


def usable_file(message: Json, file: Json | None) -> str | None:
    """The name of the cut-out file, where it is the message's file and no preview of it.

    When the gateway cannot decrypt, `body` is the JPEG thumbnail: its size, or its hash, is then
    another than the message names, and the file must be asked for.
    """
    if not file or not file.get("size"):
        return None
    wanted = _sha256(message.get("filehash"))
    if wanted is not None:
        return file["name"] if file.get("sha256") == wanted else None
    size = _number(message.get("size"))
    return file["name"] if size is None or size == file["size"] else None


def _location(message: Json) -> Read:
    latitude, longitude = float(message["lat"]), float(message["lng"])
    lines = [line.strip() for line in str(message.get("loc") or "").split("\n") if line.strip()]
    name = lines[0] if lines else None
    address = ", ".join(lines[1:]) or None
    place = {"latitude": latitude, "longitude": longitude, "name": name, "address": address}
    extra: Json = {"location": place}
    if message.get("isLive") is True:
        extra["live"] = True
    return Read("location", ", ".join(lines) or f"{latitude:.6f}, {longitude:.6f}", extra)


def _vcard(message: Json) -> Read:
    body = _string(message.get("body")) or _string(message.get("content"))
    shown = _string(message.get("vcardFormattedName"))
    return _contacts([(shown, body)])


def _vcards(message: Json) -> Read:
    rows = [row for row in message["vcardList"] if isinstance(row, dict)]
    return _contacts(
        [(_string(row.get("displayName")), str(row.get("vcard") or "")) for row in rows]
    )


def _contacts(rows: list[tuple[str | None, str | None]]) -> Read:
    cards = [_card(shown, (vcard or "")[:MAX_VCARD]) for shown, vcard in rows]
    if not cards:
        raise ValueError("no contact in it")
    names = [card["name"]["formatted_name"] for card in cards if card.get("name")]
    return Read("contact", ", ".join(names) or None, {"contacts": cards})


VCARD_LINE = re.compile(r"(?:item\d+\.)?(?P<name>[A-Z-]+)(?P<rest>[^:\n]*):(?P<value>[^\n]*)", re.I)
WA_ID = re.compile(r"waid=(\d{5,20})", re.I)


def _card(shown: str | None, vcard: str) -> Json:
    """A vCard as Meta writes contacts: {name {formatted_name}, phones, emails, org}."""
    phones, emails, org = [], [], None
    for match in VCARD_LINE.finditer(vcard.replace("\r", "")):
        value = match["value"].strip()
        match match["name"].upper():
            case "FN":
                shown = shown or value
            case "TEL" if value:
                wa_id = WA_ID.search(match["rest"])
                phones.append(_present({"phone": value, "wa_id": wa_id[1] if wa_id else None}))
            case "EMAIL" if value:
                emails.append({"email": value})
            case "ORG" if value:
                org = {"company": value.rstrip(";").replace(";", ", ")}
    name = {"formatted_name": shown} if shown else None
    return _present(
        {"name": name, "phones": phones, "emails": emails, "org": org, "vcard": vcard[:5000]}
    )


def _list_response(message: Json) -> Read:
    response = message["listResponse"]
    chosen = response.get("singleSelectReply") or {}
    title = str(response.get("title") or message.get("body") or chosen["selectedRowId"])
    reply = {
        "id": _string(chosen.get("selectedRowId")),
        "title": title,
        "description": _string(response.get("description")),
    }
    return Read("list_reply", title, {"reply": _present(reply)})


def _button(message: Json) -> Read:
    chosen = _string(message.get("selectedButtonId")) or _string(message.get("selectedId"))
    title = _string(message.get("body")) or _string(message.get("content")) or chosen
    if title is None:
        raise ValueError("a button without its words")
    return Read("button_reply", title, {"reply": _present({"id": chosen, "title": title})})


def _poll(message: Json) -> Read:
    name = str(message["pollName"])
    options = [str(row.get("name") or "") for row in message.get("pollOptions") or []]
    lines = [name, *(f"- {option}" for option in options if option)]
    return Read("interactive", "\n".join(lines), {"poll": {"name": name, "options": options}})


def _order(message: Json) -> Read:
    order = _present(
        {
            "order_id": _string(message.get("orderId")),
            "token": _string(message.get("token")),
            "title": _string(message.get("orderTitle")),
            "item_count": _number(message.get("itemCount")),
            "total_1000": _number(message.get("totalAmount1000")),
            "currency": _string(message.get("totalCurrencyCode")),
        }
    )
    words = _string(message.get("message")) or _string(message.get("orderTitle"))
    return Read("order", words, {"order": order})


def _revoked(_: Json) -> Read:
    """Taken back before it reached us: there is nothing to show but that."""
    return Read(
        "unsupported",
        extra={"unsupported": {"kind": "revoked", "errors": []}},
        is_utterance=False,
        renews_window=False,
    )


def _unsupported(message: Json) -> Read:
    kind = _string(message.get("type"))
    caption = _string(message.get("caption")) or _string(message.get("title"))
    return Read("unsupported", caption, {"unsupported": {"kind": kind, "errors": []}})


READERS: dict[str, Callable[[Json], Read]] = {
    "chat": _chat,
    "location": _location,
    "vcard": _vcard,
    "multi_vcard": _vcards,
    "list_response": _list_response,
    "buttons_response": _button,
    "template_button_reply": _button,
    "poll_creation": _poll,
    "order": _order,
    "revoked": _revoked,
}
KNOWN_TYPES = frozenset(READERS) | frozenset(MEDIA) | NOTICES | UNSUPPORTED


def _last(whole: str | None) -> str | None:
    """`true_5511...@c.us_3EB0AAAA` -> `3EB0AAAA`."""
    parts = (whole or "").split("_")
    return parts[2] if len(parts) > 2 else None


def _sha256(value: Any) -> str | None:
    """`filehash` is the base64 of 32 bytes; anything else is no hash to hold a file against."""
    try:
        digest = base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        return None
    return value if len(digest) == 32 else None


def _number(value: Any) -> int | float | None:
    """Durations come as text, sizes as numbers."""
    if isinstance(value, bool):
        return None
    try:
        return int(value) if isinstance(value, int | str) else None
    except ValueError:
        return None


def _string(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _present(values: Json) -> Json:
    return {key: value for key, value in values.items() if value not in (None, "", [], {})}
