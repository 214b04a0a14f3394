"""What a message of Meta says, kind by kind: `messages[].type` becomes a message_type of ours.

One reader per type, in a table. A reader takes the type's own object and gives what a person reads
and what the kind needs later; whatever has no reader, or a shape that its reader does not know, is
shown as "unsupported" with the raw object kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from crm.lib.media.types import given_name

Json = dict[str, Any]
MAX_MIME = 100
MAX_ID = 255


@dataclass
class Read:
    """A message's kind, its readable text, and what is kept beside it."""

    kind: str
    content: str | None = None
    extra: Json = field(default_factory=dict)
    mime_type: str | None = None
    target_id: str | None = None
    is_utterance: bool = True
    renews_window: bool = True
    metadata: Json | None = None


def read_kind(message: Json, *, errors: Any = None) -> Read:
    """Read one message. `errors` are those of its envelope (an interactive may lack its object)."""
    kind = message.get("type")
    reader = READERS.get(kind) if isinstance(kind, str) else None
    part = message.get(kind) if isinstance(kind, str) else None
    try:
        read = reader(part) if reader else None
    except (AttributeError, TypeError, ValueError, KeyError):
        read = None
    if read is None:
        read = _unsupported(message, errors)
    if message.get("group_id"):
        # Groups are kept apart: an answer in the private chat would reach one member only.
        read.extra["group"] = {"id": str(message["group_id"])}
        read.is_utterance = read.renews_window = False
    read.extra.update(_surroundings(message))
    if read.extra or read.kind != "text":
        read.metadata = {**read.extra, "raw": message}
    return read


def _surroundings(message: Json) -> Json:
    """What any kind may carry: quote, forward, product enquiry, advertisement."""
    found: Json = {}
    context = message.get("context")
    if isinstance(context, dict):
        if context.get("id"):
            found["quote"] = {"message_id": str(context["id"]), "from": context.get("from")}
        if context.get("frequently_forwarded"):
            found["forwarded"] = "often"
        elif context.get("forwarded"):
            found["forwarded"] = "once"
        product = context.get("referred_product")
        if isinstance(product, dict):
            found["product"] = {
                "catalog_id": product.get("catalog_id"),
                "retailer_id": product.get("product_retailer_id"),
            }
    if isinstance(message.get("referral"), dict):
        found["referral"] = message["referral"]
    if message.get("origin"):
        found["origin"] = str(message["origin"])[:50]
    return found


def _text(part: Json) -> Read:
    body = part["body"]
    if not isinstance(body, str):
        raise TypeError("a text without its body")
    return Read("text", body)


def _media(kind: str) -> Callable[[Json], Read]:
    def read(part: Json) -> Read:
        mime = part.get("mime_type")
        media = {key: part[key] for key in ("id", "mime_type", "sha256", "url") if part.get(key)}
        if name := given_name(part.get("filename")):
            media["filename"] = name
        extra: Json = {"media": media}
        if kind == "audio" and part.get("voice"):
            extra["voice"] = True
        if kind == "sticker":
            extra["animated"] = bool(part.get("animated"))
        content = part.get("caption") or (name if kind == "document" else None)
        return Read(
            kind,
            content if isinstance(content, str) else None,
            extra,
            mime_type=mime[:MAX_MIME] if isinstance(mime, str) else None,
        )

    return read


def _voice(part: Json) -> Read:
    """The old name of a voice note."""
    return _media("audio")({**part, "voice": True})


def _location(part: Json) -> Read:
    place = {key: part.get(key) for key in ("latitude", "longitude", "name", "address", "url")}
    names = [str(part[key]) for key in ("name", "address") if part.get(key)]
    spot = f"{float(part['latitude']):.6f}, {float(part['longitude']):.6f}"
    return Read("location", ", ".join(names) or spot, {"location": place})


def _contacts(part: Any) -> Read:
    cards = [card for card in part if isinstance(card, dict)]
    if not cards:
        raise ValueError("no contact in it")
    names = [name for card in cards if (name := _card_name(card))]
    return Read("contact", ", ".join(names) or None, {"contacts": cards})


def _card_name(card: Json) -> str:
    """Any part of a card may be missing, the name too; then its first number names it."""
    name = card.get("name")
    if isinstance(name, dict):
        parts = [str(name[key]) for key in ("first_name", "last_name") if name.get(key)]
        if shown := str(name.get("formatted_name") or " ".join(parts)):
            return shown
    for phone in card.get("phones") or []:
        if isinstance(phone, dict) and phone.get("phone"):
            return str(phone["phone"])
    return ""


