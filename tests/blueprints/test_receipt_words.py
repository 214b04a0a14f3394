"""A receipt in words: why each person stands where they stand, and how many more there are."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, render_template_string
from flask_babel import force_locale

from crm.blueprints import receipt_words as words


@pytest.fixture
def speaking(app: Flask):
    with app.test_request_context(), force_locale("en"):
        yield


def agent(**facts: Any) -> dict[str, Any]:
    return {"user_id": 1, "name": "Laura", "state": "available", "load": 2, "limit": 5,
            "campaign_load": 1, "campaign_limit": 5, "priority": 3, "skills": ["ventas"],
            "last_assigned_at": None, **facts}  # fmt: skip


@pytest.mark.parametrize(
    ("strategy", "facts", "skills", "said"),
    [
        ("round_robin", {}, [], "no chat in this campaign yet"),
        ("last_agent", {}, [], "no chat in this campaign yet"),
        ("least_busy", {}, [], "40% of their places taken"),
        ("least_busy", {"campaign_limit": 2}, [], "50% of their places taken"),
        ("skills", {}, [], "40% of their places taken"),
        ("skills", {}, ["ventas", "ingles"], "knows 1 of 2, 40% of their places taken"),
        ("priority", {}, [], "priority 3, 40% of their places taken"),
        ("least_busy", {"limit": 0}, [], "100% of their places taken"),
    ],
)
def test_why_a_candidate_stands_where_they_stand(
    speaking: None, strategy: str, facts: dict[str, Any], skills: list[str], said: str
) -> None:
    assert words.place_reason(agent(**facts), {"strategy": strategy, "skills": skills}) == said


def test_turns_go_by_the_last_chat(speaking: None) -> None:
    said = words.place_reason(
        agent(last_assigned_at="2026-01-05T10:00:00+00:00"), {"strategy": "round_robin"}
    )
    assert said.startswith("last chat <time")


@pytest.mark.parametrize(
    ("why", "skills", "said"),
    [
        ("paused", [], "gets no chats like that"),
        ("full", [], "no place free"),
        ("skills", ["ventas", "ingles"], "lacks: ingles"),
        ("skills", [], "lacks a skill"),
        ("something_new", [], "something_new"),
    ],
)
def test_why_one_was_left_out(speaking: None, why: str, skills: list[str], said: str) -> None:
    assert words.left_out_reason(agent(why=why), {"skills": skills}) == said


def test_the_load_names_the_campaign_s_own_limit_where_it_is_the_smaller(speaking: None) -> None:
    assert words.load_words(agent()) == "2 of 5 chats"
    assert words.load_words(agent(campaign_limit=None)) == "2 of 5 chats"
    assert words.load_words(agent(campaign_limit=2)) == "2 of 5 chats, 1 of 2 here"


def test_those_who_are_not_named_are_counted_by_reason(speaking: None) -> None:
    named = [{"why": "full"}] * 4 + [{"why": "paused"}] * 6
    receipt = {"left_out": named, "left_out_counts": {"full": 4, "paused": 8, "offline": 30}}
    assert words.rest_words(receipt) == "offline: 30, paused: 2"
    assert words.rest_words({"left_out": named, "left_out_counts": {"full": 4, "paused": 6}}) == ""


def test_an_old_receipt_without_all_of_it_can_still_be_read(speaking: None) -> None:
    shown = render_template_string(
        '{% from "routing/_people.html" import people with context %}{{ people(receipt) }}',
        receipt={
            "strategy": "round_robin", "chosen": 1, "candidate_count": 1,
            "candidates": [{"user_id": 1, "name": "Laura", "state": "available", "load": 0,
                            "limit": 5}],
            "left_out": [{"user_id": 2, "name": "Jhon", "state": "paused", "load": 0, "limit": 5,
                          "why": "paused"}],
        },
    )  # fmt: skip
    assert "Laura" in shown
    assert "Paused · gets no chats like that · no skills noted" in shown
