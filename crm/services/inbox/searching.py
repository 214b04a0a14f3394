"""Which chats a search finds: by the client's names, phone, case number, or a message's text.

Where it was a message, the row shows that one instead of the last: `find_hits`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import aliased

from crm.db import db
from crm.lib.text import find_folded, fold
from crm.models import Chat, Client, ClientIdentity, Message
from crm.services.inbox.bubbles import stands_alone

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
    """A criterion on Chat (joined to Client): every word has to be there, whatever its accents.

    Without `phones_visible` a number is found by its last four digits, which such a person sees, or
    by all of them: parts in between would tell it digit by digit.
    """
    words = fold(text).split()
    if not words:
        return Chat.id.is_not(None)
    name = folded(
        func.concat_ws(" ", Client.first_name, Client.last_name, Client.company, Chat.case_number)
    )
    found = [
        and_(*(name.like(_inside(word), escape="\\") for word in words)),
        exists().where(ClientIdentity.client_id == Client.id, _is_called(words)),
    ]
    digits = re.sub(r"\D", "", text)
    # A number is written with spaces, brackets or dashes; a word with a digit is none.
    if len(digits) >= SHORTEST_DIGITS and not re.search(r"[^\W\d]", text):
        found.append(_has_phone(digits, phones_visible=phones_visible))
    if len(whole := " ".join(words)) >= SHORTEST_TEXT:
        # Another name: the list already joins messages, for the last one of each chat.
        spoken = aliased(Message)
        said = select(spoken.id).where(spoken.chat_id == Chat.id, _says(spoken, whole))
        found.append(exists(said))
    return or_(*found)


def find_hits(chat_ids: Collection[int], text: str) -> dict[int, Hit]:
    """The newest message of each chat that says `text`; chats without one are left out."""
    whole = " ".join(fold(text).split())
    if len(whole) < SHORTEST_TEXT or not chat_ids:
        return {}
    newest = (
        select(Message.chat_id, Message.id, Message.content, Message.position)
        .ext(distinct_on(Message.chat_id))
        .where(Message.chat_id.in_(chat_ids), _says(Message, whole))
        .order_by(Message.chat_id, Message.position.desc(), Message.id.desc())
    )
    return {
        row.chat_id: Hit(row.id, row.position, *_cut(" ".join(row.content.split()), whole))
        for row in db.session.execute(newest)
    }


def _says(message: Any, whole: str) -> ColumnElement[bool]:
    said = folded(message.content).like(_inside(whole), escape="\\")
    # A reaction or a change is no line of its own where what it speaks of is here.
    return and_(message.deleted_at.is_(None), stands_alone(message), said)


def _cut(line: str, whole: str) -> tuple[str, str, str]:
    """Before, the words found, after: with few enough before them that they show in a row."""
    begin, end = find_folded(line, whole) or (0, 0)
    # From the first word on that begins within reach.
    start = line.find(" ", begin - MOST_BEFORE, begin) + 1 or begin if begin > MOST_BEFORE else 0
    before = ("…" if start else "") + line[start:begin]
    return before, line[begin:end], line[end : end + MOST_AFTER]


def _is_called(words: Sequence[str]) -> ColumnElement[bool]:
    """At WhatsApp: @username or the profile's name, whatever we call the client."""
    name = folded(func.concat_ws(" ", ClientIdentity.username, ClientIdentity.profile_name))
    return and_(*(name.like(_inside(word.removeprefix("@")), escape="\\") for word in words))


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
    escaped = re.sub(r"([\\%_])", r"\\\1", word)
    return f"%{escaped}%"
