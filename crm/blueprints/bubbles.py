"""What the templates of messages may call: the parts of each kind, ready to be shown.

A Blueprint without routes, so that it is on every application and every fragment. What stands in a
message's metadata came from a provider: every part may be missing or of another type.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from babel.numbers import format_currency, format_decimal
from flask import Blueprint
from flask_babel import get_locale
from flask_babel import gettext as _

from crm.lib.clock import from_unix
from crm.lib.phone import phone_of

blueprint = Blueprint("bubbles", __name__)

MOST_LINES = 50
# Answers of a form that mean something to machines only.
UNSHOWN_ANSWERS = frozenset({"flow_token", "screen"})


class CardPhone(NamedTuple):
    """A number on a contact card; `link` None where nobody could dial it."""

    shown: str
    link: str | None


class OrderLine(NamedTuple):
    name: str
    quantity: str
    price: str


class Tally(NamedTuple):
    emoji: str
    times: int


@blueprint.app_template_filter("map_address")
def map_address(place: dict[str, Any]) -> str | None:
    """A map of the spot; None where the coordinates are no numbers."""
    try:
        latitude, longitude = float(place["latitude"]), float(place["longitude"])
    except (KeyError, TypeError, ValueError):
        return None
    spot = quote(f"{latitude:.6f},{longitude:.6f}")
    return f"https://www.google.com/maps/search/?api=1&query={spot}"


@blueprint.app_template_filter("coordinates")
def coordinates(place: dict[str, Any]) -> str:
    """'4.60971, -74.08175'; nothing where they are no numbers."""
    try:
        return f"{float(place['latitude']):.5f}, {float(place['longitude']):.5f}"
    except (KeyError, TypeError, ValueError):
        return ""


@blueprint.app_template_filter("contact_name")
def contact_name(card: Any) -> str | None:
    """The name on a shared contact card; any part of it may be missing or odd."""
    name = card.get("name") if isinstance(card, dict) else None
    if not isinstance(name, dict):
        return None
    parts = " ".join(str(name[key]) for key in ("first_name", "last_name") if name.get(key))
    return str(name.get("formatted_name") or parts) or None


@blueprint.app_template_filter("contact_phones")
def contact_phones(card: Any) -> list[CardPhone]:
    """The numbers of a card, the dialled form from WhatsApp's own id where the card has it."""
    found = []
    for phone in _dicts(card, "phones"):
        shown = str(phone.get("phone") or phone.get("wa_id") or "").strip()
        if shown:
            bare = re.sub(r"[^\d+]", "", shown)
            dialled = phone_of(str(phone.get("wa_id") or "")) or (bare if len(bare) > 3 else None)
            found.append(CardPhone(shown[:60], f"tel:{dialled}" if dialled else None))
    return found[:MOST_LINES]


@blueprint.app_template_filter("contact_lines")
def contact_lines(card: Any) -> list[str]:
    """What else stands on a card, in a few lines: company, e-mails, addresses, web, birthday."""
    if not isinstance(card, dict):
        return []
    org = card.get("org") if isinstance(card.get("org"), dict) else {}
    lines = [", ".join(str(org[key]) for key in ("title", "company") if org and org.get(key))]
    lines += [str(item["email"]) for item in _dicts(card, "emails") if item.get("email")]
    for address in _dicts(card, "addresses"):
        parts = [str(address[key]) for key in ("street", "city", "country") if address.get(key)]
        lines.append(", ".join(parts))
    lines += [str(item["url"]) for item in _dicts(card, "urls") if item.get("url")]
    lines.append(str(card.get("birthday") or ""))
    return [line[:200] for line in lines if line][:MOST_LINES]


