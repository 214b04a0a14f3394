"""WhatsApp's limits for what we write, asked before a message is queued, in words for people.

Source: Meta's Cloud API reference, v23.0. Lengths count as a browser counts them (UTF-16 units, an
emoji is two or more): the strictest reading, so that nothing passes here that WhatsApp cuts or
refuses, and the counter beside a field says the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import singledispatch
from typing import Any

from crm.errors import Invalid
from crm.lib.text import clean
from crm.providers.outbound import (
    Buttons,
    ContactCard,
    Contacts,
    Content,
    Deletion,
    Edit,
    FilledTemplate,
    LinkButton,
    ListMenu,
    ListRow,
    Location,
    Media,
    MediaKind,
    Reaction,
    Text,
)

LONGEST_TEXT = 4096
LONGEST_CAPTION = 1024
LONGEST_BODY = 1024
LONGEST_LIST_BODY = 4096
LONGEST_LINE = 60
LONGEST_BUTTON = 20
LONGEST_ROW, LONGEST_ROW_TEXT, LONGEST_SECTION = 24, 72, 24
LONGEST_URL = 2000
LONGEST_PLACE = 1000
MOST_BUTTONS, MOST_ROWS, MOST_SECTIONS, MOST_CARDS = 3, 10, 10, 257
CAPTIONED = frozenset({MediaKind.IMAGE, MediaKind.VIDEO, MediaKind.DOCUMENT})


def length_of(text: str) -> int:
    """Characters as a browser and a phone count them: most emojis are two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


@singledispatch
def check_content(content: Any) -> Any:
    """The content as it will be stored, its texts tidied. Invalid says which limit it breaks."""
    raise TypeError(f"no message of the kind {type(content).__name__}")


@check_content.register
def _(content: Text) -> Content:
    body = tidy(content.body)
    if not body:
        raise Invalid("Write a message first.")
    if length_of(body) > LONGEST_TEXT:
        raise Invalid("A message may have at most %(limit)s characters.", limit=LONGEST_TEXT)
    return replace(content, body=body)


@check_content.register
def _(content: Media) -> Content:
    caption = tidy(content.caption or "") or None
    if caption and content.kind not in CAPTIONED:
        raise Invalid("Audio and stickers carry no text; send it as a message of its own.")
    if caption and length_of(caption) > LONGEST_CAPTION:
        raise Invalid(
            "The text of a file may have at most %(limit)s characters.", limit=LONGEST_CAPTION
        )
    return replace(content, caption=caption)


@check_content.register
def _(content: Location) -> Content:
    on_globe = abs(content.latitude) <= 90 and abs(content.longitude) <= 180
    if not (math.isfinite(content.latitude) and math.isfinite(content.longitude) and on_globe):
        raise Invalid("This is no place: latitude runs from -90 to 90, longitude from -180 to 180.")
    name, address = tidy(content.name or "") or None, tidy(content.address or "") or None
    for words in (name, address):
        if words and length_of(words) > LONGEST_PLACE:
            raise Invalid("Name and address have at most %(limit)s characters.", limit=1000)
    return replace(content, name=name, address=address)


@check_content.register
def _(content: Contacts) -> Content:
    if not content.cards:
        raise Invalid("Choose a contact first.")
    if len(content.cards) > MOST_CARDS:
        raise Invalid("A message holds at most %(limit)s contacts.", limit=MOST_CARDS)
    return Contacts(tuple(_check_card(card) for card in content.cards))


def _check_card(card: ContactCard) -> ContactCard:
    shown, first = tidy(card.formatted_name), tidy(card.first_name)
    if not (shown and first):
        raise Invalid("A contact needs a name.")
    if not any(tidy(phone.phone) for phone in card.phones) and not card.emails:
        raise Invalid("A contact needs a phone number or an e-mail address.")
    return replace(card, formatted_name=shown, first_name=first)


@check_content.register
def _(content: Reaction) -> Content:
    emoji = tidy(content.emoji)
    if emoji and not is_one_emoji(emoji):
        raise Invalid("A reaction is one emoji.")
    return replace(content, emoji=emoji)


@check_content.register
def _(content: Edit) -> Content:
    text = check_content(Text(content.body))
    return replace(content, body=text.body)


@check_content.register
def _(content: Deletion) -> Content:
    return content


@check_content.register
def _(content: Buttons) -> Content:
    body, header, footer = _frame(content, LONGEST_BODY)
    buttons = tuple(
        replace(button, title=_short(button.title, LONGEST_BUTTON, "button"))
        for button in content.buttons
    )
    if not 1 <= len(buttons) <= MOST_BUTTONS:
        raise Invalid("A message has one to three buttons.")
    if not _all_differ(button.title for button in buttons):
        raise Invalid("Two buttons say the same.")
    if not _all_differ(button.id for button in buttons):
        raise Invalid("Two buttons have the same id.")
    return replace(content, body=body, buttons=buttons, header=header, footer=footer)


