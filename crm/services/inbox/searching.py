"""Which chats a search finds: by the client's name, phone, case number, or a message's text."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import aliased

from crm.lib.text import fold
from crm.models import Chat, Client, Message

# Folding inside Postgres, without the unaccent extension, which an embedded server does not have.
_FROM = "áàâäãåéèêëíìîïóòôöõúùûüñçýÿ"
_TO = "aaaaaaeeeeiiiiooooouuuuncyy"
SHORTEST_TEXT = 3
SHORTEST_DIGITS = 3
# What a masked number still shows: "+57 *** 0142".
SHOWN_DIGITS = 4


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
    found = [and_(*(name.like(_inside(word), escape="\\") for word in words))]
    digits = re.sub(r"\D", "", text)
    # A number is written with spaces, brackets or dashes; a word with a digit is none.
    if len(digits) >= SHORTEST_DIGITS and not re.search(r"[^\W\d]", text):
        found.append(_has_phone(digits, phones_visible=phones_visible))
    whole = " ".join(words)
    if len(whole) >= SHORTEST_TEXT:
        # Another name: the list already joins messages, for the last one of each chat.
        spoken = aliased(Message)
        said = select(spoken.id).where(
            spoken.chat_id == Chat.id,
            spoken.deleted_at.is_(None),
            folded(spoken.content).like(_inside(whole), escape="\\"),
        )
        found.append(exists(said))
    return or_(*found)


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
