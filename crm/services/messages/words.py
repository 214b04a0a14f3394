"""The words of the messages, which the inbox's search looks up instead of reading every message.

They are written by a job a few seconds after the message, so that taking a message in pays nothing
for them. What the job has not reached yet, `find_unread` reads as it is. Split and folded here,
by Python, for both: Postgres's parser keeps an address or a path as one word, and folding in
Postgres without the unaccent extension, which an embedded server does not have, is slow.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import CompoundSelect, Select, cast, exists, func, select, text, union_all
from sqlalchemy.dialects.postgresql import TSQUERY

from crm.db import db
from crm.lib.text import fold
from crm.models import Message, MessageWords

# How many messages one transaction of the job takes.
AT_ONCE = 2_000
# A message can be committed after one with a higher id; the job looks that far back for it.
LOOK_BACK = 5_000
# How many of the newest messages a search reads as they are where the job is behind.
MOST_UNREAD = 5_000
# Of a message; Postgres takes 2,046 bytes for a word and a megabyte for all of them.
LONGEST_WORD = 200
LONGEST_CONTENT = 100_000

_WORD = re.compile(r"[^\W_]+")
_BETWEEN = r"[\W_]+"

WRITE = text("""
    INSERT INTO message_words (message_id, words)
    SELECT id, CAST(words AS tsvector)
    FROM unnest(CAST(:ids AS bigint[]), CAST(:words AS text[])) AS r(id, words)
    WHERE EXISTS (SELECT FROM messages m WHERE m.id = r.id)
    ON CONFLICT (message_id) DO UPDATE SET words = EXCLUDED.words
""")

_REACHED = select(func.coalesce(func.max(MessageWords.message_id), 0)).scalar_subquery()


def split_words(said: str) -> list[str]:
    """'¿Factura N.º 12-A?' -> ['factura', 'n', 'o', '12', 'a']"""
    return [word[:LONGEST_WORD] for word in _WORD.findall(fold(said))]


def find_words(line: str, words: Sequence[str]) -> tuple[int, int] | None:
    """Where `words` follow each other in `line`, the last one perhaps going on; begin and end."""
    if not words:
        return None
    folded, places = [], []
    for place, char in enumerate(line):
        for part in fold(char):
            folded.append(part)
            places.append(place)
    found = re.search(rf"(?<![^\W_]){_BETWEEN.join(words)}", "".join(folded))
    return None if found is None else (places[found.start()], places[found.end() - 1] + 1)


def says(words: Sequence[str]) -> CompoundSelect[int] | Select[int]:
    """The ids of the messages in which `words` follow each other, the last one perhaps going on.

    Deleted messages and reactions are among them: who shows them decides.
    """
    asked = " <-> ".join(f"'{word}'" for word in words) + ":*"
    read = select(MessageWords.message_id).where(
        MessageWords.words.bool_op("@@")(cast(asked, TSQUERY))
    )
    unread = [message_id for message_id, said in _list_unread() if _follow(said, words)]
    return union_all(read, select(Message.id).where(Message.id.in_(unread))) if unread else read


def _follow(said: str, words: Sequence[str]) -> bool:
    """What Postgres answers for a message whose words are written."""
    there = split_words(said[:LONGEST_CONTENT])
    *whole, last = words
    return any(
        there[place].startswith(last) and there[place - len(whole) : place] == whole
        for place in range(len(whole), len(there))
    )


def _list_unread() -> Sequence[Any]:
    newest = select(func.max(Message.id)).scalar_subquery()
    return db.session.execute(
        select(Message.id, Message.content).where(
            Message.id > _REACHED,
            Message.id > newest - MOST_UNREAD,
            Message.content.is_not(None),
        )
    ).all()


def find_unread() -> list[str]:
    """The job's key, if there is a message whose words it has not read."""
    # In their order: else Postgres, which cannot know that these are few, reads the whole table.
    waiting = (
        select(Message.id)
        .where(Message.id > _REACHED, Message.content.is_not(None))
        .order_by(Message.id)
        .limit(1)
    )
    return ["all"] if db.session.scalar(waiting) else []


def read_some() -> bool:
    """The next messages' words, the oldest first; False once there are no more."""
    rows = db.session.execute(
        select(Message.id, Message.content)
        .where(
            Message.id > _REACHED - LOOK_BACK,
            Message.content.is_not(None),
            ~exists().where(MessageWords.message_id == Message.id),
        )
        .order_by(Message.id)
        .limit(AT_ONCE)
    ).all()
    _write(rows)
    return len(rows) == AT_ONCE


def read_again(message_ids: Collection[int]) -> None:
    """After a change of what these messages say. Those that the job has yet to reach it reads."""
    if message_ids:
        changed = select(Message.id, Message.content).where(
            Message.id.in_(message_ids), Message.id <= _REACHED, Message.content.is_not(None)
        )
        _write(db.session.execute(changed).all())


def _write(rows: Sequence[Any]) -> None:
    if rows:
        values = {"ids": [row[0] for row in rows], "words": [_vector(row[1]) for row in rows]}
        db.session.execute(WRITE, values)


def _vector(said: str) -> str:
    """As Postgres writes a tsvector: each word with its place."""
    words = split_words(said[:LONGEST_CONTENT])
    return " ".join(f"'{word}':{place}" for place, word in enumerate(words, 1))
