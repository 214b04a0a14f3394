"""Who gets this chat: a pure choice over a snapshot.

No database and no clock: the same snapshot always gives the same choice, so a decision can be
replayed, dry-run and explained. `assign.py` takes the snapshot under locks and applies the choice.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# How many names a receipt keeps of each kind; the rest are counted.
RECEIPT_NAMES = 10

NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """One agent as one campaign sees them at one moment.

    `load` counts the chats of all campaigns that are assigned, active or offered to them;
    `campaign_load` those of this campaign. `campaign_limit` None means that only the person's own
    `limit` counts.
    """

    user_id: int
    name: str
    state: str
    load: int
    limit: int
    campaign_load: int
    campaign_limit: int | None
    priority: int = 0
    skills: frozenset[str] = frozenset()
    last_assigned_at: datetime | None = None
    member: bool = True
    user_active: bool = True
    may_answer: bool = True
    auto_assign: bool = True

    @property
    def relative_load(self) -> float:
        """How full they are, 0 to 1, by the nearer limit. Equal fractions compare equal."""
        shares = [self.load / self.limit] if self.limit > 0 else [1.0]
        if self.campaign_limit is not None:
            shares.append(
                self.campaign_load / self.campaign_limit if self.campaign_limit > 0 else 1.0
            )
        return max(shares)

    @property
    def turn(self) -> tuple[datetime, int]:
        """The place in the rotation: least recently assigned first, newcomers before all."""
        return (self.last_assigned_at or NEVER, self.user_id)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a choice depends on.

    `waited_half`: the chat has waited half of its queue's longest wait, so a partial match of
    skills is better than none. `wanted_agent_id`: a rule names this person, who gets it if they are
    a candidate. `lapsed_ids`: it was just taken back from these, unanswered. `names`: how many
    candidates are put in order for the receipt.
    """

    strategy: str
    agents: tuple[AgentFacts, ...]
    required_skills: frozenset[str] = frozenset()
    waited_half: bool = False
    previous_agent_id: int | None = None
    wanted_agent_id: int | None = None
    lapsed_ids: frozenset[int] = frozenset()
    names: int = RECEIPT_NAMES