@check_content.register
def _(content: ListMenu) -> Content:
    body, header, footer = _frame(content, LONGEST_LIST_BODY)
    button = _short(content.button, LONGEST_BUTTON, "list")
    if not 1 <= len(content.sections) <= MOST_SECTIONS:
        raise Invalid("A list has one to ten sections.")
    sections = []
    for section in content.sections:
        title = tidy(section.title)
        if not title and len(content.sections) > 1:
            raise Invalid("With more than one section, each needs a title.")
        if length_of(title) > LONGEST_SECTION:
            raise _too_long("section", LONGEST_SECTION)
        if not section.rows:
            raise Invalid("Each section needs a row.")
        sections.append(replace(section, title=title, rows=tuple(map(_check_row, section.rows))))
    checked = replace(
        content,
        body=body,
        button=button,
        sections=tuple(sections),
        header=header if isinstance(header, str) else None,
        footer=footer,
    )
    if len(checked.rows) > MOST_ROWS:
        raise Invalid("A list has at most ten rows over all its sections.")
    if not _all_differ(row.id for row in checked.rows):
        raise Invalid("Two rows have the same id.")
    return checked


def _check_row(row: ListRow) -> ListRow:
    description = tidy(row.description or "") or None
    if description and length_of(description) > LONGEST_ROW_TEXT:
        raise _too_long("row text", LONGEST_ROW_TEXT)
    return replace(row, title=_short(row.title, LONGEST_ROW, "row"), description=description)


@check_content.register
def _(content: LinkButton) -> Content:
    body, header, footer = _frame(content, LONGEST_BODY)
    title, url = _short(content.title, LONGEST_BUTTON, "button"), tidy(content.url)
    if not url.lower().startswith(("https://", "http://")) or any(c.isspace() for c in url):
        raise Invalid("A web address begins with https:// and has no spaces.")
    if length_of(url) > LONGEST_URL:
        raise _too_long("address", LONGEST_URL)
    return replace(content, body=body, title=title, url=url, header=header, footer=footer)


@check_content.register
def _(content: FilledTemplate) -> Content:
    """What a template needs is checked against its row, in services/templates."""
    return content


def _frame(
    content: Buttons | ListMenu | LinkButton, longest: int
) -> tuple[str, str | Media | None, str | None]:
    """Body, header and footer, which all three interactive kinds have."""
    body, footer = tidy(content.body), tidy(content.footer or "") or None
    if not body:
        raise Invalid("Write the text above the buttons.")
    if length_of(body) > longest:
        raise _too_long("text", longest)
    header = content.header
    if isinstance(header, str):
        header = tidy(header) or None
        if header and length_of(header) > LONGEST_LINE:
            raise _too_long("header", LONGEST_LINE)
    if footer and length_of(footer) > LONGEST_LINE:
        raise _too_long("footer", LONGEST_LINE)
    return body, header, footer


def _short(text: str, longest: int, what: str) -> str:
    text = " ".join(tidy(text).split())
    if not text:
        raise Invalid(EMPTY_WORDS[what])
    if length_of(text) > longest:
        raise _too_long(what, longest)
    return text


EMPTY_WORDS = {
    "button": "A button needs words.",
    "row": "A row needs a title.",
    "list": "The button that opens the list needs words.",
}
LONG_WORDS = {
    "button": "A button has at most %(limit)s characters; most emojis count as two.",
    "row": "The title of a row has at most %(limit)s characters; most emojis count as two.",
    "list": "The list's button has at most %(limit)s characters.",
    "section": "The title of a section has at most %(limit)s characters.",
    "row text": "The text of a row has at most %(limit)s characters.",
    "text": "The text has at most %(limit)s characters.",
    "header": "The header has at most %(limit)s characters.",
    "footer": "The footer has at most %(limit)s characters.",
    "address": "The address has at most %(limit)s characters.",
}


def _too_long(what: str, limit: int) -> Invalid:
    return Invalid(LONG_WORDS[what], limit=limit)


def _all_differ(values: Iterable[str]) -> bool:
    known = [value.casefold() for value in values]
    return len(set(known)) == len(known)


def is_one_emoji(text: str) -> bool:
    """One emoji as people see it: skin, sex and family joined to it, flags, keycaps."""
    if length_of(text) > 32 or any(char.isalpha() or char.isspace() for char in text):
        return False
    if text[0] in "0123456789#*":
        return text.endswith("\u20e3") and len(text) <= 3
    joined = text.split("\u200d")
    return all(_one_sign(part) for part in joined)


def _one_sign(part: str) -> bool:
    """A sign with its variation, skin or tags; two regional letters are one flag."""
    bare = [char for char in part if not _is_modifier(char)]
    if len(bare) == 2:
        return all("\U0001f1e6" <= char <= "\U0001f1ff" for char in bare)
    return len(bare) == 1 and ord(bare[0]) > 0xA8


def _is_modifier(char: str) -> bool:
    return (
        char in "\ufe0e\ufe0f\u20e3"
        or "\U0001f3fb" <= char <= "\U0001f3ff"
        or "\U000e0020" <= char <= "\U000e007f"
    )


def tidy(text: str) -> str:
    """As it is stored: what Postgres refuses is out, line breaks are one, the edges are trimmed."""
    return clean(text).replace("\r\n", "\n").strip()
