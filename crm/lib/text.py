"""Text from outside: cleaned for Postgres, folded for search."""

import re
import unicodedata
from typing import Any

_SURROGATES = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Without what Postgres cannot store: NUL is dropped, a lone surrogate becomes U+FFFD."""
    return _SURROGATES.sub("\ufffd", text.replace("\x00", ""))


def clean_json(value: Any) -> Any:
    """`clean` for every string in a JSON value, keys included (jsonb refuses the same)."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [clean_json(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean_json(item) for key, item in value.items()}
    return value


def fold(text: str) -> str:
    """Lower case without accents, for search and keywords: 'Ñáñez ÁVILA' -> 'nanez avila'."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def shorten(text: str, length: int) -> str:
    """At most `length` characters, on one line, with an ellipsis where something was cut."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"
