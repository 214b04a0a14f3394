"""What the form kit promises: areas of one shape, thirty lines of template, words for all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from crm.blueprints import audit_words, permission_words
from crm.blueprints.areas import Area
from crm.permissions import PERMISSIONS

CRM = Path(__file__).parents[2] / "crm"
TEMPLATES = CRM / "templates"
PLAIN = ("tags", "quick_replies")


def lines_of(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


@pytest.mark.parametrize("kind", PLAIN)
def test_a_new_area_costs_a_template_of_thirty_lines(kind: str) -> None:
    both = [TEMPLATES / kind / name for name in ("list.html", "form.html")]
    assert sum(map(lines_of, both)) <= 30


def test_every_area_of_the_settings_has_the_one_shape(app: Flask) -> None:
    areas = {area.kind for area in Area.__subclasses__()}
    assert areas >= {
        "campaigns", "numbers", "queues", "quick_replies", "roles", "rules", "tags", "templates",
        "users",
    }  # fmt: skip
    for kind in areas:
        assert '{% extends "settings/_form.html" %}' in (TEMPLATES / kind / "form.html").read_text()
    for kind in areas - {"roles"}:  # theirs is the matrix
        page = TEMPLATES / kind / "list.html"
        assert '{% extends "settings/_list.html" %}' in page.read_text()
        assert lines_of(page) <= 30


def test_every_permission_has_words_in_the_readers_language() -> None:
    assert set(permission_words.WORDS) == set(PERMISSIONS)


def calls_of_record() -> Iterator[ast.Call]:
    for path in CRM.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "audit.record":
                yield node


def test_the_trail_has_words_for_every_deed_and_circumstance_in_the_code() -> None:
    """Names that are put together as the product runs are held by `tests/audit_names.py`."""
    raw, seen = [], 0
    for call in calls_of_record():
        written = call.args[0]
        if isinstance(written, ast.Constant):
            seen += 1
            if audit_words.deed(written.value) == written.value:
                raw.append(written.value)
        for keyword in call.keywords:
            if keyword.arg == "meta" and isinstance(keyword.value, ast.Dict):
                keys = [key.value for key in keyword.value.keys if isinstance(key, ast.Constant)]
                raw += [key for key in keys if key not in audit_words.DETAILS]
    assert raw == []
    assert seen > 20
