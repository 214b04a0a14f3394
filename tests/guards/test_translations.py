"""The screens speak Spanish, whole: a word without its translation fails here."""

import ast

from scripts import translations


def test_every_catalog_is_complete():
    assert translations.problems() == []


def test_words_are_found_where_nothing_marks_them():
    source = """
class Away(DomainError):
    message = "The service is away."
raise Away("It went away at night.")
raise ValueError("not for people")
TABLE = {1: Meaning(Effect.RETRY, "Try it again later.")}
"""
    words = set(translations.unmarked_words(ast.parse(source)))
    names = translations.error_names()
    assert "The service is away." in words
    assert "Try it again later." in words
    assert "not for people" not in words
    assert {"NotFound", "Conflict"} <= names
