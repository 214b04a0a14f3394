"""A rule's conditions in one line, for lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint
from flask_babel import gettext as _

from crm.forms.rules import HOURS_WORDS, LEAD_WORDS, MESSAGE_WORDS, OPERATORS

blueprint = Blueprint("rule_words", __name__)


@blueprint.app_template_filter("conditions_line")
def conditions_line(conditions: Mapping[str, Any] | None, numbers: Mapping[int, str]) -> str:
    """'the word “precio” · from CO · on first contact'; `numbers` are their names by id."""
    held = dict(conditions or {})
    parts = [_say(name, value, numbers) for name, value in held.items() if value is not None]
    return " · ".join(part for part in parts if part) or _("every chat")


def _say(name: str, value: Any, numbers: Mapping[int, str]) -> str:
    if name == "first_contact":
        return _("on first contact") if value else _("not on first contact")
    if name == "hours":
        return str(dict(HOURS_WORDS).get(value, value))
    if name == "bot_variable" and isinstance(value, Mapping):
        operator = dict(OPERATORS).get(str(value.get("operator")), value.get("operator"))
        return f"{value.get('name')} {operator} {value.get('value') or ''}".strip()
    known: dict[str, Mapping[Any, Any]] = {
        "lead_status": dict(LEAD_WORDS),
        "message_type": dict(MESSAGE_WORDS),
        "number_id": numbers,
    }
    # Another release, or a hand, may have written several values where the form writes one.
    values = [each if isinstance(each, str | int) else str(each) for each in _listed(value)]
    shown = ", ".join(str(known.get(name, {}).get(each, each)) for each in values)
    words = {
        "keyword": _("the word “%(value)s”", value=shown),
        "regex": _("the pattern %(value)s", value=shown),
        "message_type": _("message: %(value)s", value=shown),
        "client_tag": _("with the tag “%(value)s”", value=shown),
        "segment": _("segment %(value)s", value=shown),
        "lead_status": _("lead status: %(value)s", value=shown),
        "country": _("from %(value)s", value=shown),
        "number_id": _("by %(value)s", value=shown),
    }
    return words.get(name, name)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
