"""The simulator's hand-written checks, held against Meta's own OpenAPI document.

Every example call of Meta and every call of ours, whole and in thousands of broken forms, is put to
both judges. Where the document refuses, the checks must refuse too. Where only the checks refuse,
the place must be one of STRICTER: a rule that Meta publishes in words and not in the document.
"""

import copy
import json
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crm.simulator.errors import GraphError
from tests.providers.metas_document import judge_of_messages
from tests.simulator.calls import ACCEPTED
from tests.simulator.test_checks import check

SHARED = Path(__file__).resolve().parents[2] / "../shared/whatsapp"
EXAMPLES = SHARED / "outbound"

# place (digits as #): the rule in words
STRICTER = {
    r"messaging_product": "the product is always whatsapp",
    r"to|recipient": "an empty recipient is none",
    r"message_id": "a receipt names a message",
    r"(image|audio|video|document|sticker)\.(id|link)": "ids are not empty, links are http(s)",
    r"audio\.voice": "voice is true or false",
    r"(image|video|document)\.caption": "captions have 1,024 characters",
    r"document\.filename": "file names end somewhere",
    r"location\.(latitude|longitude)": "coordinates are numbers, as text too",
    r"reaction(\.(emoji|message_id))?": "a reaction names a message and one emoji, or none",
    r"contacts\.#\.name\.formatted_name": "the shown name is text",
    r"contacts\.#\.name(\..*)?": "the shown name is not alone",
    r"contacts\.#\.phones.*": "phones are a list of objects",
    r"interactive(\.body(\.text)?)?": "buttons, lists and links have a body; 1,024, lists 4,096",
    r"interactive\.footer(\.text)?": "a footer is not empty",
    r"interactive\.header.*": "a header has a known type and its part; a list's is text",
    r"interactive\.action": "the action fits the type",
    r"interactive\.action\.button": "a list names its button",
    r"interactive\.action\.buttons(\.#.*)?": "buttons are replies with id; all differ",
    r"interactive\.action\.sections(\.#.*)?": "10 rows in all, with ids that differ, and titles",
    r"interactive\.action\.(name|parameters.*)": "a link button has a text and a link",
    r"template\.(name|language\.code)": "a template is named, in a language",
    r"template\.components\.#.*": "components, parameters and their parts have known shapes",
}


# An example of Meta's that Meta itself refuses: `type` is missing, so it counts as text.
WRONG = {"req-messages-send-reply-to-list-message"}


def read_calls() -> dict[str, Any]:
    """Meta's examples and ours; a missing folder is said loudly, once."""
    found: dict[str, Any] = {f"ours: {name}": body for name, body in ACCEPTED.items()}
    if not EXAMPLES.is_dir():
        warnings.warn(
            f"NOT CHECKED: Meta's example calls are not at {EXAMPLES}; only our own were used.",
            stacklevel=1,
        )
        return found
    for path in sorted(EXAMPLES.glob("req-messages-*.json")):
        found[path.stem] = _real(json.loads(path.read_text()))
    return found


def _real(value: Any) -> Any:
    """An example with its placeholders filled in."""
    if isinstance(value, dict):
        return {key: _real(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_real(part) for part in value]
    if isinstance(value, str) and "{{Recipient" in value:
        return "+573001112233"
    if isinstance(value, str) and "http(s)" in value:
        return "https://example.com/file"
    return value


CALLS = read_calls()


@pytest.fixture(scope="module")
def spec_accepts() -> Callable[[Any], bool]:
    return judge_of_messages()


def refusal(body: Any) -> str:
    """Why our checks refuse, or nothing."""
    try:
        check(body)
    except GraphError as error:
        return error.details
    return ""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a call, but only the first two of a list."""
    if path:
        yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for index in range(min(2, len(value))):
            yield from places(value[index], (*path, index))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def broken(body: Any) -> Iterator[tuple[str, str, Any]]:
    """(place, what was done there, the call afterwards)."""
    for path in places(body):
        old = at(body, path)
        news: dict[str, Any] = {
            "null": None,
            "number": 7,
            "text": "x",
            "true": True,
            "object": {},
            "list": [],
        }
        if isinstance(old, str):
            news |= {f"{size} characters": "y" * size for size in (0, 21, 25, 61, 73, 1025, 5000)}
        if isinstance(old, list):
            news |= {f"{times} times": old * times for times in (4, 12)}
        if isinstance(old, dict):
            news["one key more"] = {**old, "zz_unknown": 1}
        place = ".".join("#" if isinstance(key, int) else str(key) for key in path)
        for done, new in news.items():
            changed = copy.deepcopy(body)
            at(changed, path[:-1])[path[-1]] = new
            yield place, done, changed
        changed = copy.deepcopy(body)
        del at(changed, path[:-1])[path[-1]]
        yield place, "removed", changed


@pytest.mark.parametrize("name", CALLS)
def test_both_judges_take_a_right_call(name: str, spec_accepts: Callable[[Any], bool]) -> None:
    assert (refusal(CALLS[name]) == "") == (name not in WRONG)
    assert spec_accepts(CALLS[name]) == (name not in WRONG)


def test_both_judges_agree_on_broken_calls(spec_accepts: Callable[[Any], bool]) -> None:
    used = set()
    for name, call in CALLS.items():
        if re.search("reply-to|sample-|draft|by-name", name):
            continue  # another example is broken in the same places
        for place, done, body in broken(call):
            why = refusal(body)
            if not spec_accepts(body):
                assert why, f"{name}: {place}, {done}: Meta's document refuses, the checks took it"
            elif why:
                rules = {rule for rule in STRICTER if re.fullmatch(rule, place)}
                assert rules, f"{name}: {place}, {done}: only the checks refuse: {why}"
                used |= rules
    assert used == set(STRICTER), "a rule that is never needed is no rule"