@dataclass(frozen=True, slots=True)
class LeftOut:
    agent: AgentFacts
    reason: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Who, and why. `agent` is None where nobody is chosen; `reason` says why in either case."""

    strategy: str
    reason: str
    agent: AgentFacts | None = None
    candidates: tuple[AgentFacts, ...] = ()
    candidate_count: int = 0
    left_out: tuple[LeftOut, ...] = ()
    # How many for each reason, where `left_out` does not name all of them.
    left_out_counts: dict[str, int] | None = None

    def _nearest(self, names: int) -> list[LeftOut]:
        """Those left out, whoever was nearest to having it first."""
        return heapq.nsmallest(names, self.left_out, key=lambda out: RANK.get(out.reason, 99))

    def receipt(
        self, *, names: int = RECEIPT_NAMES, skills: Iterable[str] | None = None
    ) -> dict[str, Any]:
        """The decision as plain JSON for `chat_events.data`; codes only, words are the screen's.

        `names`: how many of each kind; the rest are counted. `skills`: those that the chat asks
        for.
        """
        return {
            **({"skills": sorted(skills)} if skills else {}),
            "strategy": self.strategy,
            "why": self.reason,
            "chosen": self.agent.user_id if self.agent else None,
            "candidate_count": self.candidate_count,
            "candidates": [_agent_line(agent) for agent in self.candidates[:names]],
            "left_out": [
                {**_agent_line(out.agent), "why": out.reason} for out in self._nearest(names)
            ],
            "left_out_counts": self.left_out_counts
            if self.left_out_counts is not None
            else dict(Counter(out.reason for out in self.left_out)),
        }


# Who could have it soonest stands first among those who are left out.
NEARNESS = (
    "lapsed", "skills", "full", "campaign_full", "auto_assign_off", "busy", "paused", "offline",
    "not_permitted", "not_in_campaign", "user_inactive",
)  # fmt: skip
RANK = {reason: place for place, reason in enumerate(NEARNESS)}


def choose_agent(snapshot: Snapshot) -> Choice:
    """Choose by the campaign's strategy among those who may and can take one more chat.

    An unknown strategy takes turns: a chat must not wait because a setting has a new value.
    """
    candidates: list[AgentFacts] = []
    left_out: list[LeftOut] = []
    lapsed = _lapsed_for_now(snapshot)
    for agent in snapshot.agents:
        reason = obstacle(agent)
        if reason is None and agent.user_id in lapsed:
            reason = "lapsed"
        if reason is None:
            candidates.append(agent)
        else:
            left_out.append(LeftOut(agent, reason))
    if any(agent.user_id == snapshot.wanted_agent_id for agent in candidates):
        return _wanted(snapshot, candidates, left_out)
    if snapshot.strategy == "manual":
        return Choice("manual", "manual", left_out=tuple(left_out))
    if not candidates:
        return Choice(snapshot.strategy, "nobody_free", left_out=tuple(left_out))
    choose = STRATEGIES.get(snapshot.strategy, _round_robin)
    return choose(snapshot, candidates, left_out)


def _lapsed_for_now(snapshot: Snapshot) -> frozenset[int]:
    """Who does not get the chat back. Whoever is alone at work does: better late than nobody.

    A colleague who is only full will have room again; one who is away counts for nothing.
    """
    if not snapshot.lapsed_ids:
        return frozenset()
    at_work = {
        agent.user_id
        for agent in snapshot.agents
        if obstacle(agent) in (None, "full", "campaign_full")
    }
    return snapshot.lapsed_ids if at_work - snapshot.lapsed_ids else frozenset()


def obstacle(agent: AgentFacts) -> str | None:
    """Why automatic assignment passes this agent by, or None if they are a candidate.

    One reason each, the one that a supervisor would mend first: rights before presence before load.
    """
    if not agent.user_active:
        return "user_inactive"
    if not agent.member:
        return "not_in_campaign"
    if not agent.may_answer:
        return "not_permitted"
    if agent.state != "available":
        return agent.state
    if not agent.auto_assign:
        return "auto_assign_off"
    if agent.load >= agent.limit:
        return "full"
    if agent.campaign_limit is not None and agent.campaign_load >= agent.campaign_limit:
        return "campaign_full"
    return None


def _wanted(snapshot: Snapshot, candidates: list[AgentFacts], left_out: list[LeftOut]) -> Choice:
    """The one whom a rule names; the others stand behind in the usual order of turns."""
    wanted = snapshot.wanted_agent_id
    return _best(
        snapshot,
        "rule_agent",
        candidates,
        left_out,
        lambda agent: (agent.user_id != wanted, *agent.turn),
    )


def _round_robin(
    snapshot: Snapshot, candidates: list[AgentFacts], left_out: list[LeftOut]
) -> Choice:
    return _best(snapshot, "turn", candidates, left_out, _by_turn)


def _least_busy(
    snapshot: Snapshot, candidates: list[AgentFacts], left_out: list[LeftOut]
) -> Choice:
    return _best(snapshot, "least_busy", candidates, left_out, _by_load)


def _priority(snapshot: Snapshot, candidates: list[AgentFacts], left_out: list[LeftOut]) -> Choice:
    return _best(snapshot, "priority", candidates, left_out, _by_priority)


def _last_agent(
    snapshot: Snapshot, candidates: list[AgentFacts], left_out: list[LeftOut]
) -> Choice:
    """The one whom the client knows, if free; anybody rather than a wait for one person."""
    known = snapshot.previous_agent_id
    if any(agent.user_id == known for agent in candidates):
        return _best(
            snapshot,
            "last_agent",
            candidates,
            left_out,
            lambda agent: (agent.user_id != known, *agent.turn),
        )
    reason = "turn" if known is None else "last_agent_not_free"
    return _best(snapshot, reason, candidates, left_out, lambda agent: agent.turn)


def _skills(snapshot: Snapshot, candidates: list[AgentFacts], left_out: list[LeftOut]) -> Choice:
    """All the skills, then the least busy; after half of the wait the best partial match."""
    needed = snapshot.required_skills
    if not needed:
        return _least_busy(snapshot, candidates, left_out)
    skilled = [agent for agent in candidates if needed <= agent.skills]
    lacking = [LeftOut(agent, "skills") for agent in candidates if not needed <= agent.skills]
    if skilled:
        return _best(snapshot, "skills", skilled, left_out + lacking, _by_load)
    if not snapshot.waited_half:
        return Choice(snapshot.strategy, "nobody_skilled", left_out=tuple(left_out + lacking))
    return _best(
        snapshot,
        "skills_partial",
        candidates,
        left_out,
        lambda agent: (-len(needed & agent.skills), *_by_load(agent)),
    )


def _by_turn(agent: AgentFacts) -> tuple[Any, ...]:
    return agent.turn


def _by_load(agent: AgentFacts) -> tuple[Any, ...]:
    return (agent.relative_load, *agent.turn)


def _by_priority(agent: AgentFacts) -> tuple[Any, ...]:
    return (-agent.priority, *_by_load(agent))


def _best(
    snapshot: Snapshot,
    reason: str,
    candidates: Iterable[AgentFacts],
    left_out: list[LeftOut],
    order: Callable[[AgentFacts], Any],
) -> Choice:
    """The first by `order`. Only the receipt's names are sorted, so that a choice stays linear."""
    pool = list(candidates)
    ranked = heapq.nsmallest(snapshot.names, pool, key=order)
    return Choice(snapshot.strategy, reason, ranked[0], tuple(ranked), len(pool), tuple(left_out))


STRATEGIES: dict[str, Callable[[Snapshot, list[AgentFacts], list[LeftOut]], Choice]] = {
    "round_robin": _round_robin,
    "least_busy": _least_busy,
    "skills": _skills,
    "priority": _priority,
    "last_agent": _last_agent,
}


# The reason and the order of each strategy where the chat itself asks for nothing special.
ORDERS: dict[str, tuple[str, Callable[[AgentFacts], tuple[Any, ...]]]] = {
    "round_robin": ("turn", _by_turn),
    "last_agent": ("turn", _by_turn),
    "least_busy": ("least_busy", _by_load),
    "skills": ("least_busy", _by_load),
    "priority": ("priority", _by_priority),
}


def _agent_line(agent: AgentFacts) -> dict[str, Any]:
    return {
        "user_id": agent.user_id,
        "name": agent.name,
        "state": agent.state,
        "load": agent.load,
        "limit": agent.limit,
        "campaign_load": agent.campaign_load,
        "campaign_limit": agent.campaign_limit,
        "priority": agent.priority,
        "skills": sorted(agent.skills),
        "last_assigned_at": agent.last_assigned_at.isoformat() if agent.last_assigned_at else None,
    }
