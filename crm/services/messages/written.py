"""What a person wrote into the composer's dialogs, as a message.

The values come as the browser sends them; only their shape is read here. What WhatsApp takes is
asked in checks.py, when the message is queued.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from crm.errors import Invalid, NotFound
from crm.lib.person import format_phone
from crm.lib.phone import read_dialled
from crm.providers.outbound import (
    Buttons,
    ContactCard,
    ContactPhone,
    Contacts,
    Content,
    LinkButton,
    ListMenu,
    ListRow,
    ListSection,
    Location,
    ReplyButton,
)

Values = Mapping[str, str]
MOST_BUTTONS, MOST_ROWS = 3, 10
# What a map's address says of the place itself; its "@4.61,-74.08" is the middle of the screen.
PIN = re.compile(r"!3d(-?\d{1,3}\.\d+)!4d(-?\d{1,3}\.\d+)")
# As Spanish writes decimals: "4,6097; -74,0817".
WITH_COMMAS = re.compile(r"\s*(-?\d{1,3},\d+)\s*[;,\s]\s*(-?\d{1,3},\d+)\s*")
# "4.61, -74.08", or the address of a map with "@4.61,-74.08" or "q=4.61,-74.08" in it.
PLACE = re.compile(r"(?:^|[@=/])\s*(-?\d{1,3}(?:\.\d+)?)\s*,\s*(-?\d{1,3}(?:\.\d+)?)")
# Links of a phone's "Share": the place stands only where they lead.
SHORT = re.compile(r"https?://(maps\.app\.goo\.gl|goo\.gl/maps|waze\.com/ul/h|maps\.apple/p)", re.I)


def content_of(kind: str, values: Values) -> Content:
    """The message that these values say. NotFound for a kind that has no dialog."""
    try:
        read = READERS[kind]
    except KeyError:
        raise NotFound from None
    return read(values)


def _words(values: Values, name: str) -> str:
    return values.get(name, "").strip()


def _location(values: Values) -> Location:
    given = _words(values, "place")
    place = PIN.search(given) or WITH_COMMAS.fullmatch(given) or PLACE.search(given)
    if place is None and SHORT.match(given):
        raise Invalid("A short link hides the place: open it, and copy the long one from there.")
    if place is None:
        raise Invalid("Paste the coordinates (4.6097, -74.0817) or the link of a map.")
    latitude, longitude = (float(number.replace(",", ".")) for number in place.groups())
    return Location(
        latitude=latitude,
        longitude=longitude,
        name=_words(values, "name") or None,
        address=_words(values, "address") or None,
    )


def _contact(values: Values) -> Contacts:
    first, last = _words(values, "first_name"), _words(values, "last_name")
    phone, email = _words(values, "phone"), _words(values, "email")
    wa_id = read_dialled(phone)
    if phone and wa_id is None:
        raise Invalid("Write the number with its country: +57 300 123 4567.")
    card = ContactCard(
        formatted_name=" ".join(part for part in (first, last) if part),
        first_name=first,
        last_name=last or None,
        # With the country's code WhatsApp offers to write to them at once.
        phones=(ContactPhone(format_phone(f"+{wa_id}"), wa_id),) if wa_id else (),
        emails=(email,) if email else (),
        company=_words(values, "company") or None,
    )
    return Contacts((card,))


def _buttons(values: Values) -> Buttons:
    titles = [_words(values, f"button-{at}") for at in range(MOST_BUTTONS)]
    return Buttons(
        body=_words(values, "body"),
        buttons=tuple(ReplyButton(f"b{at}", title) for at, title in enumerate(titles) if title),
        header=_words(values, "header") or None,
        footer=_words(values, "footer") or None,
    )


def _list(values: Values) -> ListMenu:
    sections: dict[str, list[ListRow]] = {}
    for at in range(MOST_ROWS):
        if title := _words(values, f"row-{at}"):
            row = ListRow(f"r{at}", title, _words(values, f"description-{at}") or None)
            sections.setdefault(_words(values, f"section-{at}"), []).append(row)
    if not sections:
        raise Invalid("A list needs a row.")
    return ListMenu(
        body=_words(values, "body"),
        button=_words(values, "button"),
        sections=tuple(ListSection(tuple(rows), title) for title, rows in sections.items()),
        header=_words(values, "header") or None,
        footer=_words(values, "footer") or None,
    )


def _link(values: Values) -> LinkButton:
    return LinkButton(
        body=_words(values, "body"),
        title=_words(values, "title"),
        url=_words(values, "url"),
        header=_words(values, "header") or None,
        footer=_words(values, "footer") or None,
    )


READERS: dict[str, Callable[[Values], Content]] = {
    "location": _location,
    "contact": _contact,
    "buttons": _buttons,
    "list": _list,
    "link": _link,
}
KINDS = tuple(READERS)
