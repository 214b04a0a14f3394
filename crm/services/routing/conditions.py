"""Whether a rule's conditions hold for a chat: pure, so that it can be replayed and explained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from crm.lib.patterns import PatternError, compile_pattern
from crm.lib.text import fold
from crm.services import hours


@dataclass(frozen=True, slots=True)
class ChatFacts:
    """What rules can ask about a chat.

    `texts` and `kinds` are those of the customer's messages in this chat; `variables` is None until
    a bot has handed the chat over, and only then `bot_variable` can hold.
    """

    at: datetime
    number_id: int | None = None
    texts: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()
    segment: str | None = None
    lead_status: str | None = None
    country: str | None = None
    first_contact: bool = False
    variables: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Hours:
    """The business hours of the campaign whose rules are asked."""

    intervals: Mapping[str, Any] | None
    zone: str | None


def find_failing(
    conditions: Mapping[str, Any] | None, facts: ChatFacts, where: Hours
) -> str | None:
    """The first condition that does not hold, by name; None if all do.

    A condition that this release does not know does not hold: a rule that asked for more than we
    understand must not take every chat.
    """
    for name, wanted in (conditions or {}).items():
        check = CHECKS.get(name)
        if check is None or not check(wanted, facts, where):
            return name
    return None


def has_word(text: str, wanted: str) -> bool:
    """Whether one of the words or phrases of `wanted` (commas between) stands whole in the text.

    Case and accents are left aside: 'cotización' is found in 'una COTIZACION, por favor'.
    """
    inside = f" {_words(text)} "
    phrases = (_words(phrase) for phrase in wanted.split(","))
    return any(phrase and f" {phrase} " in inside for phrase in phrases)


def _words(text: str) -> str:
    """Folded, with one space between words and none of the marks around them."""
    return " ".join("".join(c if c.isalnum() else " " for c in fold(text)).split())


def _tag(wanted: Any, facts: ChatFacts, _: Hours) -> bool:
    return fold(str(wanted)) in facts.tags


def _keyword(wanted: Any, facts: ChatFacts, _: Hours) -> bool:
    return any(has_word(text, str(wanted)) for text in facts.texts)


def _regex(wanted: Any, facts: ChatFacts, _: Hours) -> bool:
    try:
        pattern = compile_pattern(str(wanted))
    except PatternError:
        # The form refuses these; one that another release let in takes nothing.
        return False
    return any(pattern.found_in(text) for text in facts.texts)


def _hours(wanted: Any, facts: ChatFacts, where: Hours) -> bool:
    inside = hours.is_open(where.intervals, where.zone, facts.at)
    return wanted == ("inside" if inside else "outside")


def _bot_variable(wanted: Any, facts: ChatFacts, _: Hours) -> bool:
    if facts.variables is None or not isinstance(wanted, Mapping):
        return False
    held = facts.variables.get(str(wanted.get("name")))
    return compare(held, str(wanted.get("operator") or "="), wanted.get("value"))


def compare(held: Any, operator: str, wanted: Any) -> bool:
    """Numbers as numbers where both are, else folded words. An unknown operator does not hold."""
    if operator == "is_set":
        return held not in (None, "")
    if held is None:
        return operator == "!="
    one, other = fold(str(held)).strip(), fold(str(wanted if wanted is not None else "")).strip()
    if operator in TEXT_OPERATORS:
        return TEXT_OPERATORS[operator](one, other)
    order = ORDERS.get(operator)
    if order is None:
        return False
    numbers = _number(one), _number(other)
    if numbers[0] is not None and numbers[1] is not None:
        return order((numbers[0] > numbers[1]) - (numbers[0] < numbers[1]))
    return order((one > other) - (one < other))


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text.replace(",", "."))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


TEXT_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda held, wanted: wanted in held,
    "starts_with": lambda held, wanted: held.startswith(wanted),
}
ORDERS: dict[str, Callable[[int], bool]] = {
    "=": lambda sign: sign == 0,
    "!=": lambda sign: sign != 0,
    ">": lambda sign: sign > 0,
    ">=": lambda sign: sign >= 0,
    "<": lambda sign: sign < 0,
    "<=": lambda sign: sign <= 0,
}
CHECKS: dict[str, Callable[[Any, ChatFacts, Hours], bool]] = {
    "client_tag": _tag,
    "segment": lambda wanted, facts, _: fold(str(wanted)) == fold(facts.segment or ""),
    "lead_status": lambda wanted, facts, _: wanted == facts.lead_status,
    "keyword": _keyword,
    "regex": _regex,
    "message_type": lambda wanted, facts, _: wanted in facts.kinds,
    "first_contact": lambda wanted, facts, _: bool(wanted) == facts.first_contact,
    "number_id": lambda wanted, facts, _: wanted == facts.number_id,
    "hours": _hours,
    "bot_variable": _bot_variable,
    "country": lambda wanted, facts, _: str(wanted).upper() == (facts.country or "").upper(),
}
