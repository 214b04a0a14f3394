"""The pure choice: who gets a chat, and who is passed by for which reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.services.routing.roster import Roster
from crm.services.routing.strategies import (
    STRATEGIES,
    AgentFacts,
    LeftOut,
    Snapshot,
    choose_agent,
    obstacle,
)

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def agent(user_id: int, **facts: Any) -> AgentFacts:
    values: dict[str, Any] = {
        "name": f"Agent {user_id}",
        "state": "available",
        "load": 0,
        "limit": 5,
        "campaign_load": 0,
        "campaign_limit": 5,
    }
    return AgentFacts(user_id=user_id, **{**values, **facts})


def choose(strategy: str, *agents: AgentFacts, **facts: Any) -> int | None:
    chosen = choose_agent(Snapshot(strategy, agents, **facts)).agent
    return chosen.user_id if chosen else None


def test_round_robin_takes_the_least_recently_assigned():
    assert (
        choose(
            "round_robin",
            agent(1, last_assigned_at=NOON),
            agent(2, last_assigned_at=NOON - timedelta(minutes=1)),
            agent(3, last_assigned_at=NOON - timedelta(seconds=1)),
        )
        == 2
    )


def test_a_newcomer_comes_before_everybody_in_the_rotation():
    assert choose("round_robin", agent(1, last_assigned_at=NOON), agent(9)) == 9


def test_newcomers_take_turns_by_id():
    assert choose("round_robin", agent(7), agent(3), agent(5)) == 3


def test_least_busy_compares_load_to_capacity_not_to_each_other():
    four_of_ten = agent(1, load=4, limit=10, campaign_limit=10)
    three_of_five = agent(2, load=3, limit=5)
    assert choose("least_busy", three_of_five, four_of_ten) == 1


def test_least_busy_counts_the_nearer_of_the_two_limits():
    nearly_full_here = agent(1, load=2, limit=10, campaign_load=2, campaign_limit=3)
    half_full = agent(2, load=5, limit=10, campaign_load=0, campaign_limit=None)
    assert choose("least_busy", nearly_full_here, half_full) == 2


def test_equal_loads_take_turns():
    assert (
        choose(
            "least_busy",
            agent(1, load=1, limit=3, last_assigned_at=NOON),
            agent(2, load=2, limit=6, campaign_limit=6, last_assigned_at=NOON - timedelta(hours=1)),
        )
        == 2
    )


def test_priority_comes_before_load():
    assert choose("priority", agent(1), agent(2, priority=5, load=4)) == 2
    assert choose("priority", agent(1, priority=5, load=4), agent(2, priority=5, load=1)) == 2


def test_last_agent_returns_to_the_known_agent_if_free():
    rotation_would_choose = agent(1)
    known = agent(2, load=4, last_assigned_at=NOON)
    assert choose("last_agent", rotation_would_choose, known, previous_agent_id=2) == 2


def test_last_agent_takes_turns_when_the_known_agent_has_left():
    choice = choose_agent(
        Snapshot("last_agent", (agent(1), agent(2, state="offline")), previous_agent_id=2)
    )
    assert choice.agent is not None
    assert choice.agent.user_id == 1
    assert choice.reason == "last_agent_not_free"


def test_skills_wants_all_of_them_and_waits_rather_than_guess():
    one_skill = agent(1, skills=frozenset({"english"}))
    choice = choose_agent(
        Snapshot("skills", (one_skill,), required_skills=frozenset({"english", "sales"}))
    )
    assert choice.agent is None
    assert choice.reason == "nobody_skilled"
    assert choice.left_out == (LeftOut(one_skill, "skills"),)


def test_skills_takes_the_best_partial_match_after_half_of_the_wait():
    needed = frozenset({"english", "sales", "vip"})
    assert (
        choose(
            "skills",
            agent(1, skills=frozenset({"english"})),
            agent(2, load=4, skills=frozenset({"english", "sales"})),
            required_skills=needed,
            waited_half=True,
        )
        == 2
    )


def test_skills_without_requirements_is_least_busy():
    assert choose("skills", agent(1, load=2), agent(2, load=1)) == 2


def test_manual_chooses_nobody():
    choice = choose_agent(Snapshot("manual", (agent(1),)))
    assert choice.agent is None
    assert choice.reason == "manual"


def test_an_unknown_strategy_takes_turns():
    assert choose("by_horoscope", agent(2), agent(1)) == 1


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"user_active": False}, "user_inactive"),
        ({"member": False}, "not_in_campaign"),
        ({"may_answer": False}, "not_permitted"),
        ({"state": "offline"}, "offline"),
        ({"state": "paused"}, "paused"),
        ({"state": "busy"}, "busy"),
        ({"auto_assign": False}, "auto_assign_off"),
        ({"load": 5}, "full"),
        ({"load": 7}, "full"),
        ({"limit": 0}, "full"),
        ({"campaign_load": 2, "campaign_limit": 2}, "campaign_full"),
        ({"campaign_limit": 0}, "campaign_full"),
        ({"campaign_limit": None, "campaign_load": 4}, None),
        ({"load": 4}, None),
    ],
)
def test_each_obstacle_has_its_own_name(facts: dict[str, Any], reason: str | None):
    assert obstacle(agent(1, **facts)) == reason


def test_the_receipt_names_ten_and_counts_the_rest():
    agents = tuple(agent(number, state="paused") for number in range(1, 41)) + tuple(
        agent(number) for number in range(41, 66)
    )
    receipt = choose_agent(Snapshot("round_robin", agents)).receipt()
    assert receipt["chosen"] == 41
    assert receipt["candidate_count"] == 25
    assert [line["user_id"] for line in receipt["candidates"]] == list(range(41, 51))
    assert len(receipt["left_out"]) == 10
    assert receipt["left_out_counts"] == {"paused": 40}


states = st.sampled_from(["available", "available", "available", "busy", "paused", "offline"])
any_agent = st.builds(
    agent,
    st.integers(1, 30),
    state=states,
    load=st.integers(0, 6),
    limit=st.integers(0, 6),
    campaign_load=st.integers(0, 6),
    campaign_limit=st.none() | st.integers(0, 6),
    priority=st.integers(0, 2),
    auto_assign=st.booleans(),
    may_answer=st.booleans(),
    skills=st.frozensets(st.sampled_from(["a", "b", "c"])),
    last_assigned_at=st.none() | st.datetimes(timezones=st.just(UTC)),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    strategy=st.sampled_from(
        ["round_robin", "least_busy", "skills", "priority", "last_agent", "manual"]
    ),
    agents=st.lists(any_agent, max_size=15, unique_by=lambda facts: facts.user_id),
    needed=st.frozensets(st.sampled_from(["a", "b"])),
    waited=st.booleans(),
    known=st.none() | st.integers(1, 30),
)
def test_whatever_the_snapshot_the_chosen_one_has_no_obstacle(
    strategy, agents, needed, waited, known
):
    snapshot = Snapshot(strategy, tuple(agents), needed, waited, known)
    choice = choose_agent(snapshot)
    free = [facts for facts in agents if obstacle(facts) is None]
    if choice.agent is not None:
        assert obstacle(choice.agent) is None
        assert choice.agent == choice.candidates[0]
    elif strategy not in ("manual", "skills"):
        assert not free, "somebody was free and nobody was chosen"
    if strategy != "manual":
        assert choice.candidate_count + len(choice.left_out) == len(agents)
    # The order in which agents are listed decides nothing.
    mirrored = choose_agent(Snapshot(strategy, tuple(reversed(agents)), needed, waited, known))
    assert mirrored.agent == choice.agent


@given(comings=st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60))
def test_round_robin_differs_by_at_most_one_while_others_come_and_go(comings):
    """Agents 0-2 stay; 3-5 come and go; in every window the staying ones differ by at most one."""
    last: dict[int, datetime | None] = dict.fromkeys(range(6))
    away = {3, 4, 5}
    given_to: list[int] = []
    for moment, (who, leaves) in enumerate(comings):
        if who >= 3:
            (away.add if leaves else away.discard)(who)
        agents = tuple(
            agent(
                number,
                state="offline" if number in away else "available",
                limit=1000,
                campaign_limit=None,
                last_assigned_at=last[number],
            )
            for number in range(6)
        )
        chosen = choose_agent(Snapshot("round_robin", agents)).agent
        assert chosen is not None
        last[chosen.user_id] = NOON + timedelta(seconds=moment)
        given_to.append(chosen.user_id)
    for start in range(len(given_to)):
        counts = [0, 0, 0]
        for user_id in given_to[start:]:
            if user_id < 3:
                counts[user_id] += 1
            assert max(counts) - min(counts) <= 1


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    strategy=st.sampled_from([*STRATEGIES, "manual", "new_in_a_later_release"]),
    agents=st.lists(any_agent, max_size=15, unique_by=lambda facts: facts.user_id),
    changes=st.lists(st.tuples(st.integers(0, 14), st.integers(0, 6)), max_size=8),
    needed=st.frozensets(st.sampled_from(["a", "b"])),
    waited=st.booleans(),
    known=st.none() | st.integers(1, 30),
    wanted=st.none() | st.integers(1, 30),
    lapsed=st.frozensets(st.integers(1, 30), max_size=3),
)
def test_a_roster_chooses_what_the_rule_chooses_and_leaves_the_same_receipt(
    strategy, agents, changes, needed, waited, known, wanted, lapsed
):
    """Kept in order while loads move, it never differs from a look at everybody."""
    agents = sorted(agents, key=lambda facts: facts.user_id)
    roster = Roster(strategy, agents)
    for place, load in changes:
        if place < len(agents):
            agents[place] = replace(agents[place], load=load, campaign_load=load)
            roster.update(agents[place])

    def asked(team):
        return Snapshot(
            strategy,
            team,
            required_skills=needed,
            waited_half=waited,
            previous_agent_id=known,
            wanted_agent_id=wanted,
            lapsed_ids=lapsed,
        )

    expected = choose_agent(asked(tuple(agents))).receipt()
    assert roster.choose(asked).receipt() == expected
