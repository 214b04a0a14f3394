"""Which chats a search finds: by the client's names, phone, case number, or a message's text.

Where it was a message, the row shows that one instead of the last: `find_hits`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, false, func, or_, select, true, union_all
from sqlalchemy.dialects.postgresql import distinct_on

from crm.db import db
from crm.models import Chat, Client, ClientIdentity, Message
from crm.services.inbox.bubbles import stands_alone
from crm.services.messages.words import find_words, says, split_words

# Folding inside Postgres, without the unaccent extension, which an embedded server does not have.
_FROM = "áàâäãåéèêëíìîïóòôöõúùûüñçýÿ"
_TO = "aaaaaaeeeeiiiiooooouuuuncyy"
SHORTEST_TEXT = 3
SHORTEST_DIGITS = 3
# Of the message around the words found.
MOST_BEFORE = 16
MOST_AFTER = 120
# What a masked number still shows: "+57 *** 0142".
SHOWN_DIGITS = 4


@dataclass(frozen=True)
class Hit:
    """A message that says what was searched for, cut to one line around it."""

    message_id: int
    at: datetime
    before: str
    found: str
    after: str


def matches(text: str, *, phones_visible: bool) -> ColumnElement[bool]:
    """A criterion on Chat: every word is in the client's name or the case number, the digits are in
    the phone number, or a message has the words one behind the other, whatever their accents.

    In a name or a number they may stand anywhere; in a message from the beginning of a word on.
    Without `phones_visible` a number is found by its last four digits, which such a person sees, or
    by all of them: parts in between would tell it digit by digit.
    """
    words = split_words(text)
    if not words:
        # Signs alone are in nobody's name.
        return false() if text.strip() else true()
    # Each is looked for by itself, so that Postgres need not hold every chat against all of them.
    found = list(_named(words))
    digits = re.sub(r"\D", "", text)
    # A number is written with spaces, brackets or dashes; a word with a digit is none.
    if len(digits) >= SHORTEST_DIGITS and not re.search(r"[^\W\d]", text):
        has_phone = _has_phone(digits, phones_visible=phones_visible)
        found.append(_chats_of(has_phone))
    if _is_long_enough(words):
        heard = says(words).subquery("heard")
        found.append(
            select(Message.chat_id)
            .join(heard, heard.c.message_id == Message.id)
            .where(*_is_shown(Message))
        )
    return Chat.id.in_(union_all(*found))


def find_hits(chat_ids: Collection[int], text: str) -> dict[int, Hit]:
    """The newest message of each chat that says `text`; chats without one are left out."""
    words = split_words(text)
    if not _is_long_enough(words) or not chat_ids:
        return {}
    heard = says(words).subquery("heard")
    newest = (
        select(Message.chat_id, Message.id, Message.content, Message.position)
        .ext(distinct_on(Message.chat_id))
        .join(heard, heard.c.message_id == Message.id)
        .where(Message.chat_id.in_(chat_ids), *_is_shown(Message))
        .order_by(Message.chat_id, Message.position.desc(), Message.id.desc())
    )
    return {
        row.chat_id: Hit(row.id, row.position, *_cut(" ".join(row.content.split()), words))
        for row in db.session.execute(newest)
    }


def _is_long_enough(words: list[str]) -> bool:
    return len(" ".join(words)) >= SHORTEST_TEXT


def _is_shown(message: Any) -> tuple[ColumnElement[bool], ...]:
    # A reaction or a change is no line of its own where what it speaks of is here.
    return message.deleted_at.is_(None), stands_alone(message)


def _named(words: list[str]) -> Iterator[Select[int]]:
    """By the client's names and company, and by the case number where digits are asked for."""
    name = folded(func.concat_ws(" ", Client.first_name, Client.last_name, Client.company))
    yield _chats_of(*(name.like(_inside(word)) for word in words))
    # At WhatsApp: @username or the profile's name, whatever we call the client.
    called = folded(func.concat_ws(" ", ClientIdentity.username, ClientIdentity.profile_name))
    yield (
        select(Chat.id)
        .join(ClientIdentity, ClientIdentity.client_id == Chat.client_id)
        .where(*(called.like(_inside(word)) for word in words))
    )
    if numbered := [word for word in words if any(char.isdigit() for char in word)]:
        others = [word for word in words if word not in numbered]
        yield _chats_of(
            *(_in_case(word) for word in numbered),
            *(or_(_in_case(word), name.like(_inside(word))) for word in others),
        )


def _in_case(word: str) -> ColumnElement[bool]:
    return Chat.case_number.like(_inside(word.upper()))


def _chats_of(*criteria: ColumnElement[bool]) -> Select[int]:
    return select(Chat.id).join(Client, Client.id == Chat.client_id).where(*criteria)


def _cut(line: str, words: list[str]) -> tuple[str, str, str]:
    """Before, the words found, after: with few enough before them that they show in a row."""
    begin, end = find_words(line, words) or (0, 0)
    # From the first word on that begins within reach.
    start = line.find(" ", begin - MOST_BEFORE, begin) + 1 or begin if begin > MOST_BEFORE else 0
    before = ("…" if start else "") + line[start:begin]
    return before, line[begin:end], line[end : end + MOST_AFTER]


def _has_phone(digits: str, *, phones_visible: bool) -> ColumnElement[bool]:
    if phones_visible:
        return Client.phone_number.like(_inside(digits))
    if len(digits) == SHOWN_DIGITS:
        return Client.phone_number.like(f"%{digits}")
    return Client.phone_number == f"+{digits}"


def folded(column: Any) -> ColumnElement[str]:
    """The column in lower case without accents, as `lib.text.fold` does for the words asked for."""
    return func.translate(func.lower(column), _FROM, _TO)


def _inside(word: str) -> str:
    """For LIKE; `split_words` leaves no sign that means something there."""
    return f"%{word}%"
