"""The bounded regular expressions: as `re` finds, and never longer than text times pattern."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.lib import patterns
from crm.lib.patterns import PatternError, compile_pattern

PIECES = ["a", "b", ".", "a*", "b+", "(ab)?", "[ab]", "[^a]", "a|b", "^", "$", r"\b", r"\d", r"\w+",
          "(a|b){2,3}", "(a*)*", "a{0,2}", r"\s", "[a-c]", "(?:ab|c)*?"]  # fmt: skip


@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join),
    st.text(alphabet="aAbcC 1\n", max_size=12),
)
def test_it_finds_what_re_finds(source: str, text: str):
    expected = re.search(source, text, re.IGNORECASE) is not None
    assert compile_pattern(source).found_in(text) == expected


@pytest.mark.parametrize(
    "source", ["(a+)+$", "(a|a)*b", "(.*)*x", "(a*)*(a*)*(a*)*b", "a?" * 30 + "a" * 30]
)
def test_what_makes_re_run_for_hours_takes_a_bounded_number_of_steps(
    source: str, monkeypatch: pytest.MonkeyPatch
):
    """Counted in steps of the machine, not in seconds."""
    pattern = compile_pattern(source)
    steps = 0
    enter = patterns.Pattern._enter

    def counted(self, number, text, place, reached):
        nonlocal steps
        steps += 1
        enter(self, number, text, place, reached)

    monkeypatch.setattr(patterns.Pattern, "_enter", counted)
    text = "a" * 29 + "!"
    pattern.found_in(text)
    assert steps <= (len(text) + 1) * (patterns.MOST_STATES + 1)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("(", "unreadable"),
        ("[z-a]", "unreadable"),
        (r"(a)\1", "not_possible"),
        ("(?=a)b", "not_possible"),
        ("(?<!a)b", "not_possible"),
        ("a{5000}", "too_large"),
        ("((a{40}){40})", "too_large"),
    ],
)
def test_what_it_cannot_do_is_refused_when_it_is_written(source: str, code: str):
    with pytest.raises(PatternError) as caught:
        compile_pattern(source)
    assert caught.value.code == code


def test_a_long_text_is_looked_at_up_to_its_limit():
    text = "x" * patterns.LONGEST_TEXT + "secreto"
    assert not compile_pattern("secreto").found_in(text)
    assert compile_pattern(string.ascii_lowercase[:3]).found_in("zzABCzz")
