"""What a person wrote into the composer's dialogs, as a message.

The values come as the browser sends them; only their shape is read here. What WhatsApp takes is
asked in checks.py, when the message is queued.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import groupby

from crm.errors import Invalid, NotFound
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
# "4.61, -74.08", or the address of a map with "@4.61,-74.08" or "q=4.61,-74.08" in it.
PLACE = re.compile(r"(?:^|[@=/])\s*(-?\d{1,3}(?:\.\d+)?)\s*,\s*(-?\d{1,3}(?:\.\d+)?)")


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
    place = PLACE.search(_words(values, "place"))
    if place is None:
        raise Invalid("Paste the coordinates (4.6097, -74.0817) or the link of a map.")
    return Location(
        latitude=float(place.group(1)),
        longitude=float(place.group(2)),
        name=_words(values, "name") or None,
        address=_words(values, "address") or None,
    )


def _contact(values: Values) -> Contacts:
    first, last = _words(values, "first_name"), _words(values, "last_name")
    phone, email = _words(values, "phone"), _words(values, "email")
    digits = re.sub(r"\D", "", phone)
    if phone and not 6 <= len(digits) <= 15:
        raise Invalid("Write the number with its country: +57 300 123 4567.")
    card = ContactCard(
        formatted_name=" ".join(part for part in (first, last) if part),
        first_name=first,
        last_name=last or None,
        # With the country's code WhatsApp offers to write to them at once.
        phones=(ContactPhone(phone, digits if phone.startswith("+") else None),) if phone else (),
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
    rows = [
        (
            _words(values, f"section-{at}"),
            ListRow(
                f"r{at}",
                _words(values, f"row-{at}"),
                _words(values, f"description-{at}") or None,
            ),
        )
        for at in range(MOST_ROWS)
        if _words(values, f"row-{at}")
    ]
    if not rows:
        raise Invalid("Each section needs a row.")
    sections = [
        ListSection(tuple(row for _title, row in group), title)
        for title, group in groupby(rows, key=lambda pair: pair[0])
    ]
    return ListMenu(
        body=_words(values, "body"),
        button=_words(values, "button"),
        sections=tuple(sections),
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