def _dicts(card: Any, key: str) -> list[dict[str, Any]]:
    items = card.get(key) if isinstance(card, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


@blueprint.app_template_filter("order_lines")
def order_lines(order: Any) -> list[OrderLine]:
    """One line for each product; the price of one piece, in the reader's writing."""
    return [
        OrderLine(
            name=str(item.get("product_retailer_id") or "?")[:100],
            quantity=str(item.get("quantity") or 1)[:10],
            price=_money(item.get("item_price"), item.get("currency")),
        )
        for item in _dicts(order, "product_items")[:MOST_LINES]
    ]


@blueprint.app_template_filter("order_total")
def order_total(order: Any) -> str:
    """The sum of all lines; nothing where a price is missing or the currencies differ."""
    total, currencies = Decimal(0), set()
    for item in _dicts(order, "product_items"):
        price, quantity = _number(item.get("item_price")), _number(item.get("quantity", 1))
        if price is None or quantity is None:
            return ""
        total += price * quantity
        currencies.add(str(item.get("currency") or ""))
    return _money(total, currencies.pop()) if len(currencies) == 1 else ""


def _number(value: Any) -> Decimal | None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < 10**15 else None


def _money(value: Any, currency: Any) -> str:
    """`1.234,50 USD`; pesos and the like without their cents."""
    number = _number(value)
    if number is None:
        return ""
    code = str(currency or "")
    whole = number == number.to_integral_value()
    if not re.fullmatch(r"[A-Z]{3}", code):
        return format_decimal(number, locale=get_locale())
    pattern = "¤¤ #,##0" if whole else "¤¤ #,##0.00"
    return format_currency(number, code, pattern, locale=get_locale(), currency_digits=False)


@blueprint.app_template_filter("form_answers")
def form_answers(response: Any) -> list[tuple[str, str]]:
    """What the customer filled in, question and answer; other shapes as one answer."""
    if isinstance(response, dict):
        return [
            (str(key).replace("_", " ")[:100], _answer(value))
            for key, value in list(response.items())[:MOST_LINES]
            if key not in UNSHOWN_ANSWERS
        ]
    return [("", _answer(response))] if response not in (None, "") else []


def _answer(value: Any) -> str:
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if isinstance(value, list):
        return ", ".join(_answer(item) for item in value)[:500]
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_answer(item)}" for key, item in value.items())[:500]
    return str(value)[:500]


@blueprint.app_template_filter("web_address")
def web_address(url: Any) -> str | None:
    """An address that may stand in a link: http and https only."""
    if not isinstance(url, str):
        return None
    try:
        return url if urlsplit(url).scheme in ("http", "https") else None
    except ValueError:
        return None


@blueprint.app_template_filter("unix_moment")
def unix_moment(seconds: Any) -> datetime | None:
    try:
        return from_unix(seconds) if seconds else None
    except ValueError:
        return None


@blueprint.app_template_filter("tallied")
def tallied(reactions: Iterable[str]) -> list[Tally]:
    """👍 👍 ❤️ -> 👍 2, ❤️ 1: the first given first."""
    return [Tally(emoji, times) for emoji, times in Counter(reactions).items()]


@blueprint.app_template_filter("unsupported_word")
def unsupported_word(unsupported: Any) -> str:
    """What it was that WhatsApp does not hand over, as far as it says."""
    kind = unsupported.get("kind") if isinstance(unsupported, dict) else None
    return {
        "poll_creation": _("Poll"),
        "poll_update": _("Vote in a poll"),
        "gif": _("GIF"),
        "group_invite": _("Invitation to a group"),
        "media_placeholder": _("Photo, video or voice note to be seen once"),
        "video_note": _("Video note"),
        "link_preview": _("Link"),
        "list": _("List"),
        "product": _("Product"),
        "order": _("Order"),
        "location": _("Live location"),
        "edit": _("Edited message"),
        "pin": _("Pinned message"),
        "keep_in_chat": _("Kept message"),
        "event": _("Event"),
        "interactive": _("Interactive message"),
        "reaction": _("Reaction"),
        "image": _("Photo"),
        "hsm": _("Template"),
    }.get(str(kind), _("Unsupported message"))


@blueprint.app_template_filter("call_word")
def call_word(call: Any) -> str:
    """A call in words: who called, and what became of it."""
    call = call if isinstance(call, dict) else {}
    ours = call.get("direction") == "outbound"
    state = call.get("state")
    if state == "completed" and call.get("duration"):
        return _("Call to the customer") if ours else _("Call from the customer")
    if state in ("rejected", "declined"):
        return _("The customer declined the call") if ours else _("Declined call")
    if state in ("ringing", "connect", "pre_accept", "accepted", "accept"):
        return _("Calling the customer") if ours else _("The customer is calling")
    return _("The customer did not answer the call") if ours else _("Missed call from the customer")
