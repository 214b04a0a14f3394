"""Rules: every condition, every action, the order, the hand-ons. Pure: no database."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.services.routing.conditions import ChatFacts, Hours, compare, find_failing, has_word
from crm.services.routing.rules import Book, Decision, Line, Rule, decide

# A Wednesday, 10:00 in Bogota.
NOW = datetime(2026, 11, 25, 15, tzinfo=UTC)
ALWAYS = Hours(None, None)
MORNINGS = Hours({"wednesday": [{"start": "08:00", "end": "12:00"}]}, "America/Bogota")
NIGHTS = Hours({"wednesday": [{"start": "20:00", "end": "23:00"}]}, "America/Bogota")


def facts(**fields: Any) -> ChatFacts:
    return ChatFacts(at=NOW, **fields)


HOLDS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    # condition, facts in which it holds, facts in which it does not
    ({"client_tag": "VIP"}, {"tags": frozenset({"vip"})}, {"tags": frozenset({"vips"})}),
    ({"segment": "Élite"}, {"segment": "elite"}, {"segment": None}),
    ({"lead_status": "won"}, {"lead_status": "won"}, {"lead_status": "new"}),
    ({"keyword": "Cotización"}, {"texts": ("una COTIZACION!",)}, {"texts": ("cotizaciones",)}),
    ({"keyword": "pagar, cuánto vale"}, {"texts": ("¿Cuanto  vale?",)}, {"texts": ("cuanto no",)}),
    ({"regex": r"pedido\s+\d{3,}"}, {"texts": ("mi PEDIDO 4711",)}, {"texts": ("mi pedido 47",)}),
    ({"message_type": "image"}, {"kinds": ("text", "image")}, {"kinds": ("text",)}),
    ({"first_contact": True}, {"first_contact": True}, {"first_contact": False}),
    ({"first_contact": False}, {"first_contact": False}, {"first_contact": True}),
    ({"number_id": 7}, {"number_id": 7}, {"number_id": 8}),
    ({"country": "co"}, {"country": "CO"}, {"country": "MX"}),
    (
        {"bot_variable": {"name": "edad", "operator": ">=", "value": "18"}},
        {"variables": {"edad": "20"}},
        {"variables": None},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("conditions", "good", "bad"), HOLDS)
def test_each_condition_holds_and_fails(
    conditions: dict[str, Any], good: dict[str, Any], bad: dict[str, Any]
):
    (name,) = conditions
    assert find_failing(conditions, facts(**good), ALWAYS) is None
    assert find_failing(conditions, facts(**bad), ALWAYS) == name
    assert find_failing(conditions, facts(), ALWAYS) == (
        None if good == {"first_contact": False} else name
    )


@pytest.mark.parametrize(("wanted", "where"), [("inside", MORNINGS), ("outside", NIGHTS)])
def test_hours_are_those_of_the_campaign_that_is_asked(wanted: str, where: Hours):
    other = "outside" if wanted == "inside" else "inside"
    assert find_failing({"hours": wanted}, facts(), where) is None
    assert find_failing({"hours": other}, facts(), where) == "hours"


def test_all_that_are_present_must_hold():
    conditions = {"client_tag": "vip", "country": "CO", "keyword": "urgente"}
    good = {"tags": frozenset({"vip"}), "country": "CO", "texts": ("es urgente",)}
    assert find_failing(conditions, facts(**good), ALWAYS) is None
    for name, value in (("tags", frozenset()), ("country", "MX"), ("texts", ())):
        assert find_failing(conditions, facts(**{**good, name: value}), ALWAYS) is not None


def test_no_condition_at_all_takes_every_chat():
    assert find_failing(None, facts(), ALWAYS) is None
    assert find_failing({}, facts(), ALWAYS) is None


def test_a_condition_that_we_do_not_know_does_not_hold():
    assert find_failing({"moon": "full"}, facts(), ALWAYS) == "moon"


@given(st.text(alphabet="aá Bñ.,!1", min_size=1, max_size=20), st.sampled_from(["aB", "ñ", "1"]))
def test_a_keyword_is_a_whole_word_whatever_stands_around_it(text: str, word: str):
    from crm.lib.text import fold

    words = [part for part in re.split(r"[^\w]+", fold(text)) if part]
    assert has_word(text, word) == (fold(word) in words)


@pytest.mark.parametrize(
    ("held", "operator", "wanted", "expected"),
    [
        ("10", ">", "9", True),
        ("10", "<", "9", False),
        ("2,5", ">=", "2.5", True),
        ("Bogotá", "=", "bogota", True),
        ("Bogotá", "!=", "Cali", True),
        ("plan oro", "contains", "ORO", True),
        ("plan oro", "starts_with", "plan", True),
        ("", "is_set", None, False),
        ("x", "is_set", None, True),
        (None, "=", "", False),
        (None, "!=", "x", True),
        ("a", "~", "a", False),
        ("NaN", ">", "1", True),  # a word, not a number
    ],
)
def test_variables_are_compared_as_people_mean_it(held: Any, operator: str, wanted: Any, expected):
    assert compare(held, operator, wanted) is expected


# Order and actions


def rule(name: str = "r", *, campaign_id: int = 1, id: int = 1, **fields: Any) -> Rule:
    defaults = {"priority": 0, "conditions": None, "action": "assign_queue"}
    return Rule(**{"id": id, "name": name, "campaign_id": campaign_id, **defaults, **fields})


def line(*rules: Rule, id: int = 1, queues: tuple[int, ...] = (10,), **fields: Any) -> Line:
    defaults = {"hours": ALWAYS, "flow_id": None}
    return Line(
        **{"id": id, "name": f"C{id}", "rules": rules, "queue_ids": queues, **defaults, **fields}
    )


def decide_in(*lines: Line, flows: set[int] | None = None, **given: Any) -> Decision:
    book = Book({each.id: each for each in lines}, frozenset(flows or ()))
    had_flow = given.pop("had_flow", None)
    return decide(book, 1, facts(**given), had_flow=had_flow)


def test_the_highest_priority_is_asked_first_and_the_first_match_wins():
    low = rule("baja", id=1, priority=1)
    high = rule("alta", id=2, priority=9, conditions={"country": "MX"})
    middle = rule("media", id=3, priority=5, target_queue_id=10)
    same = rule("media después", id=4, priority=5)
    decision = decide_in(line(low, high, same, middle), country="CO")
    assert decision.rule is middle
    assert [(step.name, step.failed) for step in decision.steps] == [
        ("alta", "country"),
        ("media", None),
    ]
    assert decision.receipt()["missed"] == [{"rule": "alta", "failed": "country"}]


def test_without_a_match_the_bot_talks_first_else_the_first_queue_takes_it():
    assert decide_in(line(queues=(10, 11))).queue_id == 10
    with_bot = decide_in(line(flow_id=5), flows={5})
    assert (with_bot.action, with_bot.flow_id) == ("assign_bot", 5)
    after_bot = decide_in(line(flow_id=5), flows={5}, variables={})
    assert (after_bot.action, after_bot.queue_id) == ("assign_queue", 10)


def test_a_rule_sends_to_its_queue_with_priority_and_skills():
    chosen = rule(target_queue_id=11, set_priority="urgent", required_skills=("ingles",))
    decision = decide_in(line(chosen, queues=(10, 11)))
    assert (decision.queue_id, decision.set_priority) == (11, "urgent")
    assert decision.required_skills == ("ingles",)


def test_a_queue_that_is_gone_leaves_the_chat_to_the_first():
    decision = decide_in(line(rule(target_queue_id=99)))
    assert decision.queue_id == 10
    assert decision.steps[-1].failed == "target_gone"


def test_a_rule_may_want_an_agent_who_is_asked_for_in_the_queue():
    decision = decide_in(line(rule(action="assign_agent", target_user_id=42)))
    assert (decision.action, decision.user_id, decision.queue_id) == ("assign_agent", 42, 10)


def test_a_rule_may_turn_away_with_its_message():
    decision = decide_in(line(rule(action="reject", message="No atendemos aquí.")))
    assert (decision.action, decision.message) == ("reject", "No atendemos aquí.")


def test_a_rule_may_choose_the_flow_but_never_the_one_that_has_just_ended():
    to_bot = rule(action="assign_bot", target_bot_flow_id=5)
    assert decide_in(line(to_bot), flows={5}).flow_id == 5
    assert decide_in(line(to_bot), flows=set()).action == "assign_queue"
    again = decide_in(line(to_bot), flows={5}, variables={}, had_flow=5)
    assert (again.action, again.steps[-1].failed) == ("assign_queue", "bot_had_it")


def test_another_campaign_s_rules_and_hours_count_after_a_hand_on():
    onward = rule("a C2", action="transfer_campaign", target_campaign_id=2, set_priority="high")
    there = rule("mañana", id=2, campaign_id=2, conditions={"hours": "inside"}, target_queue_id=21)
    decision = decide_in(line(onward), line(there, id=2, queues=(20, 21), hours=MORNINGS))
    assert (decision.campaign_id, decision.queue_id, decision.set_priority) == (2, 21, "high")
    assert decision.hops == ["C1"]


def test_at_most_three_hand_ons_and_then_it_waits_where_it_is():
    circle = [
        line(
            rule(campaign_id=n, id=n, action="transfer_campaign", target_campaign_id=n % 2 + 1),
            id=n,
            queues=(n * 10,),
        )
        for n in (1, 2)
    ]
    decision = decide_in(*circle)
    assert decision.too_many_hops
    assert decision.hops == ["C1", "C2", "C1"]
    assert (decision.campaign_id, decision.action, decision.queue_id) == (2, "assign_queue", 20)


def test_a_campaign_that_takes_nothing_is_no_target():
    decision = decide_in(line(rule(action="transfer_campaign", target_campaign_id=9)))
    assert (decision.campaign_id, decision.queue_id) == (1, 10)
    assert decision.steps[-1].failed == "target_gone"
