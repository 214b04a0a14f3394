"""Regular expressions whose time is bounded by their length and the text's, whoever wrote them.

Python's `re` backtracks: `(a+)+$` takes hours for thirty characters, holds the interpreter all the
while and cannot be stopped from within. This reads the same notation (by Python's own parser) into
a machine that walks the text once with the set of all states it may be in, so that the time grows
with text times pattern and no more. What such a machine cannot do, back references and looking
around, is refused when the pattern is saved.

The roads not taken: a process of its own with a time limit (milliseconds for each message, and one
more thing that dies), a watch thread (cannot stop `re`), a list of forbidden shapes (always lets
one through).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

# The parser behind `re.compile`; its module has no public name since Python 3.11.
_parser: Any = import_module("re._parser")
_names: Any = import_module("re._constants")

LONGEST_TEXT = 2_000
MOST_STATES = 300

Test = Callable[[str], bool]


class PatternError(ValueError):
    """The pattern cannot be read, or is more than the machine takes; `code` says which."""

    def __init__(self, code: str, detail: str = "") -> None:
        self.code = code
        super().__init__(detail or code)


@dataclass(slots=True)
class _State:
    """One place: `test` eats a character, `look` checks where it stands, else it branches."""

    test: Test | None = None
    look: Any = None
    next: tuple[int, ...] = ()


class Pattern:
    """A compiled pattern; `found_in` looks anywhere in the text, capitals aside."""

    def __init__(self, source: str) -> None:
        try:
            # Python warns of oddities in a pattern while parsing; they are the author's business.
            tree = _parser.parse(source, re.IGNORECASE)
        except (re.error, RecursionError, OverflowError) as error:
            raise PatternError("unreadable", str(error)) from None
        self._states: list[_State] = []
        self._end = self._add(_State())
        self._start = self._sequence(tree, self._end)

    def found_in(self, text: str) -> bool:
        text = text[:LONGEST_TEXT]
        current: set[int] = set()
        for place in range(len(text) + 1):
            # A match may begin at every place.
            self._enter(self._start, text, place, current)
            if self._end in current:
                return True
            if place == len(text):
                return False
            char = text[place]
            following: set[int] = set()
            for number in current:
                state = self._states[number]
                if state.test is not None and state.test(char):
                    self._enter(state.next[0], text, place + 1, following)
            current = following
        return False

    def _enter(self, number: int, text: str, place: int, reached: set[int]) -> None:
        """`number` and all that follows from it without eating a character."""
        waiting = [number]
        while waiting:
            number = waiting.pop()
            if number in reached:
                continue
            state = self._states[number]
            if state.look is not None and not _holds(state.look, text, place):
                continue
            reached.add(number)
            if state.test is None:
                waiting.extend(state.next)

    def _add(self, state: _State) -> int:
        if len(self._states) >= MOST_STATES:
            raise PatternError("too_large")
        self._states.append(state)
        return len(self._states) - 1

    def _sequence(self, nodes: Iterable[Any], after: int) -> int:
        """Build the nodes from the last to the first; returns where they begin."""
        for node in reversed(list(nodes)):
            kind, value = node
            after = self._node(kind, value, after)
        return after

    def _node(self, kind: Any, value: Any, after: int) -> int:
        if kind in (_names.MAX_REPEAT, _names.MIN_REPEAT):
            low, high, nodes = value
            return self._repeat(low, high, nodes, after)
        if kind is _names.SUBPATTERN:
            return self._sequence(value[3], after)
        if kind is _names.BRANCH:
            starts = tuple(self._sequence(branch, after) for branch in value[1])
            return self._add(_State(next=starts))
        if kind is _names.AT:
            return self._add(_State(look=value, next=(after,)))
        test = _test_of(kind, value)
        if test is None:
            raise PatternError("not_possible", str(kind).lower())
        return self._add(_State(test=test, next=(after,)))

    def _repeat(self, low: int, high: Any, nodes: Any, after: int) -> int:
        if max(low, 0 if high is _names.MAXREPEAT else high) > MOST_STATES:
            raise PatternError("too_large")
        if high is _names.MAXREPEAT:
            loop = self._add(_State())
            self._states[loop].next = (self._sequence(nodes, loop), after)
            after = loop
        else:
            for _ in range(high - low):
                after = self._add(_State(next=(self._sequence(nodes, after), after)))
        for _ in range(low):
            after = self._sequence(nodes, after)
        return after


@functools.lru_cache(maxsize=512)
def compile_pattern(source: str) -> Pattern:
    """PatternError for one that cannot be used."""
    return Pattern(source)


def _test_of(kind: Any, value: Any) -> Test | None:
    """Which characters this node takes; None for what is not one character."""
    if kind is _names.ANY:
        return lambda char: char != "\n"
    if kind in (_names.LITERAL, _names.NOT_LITERAL):
        wanted = chr(value).casefold()
        if kind is _names.LITERAL:
            return lambda char: char.casefold() == wanted
        return lambda char: char.casefold() != wanted
    if kind is _names.IN:
        negated = bool(value) and value[0][0] is _names.NEGATE
        tests = [_test_of_class(*item) for item in value[negated:]]
        return lambda char: any(test(char) for test in tests) != negated
    return None


def _test_of_class(kind: Any, value: Any) -> Test:
    if kind is _names.LITERAL:
        wanted = chr(value).casefold()
        return lambda char: char.casefold() == wanted
    if kind is _names.RANGE:
        low, high = value
        return lambda char: any(low <= ord(one) <= high for one in _cases(char))
    return CATEGORIES[value]


def _cases(char: str) -> tuple[str, ...]:
    # 'ß'.upper() has two letters: no character of a range.
    return tuple(one for one in (char, char.lower(), char.upper()) if len(one) == 1)


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


CATEGORIES: dict[Any, Test] = {
    _names.CATEGORY_DIGIT: str.isdigit,
    _names.CATEGORY_NOT_DIGIT: lambda char: not char.isdigit(),
    _names.CATEGORY_SPACE: str.isspace,
    _names.CATEGORY_NOT_SPACE: lambda char: not char.isspace(),
    _names.CATEGORY_WORD: _is_word,
    _names.CATEGORY_NOT_WORD: lambda char: not _is_word(char),
}


def _holds(look: Any, text: str, place: int) -> bool:
    if look in (_names.AT_BEGINNING, _names.AT_BEGINNING_STRING):
        return place == 0
    if look is _names.AT_END_STRING:
        return place == len(text)
    if look is _names.AT_END:
        return place == len(text) or (place == len(text) - 1 and text[place] == "\n")
    before = place > 0 and _is_word(text[place - 1])
    after = place < len(text) and _is_word(text[place])
    return (before != after) == (look is _names.AT_BOUNDARY)
