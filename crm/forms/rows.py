"""A field of many small rows: agents of a campaign, its numbers, holidays, buttons.

In the request each row has a key: `agents=12&agents-12-priority=3&...`. Plain names, so that the
rows work without JSON and one wrong cell can be shown where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import format_decimal
from flask_babel import gettext as _
from wtforms import Field
from wtforms.validators import StopValidation

from crm.forms.kit import WHOLE, split_words
from crm.lib.text import clean, fold

KEY = re.compile(r"[a-z0-9-]{1,20}")
MOST_ROWS = 500


@dataclass(frozen=True)
class Column:
    """One cell of each row. `kind`: number, words, tick, text, date, choice."""

    name: str
    label: Any
    kind: str = "text"
    default: Any = None
    low: int = 0
    high: int = 0
    choices: Sequence[tuple[str, Any]] = ()


class RowsField(Field):
    """`data` is a list of dicts with `key` and one value for each column.

    With `of_ids` the keys are ids, and only those in `options` (id -> label, set by the door) are
    taken; else a key means nothing and a blank row is dropped. `<name>-add` is one more key with a
    row of defaults, `<name>-<key>-out` takes one away: what a browser without scripts can send.
    """

    def __init__(
        self, label: Any, *, columns: Sequence[Column], of_ids: bool = True, **options: Any
    ) -> None:
        super().__init__(label, **options)
        self.columns = columns
        self.data: list[dict[str, Any]]
        self.options: Mapping[int, str] | None = {} if of_ids else None
        # What is to be known of some of them, in a few words.
        self.notes: Mapping[int, str] = {}
        self.cell_errors: dict[tuple[str, str], str] = {}
        self.written: dict[tuple[str, str], str] = {}

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read in `process`, which sees all names."""

    def process(self, formdata: Any, *args: Any, **options: Any) -> None:
        super().process(formdata, *args, **options)
        self.cell_errors, self.written = {}, {}
        if not formdata or f"{self.name}-present" not in formdata:
            self.data = self.data or []
            return
        keys = list(dict.fromkeys(formdata.getlist(self.name)))
        keys = [key for key in keys if KEY.fullmatch(key)][:MOST_ROWS]
        keys = [key for key in keys if not formdata.get(f"{self.name}-{key}-out")]
        self.data = [self._read_row(formdata, key) for key in keys]
        # Chosen in the list of further ones, by a browser without scripts.
        added = formdata.get(f"{self.name}-add", "")
        if KEY.fullmatch(added) and added not in keys:
            self.data.append(self._new_row(added))
        self.data = [row for row in self.data if self.options is not None or not _is_blank(row)]

    def _read_row(self, formdata: Any, key: str) -> dict[str, Any]:
        row = self._new_row(key)
        for column in self.columns:
            name = f"{self.name}-{key}-{column.name}"
            text = clean(formdata.get(name, "")).strip()
            self.written[(key, column.name)] = text
            try:
                row[column.name] = READERS[column.kind](text, column)
            except ValueError as error:
                self.cell_errors[(key, column.name)] = str(error)
                row[column.name] = None
        return row

    def _new_row(self, key: str) -> dict[str, Any]:
        defaults = {column.name: column.default for column in self.columns}
        return {"key": int(key) if key.isdigit() else key, **defaults}

    def pre_validate(self, form: Any) -> None:
        if self.options is not None and any(row["key"] not in self.options for row in self.data):
            raise StopValidation(_("Somebody or something in this list is not available to you."))
        if self.cell_errors:
            raise StopValidation(_("Look at the marked cells."))

    def cell(self, row: Mapping[str, Any], column: Column) -> Any:
        """What stands in the cell: what was written, right or wrong, else the stored value."""
        written = self.written.get((str(row["key"]), column.name))
        value = row.get(column.name)
        if column.kind == "tick":
            return bool(value)
        if written is not None:
            return written
        if isinstance(value, list):
            return ", ".join(value)
        return "" if value is None else value

    def label_of(self, row: Mapping[str, Any]) -> str:
        return (self.options or {}).get(row["key"], "")


def _is_blank(row: Mapping[str, Any]) -> bool:
    return not any(value for name, value in row.items() if name != "key")


def _read_number(text: str, column: Column) -> int | None:
    if not text:
        if column.default is None:
            return None
        return column.default
    if not WHOLE.fullmatch(text):
        raise ValueError(_("Write a whole number, without points or letters."))
    if not column.low <= int(text) <= column.high:
        low, high = format_decimal(column.low), format_decimal(column.high)
        raise ValueError(_("Between %(low)s and %(high)s.", low=low, high=high))
    return int(text)


def _read_words(text: str, column: Column) -> list[str]:
    words = split_words(text, tidy=lambda word: fold(word).strip())
    if any(len(word) > 50 for word in words) or len(words) > 30:
        raise ValueError(_("At most 30 words of 50 characters, with commas between them."))
    return words


def _read_text(text: str, column: Column) -> str | None:
    if column.high and len(text) > column.high:
        most, has = format_decimal(column.high), format_decimal(len(text))
        raise ValueError(_("At most %(most)s characters; this has %(has)s.", most=most, has=has))
    return text or None


def _read_choice(text: str, column: Column) -> str:
    if text not in [value for value, _words in column.choices]:
        raise ValueError(_("Choose one of the options."))
    return text


READERS: dict[str, Callable[[str, Column], Any]] = {
    "number": _read_number,
    "words": _read_words,
    "text": _read_text,
    "tick": lambda text, column: text in ("y", "on", "true", "1"),
    "choice": _read_choice,
}
