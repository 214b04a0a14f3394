"""A message's text as WhatsApp shows it: *bold* _italic_ ~strike~ `code` ```block``` and links.

Everything is escaped first or on the way out; the only tags that can appear are the ones written
here. Markers follow WhatsApp: they stand at the edge of a word, hug their text and do not cross a
line (but a block may).
"""

import re
import unicodedata
from collections.abc import Callable, Iterator

from markupsafe import Markup, escape

# An address ends before the punctuation that ends a sentence, and before a bracket it did not open.
_LINK = r"(?:https?://|www\.)[^\s<>\"']+"
_PATTERN = re.compile(
    rf"""
      ```(?P<block>(?:(?!```).)+)```
    | `(?P<code>[^`\n]+)`
    | (?P<link>(?<![\w@]){_LINK})
    | (?<![\w*])\*(?=[^\s*])(?P<bold>[^*\n]+)(?<=\S)\*(?![\w*])
    | (?<![\w_])_(?=[^\s_])(?P<italic>[^_\n]+)(?<=\S)_(?![\w_])
    | (?<![\w~])~(?=[^\s~])(?P<strike>[^~\n]+)(?<=\S)~(?![\w~])
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_TRAILING = ".,;:!?…»”’*_~"
# Three levels are what people write; deeper nesting is shown as typed.
_DEEPEST = 3
_MOST_EMOJI = 3


def render_text(text: str) -> Markup:
    """`text` as safe markup. Line breaks stay line breaks: the page shows them by `pre-wrap`."""
    return Markup("").join(_pieces(text, depth=0))


def plain_text(text: str) -> str:
    """The same without its marks, for one line in a list: '*Hola* `x`' -> 'Hola x'."""
    for _level in range(_DEEPEST):
        text = _PATTERN.sub(lambda match: match[match.lastgroup or 0], text)
    return " ".join(text.split())


def _pieces(text: str, *, depth: int) -> Iterator[Markup]:
    start = 0
    for match in _PATTERN.finditer(text):
        yield escape(text[start : match.start()])
        yield _render(match, depth=depth)
        start = match.end()
    yield escape(text[start:])


def _render(match: re.Match[str], *, depth: int) -> Markup:
    kind = match.lastgroup or ""
    content = match[kind]
    if kind == "link":
        return _link(content)
    if kind == "block":
        return Markup("<pre>{}</pre>").format(content.strip("\n"))
    if kind == "code":
        return Markup("<code>{}</code>").format(content)
    if depth >= _DEEPEST:
        return escape(match[0])
    inner = Markup("").join(_pieces(content, depth=depth + 1))
    return _WRAPPERS[kind](inner)


_WRAPPERS: dict[str, Callable[[Markup], Markup]] = {
    "bold": lambda inner: Markup("<strong>{}</strong>").format(inner),
    "italic": lambda inner: Markup("<em>{}</em>").format(inner),
    "strike": lambda inner: Markup("<s>{}</s>").format(inner),
}


def _link(found: str) -> Markup:
    address = found.rstrip(_TRAILING)
    while address.endswith((")", "]")):
        opening = "(" if address[-1] == ")" else "["
        if address.count(opening) >= address.count(address[-1]):
            break
        address = address[:-1].rstrip(_TRAILING)
    rest = found[len(address) :]
    target = address if "://" in address else f"https://{address}"
    return Markup(
        '<a href="{}" target="_blank" rel="noopener noreferrer nofollow">{}</a>{}'
    ).format(target, address, rest)


def is_few_emoji(text: str) -> bool:
    """Nothing but one to three emoji: shown large, as in WhatsApp."""
    symbols = 0
    joined = False
    for char in text.strip():
        if char in "\u200d\ufe0f" or unicodedata.category(char) in {"Sk", "Mn", "Me"}:
            joined = char == "\u200d"
            continue
        if unicodedata.category(char) != "So":
            return False
        symbols += 0 if joined else 1
        joined = False
    return 1 <= symbols <= _MOST_EMOJI