def _interactive(part: Json) -> Read:
    kind = str(part["type"])
    reply = part[kind]
    if kind in {"button_reply", "list_reply"}:
        chosen = {key: reply[key] for key in ("id", "title", "description") if reply.get(key)}
        return Read(kind, str(reply.get("title") or reply["id"]), {"reply": chosen})
    if kind == "nfm_reply":
        flow = {"name": reply.get("name"), "response": _loaded(reply.get("response_json"))}
        # Of a form WhatsApp itself says "Sent"; other replies (an address) are words to be read.
        body = None if flow["name"] == "flow" else reply.get("body")
        return Read("interactive", str(body or "") or None, {"flow": flow})
    if kind == "call_permission_reply":
        if not isinstance(reply["response"], str):
            raise TypeError("a permission without its answer")
        return Read("interactive", None, {"call_permission": reply})
    title = reply.get("title") or reply.get("body")
    return Read("interactive", title if isinstance(title, str) else None)


def _loaded(text: Any) -> Any:
    """A flow's answers are JSON inside a text. What does not load stays as it came."""
    if not isinstance(text, str):
        return text
    try:
        value = json.loads(text, parse_constant=lambda name: name, parse_float=str)
        # An escape inside the text may hold what the outer cleaning could not see.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
        return text if "\\u0000" in text else value
    except (ValueError, RecursionError):
        return text


def _button(part: Json) -> Read:
    """The quick reply of a template: not `interactive`."""
    title = part.get("text") or part["payload"]
    return Read(
        "button_reply", str(title), {"reply": {"id": part.get("payload"), "title": str(title)}}
    )


def _reaction(part: Json) -> Read:
    """No emoji, or an empty one, takes the reaction back."""
    emoji = part.get("emoji")
    emoji = emoji if isinstance(emoji, str) and emoji else None
    target = target_of(part["message_id"])
    extra = {"reaction": {"message_id": target, "emoji": emoji}}
    return Read("reaction", emoji, extra, target_id=target, is_utterance=False)


def _order(part: Json) -> Read:
    items = [item for item in part.get("product_items") or [] if isinstance(item, dict)]
    lines = [
        f"{item.get('quantity', 1)} × {item.get('product_retailer_id', '?')}" for item in items
    ]
    text = part.get("text")
    return Read(
        "order", text if isinstance(text, str) and text else "\n".join(lines), {"order": part}
    )


def _system(part: Json) -> Read:
    kind = part.get("type") or "system"
    extra = {"system": {"kind": str(kind), **{k: v for k, v in part.items() if k != "type"}}}
    body = part.get("body")
    return Read(
        "system",
        body if isinstance(body, str) else None,
        extra,
        is_utterance=False,
        renews_window=False,
    )


def _request_welcome(_: Any) -> Read:
    """Somebody opened the chat for the first time and has not written a word."""
    return Read(
        "system",
        extra={"system": {"kind": "request_welcome"}},
        is_utterance=False,
        renews_window=False,
    )


def _edit(part: Json) -> Read:
    inner = part.get("message")
    inner = inner if isinstance(inner, dict) else {}
    inner_read = read_kind(inner)
    target = target_of(part["original_message_id"])
    extra = {"edit": {"message_id": target, "kind": inner_read.kind}}
    return _change("system", inner_read.content, extra, target)


def _revoke(part: Json) -> Read:
    target = target_of(part["original_message_id"])
    return _change("system", None, {"revoke": {"message_id": target}}, target)


def _change(kind: str, content: str | None, extra: Json, target: str) -> Read:
    return Read(kind, content, extra, target_id=target, is_utterance=False, renews_window=False)


def target_of(value: Any) -> str:
    """The id of the message that is spoken of, as long as our column allows."""
    target = str(value or "")
    if not target or len(target) > MAX_ID:
        raise ValueError("speaks of no message that could be ours")
    return target


def _unsupported(message: Json, errors: Any) -> Read:
    """A word of the customer that the Cloud API does not hand over, or that we do not know."""
    inner = message.get("unsupported")
    kind = inner.get("type") if isinstance(inner, dict) else None
    if kind is None and message.get("type") not in {"unsupported", "unknown"}:
        kind = message.get("type")
    found = message.get("errors") or errors or []
    return Read(
        "unsupported",
        extra={"unsupported": {"kind": str(kind) if kind else None, "errors": found}},
    )


READERS: dict[str, Callable[[Any], Read]] = {
    "text": _text,
    "image": _media("image"),
    "video": _media("video"),
    "audio": _media("audio"),
    "voice": _voice,
    "document": _media("document"),
    "sticker": _media("sticker"),
    "location": _location,
    "contacts": _contacts,
    "interactive": _interactive,
    "button": _button,
    "reaction": _reaction,
    "order": _order,
    "system": _system,
    "request_welcome": _request_welcome,
    "edit": _edit,
    "revoke": _revoke,
}
