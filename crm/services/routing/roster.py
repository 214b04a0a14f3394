"""A campaign's agents kept in order while chats are given away, so that a choice costs no look at
everybody: with ten times as many agents an assignment costs the same.

`strategies.choose_agent` is the rule, and what is unusual is asked of it; a test holds both equal.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from typing import Any

from crm.services.routing.strategies import (
    ORDERS,
    RANK,
    RECEIPT_NAMES,
    AgentFacts,
    Choice,
    LeftOut,
    Snapshot,
    choose_agent,
    obstacle,
)


class Roster:
    """The agents of one campaign under one strategy."""

    def __init__(self, strategy: str, agents: Iterable[AgentFacts]) -> None:
        self.strategy = strategy
        self._order: Callable[[AgentFacts], Any]
        self._reason, self._order = ORDERS.get(strategy, ORDERS["round_robin"])
        self._agents: dict[int, AgentFacts] = {}
        # (place in the strategy's order, user id) of whoever has no obstacle, sorted.
        self._ranked: list[tuple[Any, int]] = []
        # obstacle -> user ids, sorted.
        self._left_out: dict[str, list[int]] = {}
        for agent in agents:
            self._agents[agent.user_id] = agent
            self._put(agent)

    @property
    def agents(self) -> tuple[AgentFacts, ...]:
        return tuple(self._agents.values())

    @property
    def has_candidates(self) -> bool:
        return bool(self._ranked)

    def get(self, user_id: int) -> AgentFacts | None:
        return self._agents.get(user_id)

    def update(self, agent: AgentFacts) -> None:
        """Somebody's facts have changed."""
        self._take(self._agents[agent.user_id])
        self._agents[agent.user_id] = agent
        self._put(agent)

    def choose(self, snapshot: Callable[[tuple[AgentFacts, ...]], Snapshot]) -> Choice:
        """The choice for one chat. `snapshot` makes its snapshot from the agents given to it."""
        # Without its agents first: what the chat asks for decides whether everybody is looked at.
        asked = snapshot(())
        if self._is_unusual(asked):
            return choose_agent(snapshot(self.agents))
        nearest, counts = self._nearest()
        if self.strategy == "manual":
            return Choice("manual", "manual", left_out=nearest, left_out_counts=counts)
        if not self._ranked:
            return Choice(self.strategy, "nobody_free", left_out=nearest, left_out_counts=counts)
        ranked = tuple(self._agents[user_id] for _, user_id in self._ranked[:RECEIPT_NAMES])
        reason = self._reason
        if self.strategy == "last_agent" and asked.previous_agent_id is not None:
            reason = "last_agent_not_free"
        count = len(self._ranked)
        return Choice(self.strategy, reason, ranked[0], ranked, count, nearest, counts)

    def _is_unusual(self, asked: Snapshot) -> bool:
        known = asked.previous_agent_id if self.strategy == "last_agent" else None
        return bool(
            asked.lapsed_ids
            or asked.names > RECEIPT_NAMES
            or (self.strategy == "skills" and asked.required_skills)
            or self._is_free(asked.wanted_agent_id)
            or self._is_free(known)
        )

    def _is_free(self, user_id: int | None) -> bool:
        agent = self._agents.get(user_id) if user_id is not None else None
        return agent is not None and obstacle(agent) is None

    def _nearest(self) -> tuple[tuple[LeftOut, ...], dict[str, int]]:
        names: list[LeftOut] = []
        for reason in sorted(self._left_out, key=lambda reason: RANK.get(reason, 99)):
            first = self._left_out[reason][: RECEIPT_NAMES - len(names)]
            names += [LeftOut(self._agents[user_id], reason) for user_id in first]
        return tuple(names), {reason: len(ids) for reason, ids in self._left_out.items() if ids}

    def _put(self, agent: AgentFacts) -> None:
        reason = obstacle(agent)
        if reason is None:
            insort(self._ranked, (self._order(agent), agent.user_id))
        else:
            insort(self._left_out.setdefault(reason, []), agent.user_id)

    def _take(self, agent: AgentFacts) -> None:
        reason = obstacle(agent)
        if reason is None:
            del self._ranked[bisect_left(self._ranked, (self._order(agent), agent.user_id))]
        else:
            ids = self._left_out[reason]
            del ids[bisect_left(ids, agent.user_id)]
