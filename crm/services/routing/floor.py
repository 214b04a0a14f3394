"""The floor at one moment: which campaigns take chats, who serves them, and who has room.

Read under locks for assignment, and without them for a look ("why is nobody taking this?").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, text, union_all

from crm.db import database_now, db
from crm.models import (
    LOAD_STATUSES,
    AgentStatus,
    Campaign,
    CampaignAgent,
    CampaignStatus,
    Chat,
    ChatStatus,
    RoutingStrategy,
    User,
    UserStatus,
)
from crm.services import hours
from crm.services.agents import holds
from crm.services.routing.past import UNKNOWN_STATE, read_past
from crm.services.routing.roster import Roster
from crm.services.routing.strategies import AgentFacts
from crm.services.settings import read_setting

MAY_ANSWER = "chats.reply"


@dataclass(frozen=True, slots=True)
class Line:
    """A campaign as routing sees it. `closed` says why it assigns nothing now, None if it does.

    The row itself is held on purpose: each event asks for its campaign's terms, and if the session
    had let go of the row, every assignment would cost a query and a flush (three times slower).
    """

    campaign: Campaign
    closed: str | None


class Floor:
    """A snapshot that its one reader keeps true while it gives chats away."""

    def __init__(
        self,
        now: datetime,
        lines: dict[int, Line],
        agents: dict[int, list[AgentFacts]],
        *,
        lapse_minutes: int,
    ) -> None:
        self.now = now
        self.lapse_minutes = lapse_minutes
        self.lines = lines
        self.rosters = {
            campaign_id: Roster(line.campaign.routing_strategy.value, agents.get(campaign_id, ()))
            for campaign_id, line in lines.items()
        }
        self.size = sum(len(team) for team in agents.values())
        self._homes: dict[int, list[int]] = {}
        for campaign_id, team in agents.items():
            for agent in team:
                self._homes.setdefault(agent.user_id, []).append(campaign_id)

    def agents_of(self, campaign_id: int) -> tuple[AgentFacts, ...]:
        return self.rosters[campaign_id].agents if campaign_id in self.rosters else ()

    def serving(self) -> list[int]:
        """The campaigns in which automatic assignment has somebody to give a chat to."""
        return [
            campaign_id
            for campaign_id, line in self.lines.items()
            if line.closed is None and self.rosters[campaign_id].has_candidates
        ]

    def take_place(self, campaign_id: int, user_id: int, *, at: datetime) -> None:
        """One more chat for this agent: in all their campaigns, and as a turn in this one."""
        for here in self._homes.get(user_id, ()):
            facts = self.rosters[here].get(user_id)
            if facts is None:
                continue
            changes: dict[str, Any] = {"load": facts.load + 1}
            if here == campaign_id:
                changes |= {"campaign_load": facts.campaign_load + 1, "last_assigned_at": at}
            self.rosters[here].update(replace(facts, **changes))


def campaigns_sharing_agents(campaign_ids: Iterable[int]) -> set[int]:
    """These campaigns and all that hang together with them by shared agents, however far.

    A free place is free for all of an agent's campaigns, and the highest of them comes first.
    """
    return set(
        db.session.scalars(
            text("""
                WITH RECURSIVE scope(id) AS (
                    SELECT unnest(CAST(:campaign_ids AS int[]))
                    UNION
                    SELECT there.campaign_id FROM scope
                      JOIN campaign_agents here ON here.campaign_id = scope.id AND here.is_active
                      JOIN campaign_agents there ON there.user_id = here.user_id AND there.is_active
                ) SELECT id FROM scope
            """),
            {"campaign_ids": sorted(set(campaign_ids))},
        )
    )


def campaigns_of(user_id: int) -> set[int]:
    return set(
        db.session.scalars(
            select(CampaignAgent.campaign_id).where(
                CampaignAgent.user_id == user_id, CampaignAgent.is_active.is_(True)
            )
        )
    )


def read_floor(campaign_ids: Collection[int], *, lock: bool, at: datetime | None = None) -> Floor:
    """The snapshot. With `lock` every possible candidate's row is held until the commit.

    `at`, never with `lock`: another moment than now, for trying. Hours are then that moment's;
    states and loads too if it has passed. Of what is to come nobody knows more than stands now.

    The locks come first and the counting after: a pick or a switch of status that was under way is
    either counted or waits for us. Agents are locked in the order of their ids.
    """
    locked = _lock_available(campaign_ids) if lock else None
    members = [
        row
        for row in _read_members(campaign_ids)
        # Who became available after we took the locks rings for themselves.
        if locked is None or row.agent_status != AgentStatus.AVAILABLE or row.id in locked
    ]
    user_ids = {row.id for row in members}
    past = read_past(user_ids, at) if at is not None and at < database_now() else None
    loads = past.loads if past else _read_loads(user_ids)
    agents: dict[int, list[AgentFacts]] = {}
    for row in members:
        facts = _facts(row, loads.get(row.id, {}))
        if past:
            facts = replace(facts, state=past.states.get(row.id, UNKNOWN_STATE))
        agents.setdefault(row.campaign_id, []).append(facts)
    # The moment comes last: what we counted happened before it, so the log tells one story.
    now = at or database_now()
    minutes = read_setting("routing.lapse_minutes")
    return Floor(now, _read_lines(campaign_ids, now), agents, lapse_minutes=minutes)


def _read_lines(campaign_ids: Collection[int], now: datetime) -> dict[int, Line]:
    campaigns = db.session.scalars(
        select(Campaign)
        .where(Campaign.id.in_(campaign_ids))
        .execution_options(populate_existing=True)
    )
    return {campaign.id: Line(campaign, why_closed(campaign, now)) for campaign in campaigns}


def why_closed(campaign: Campaign, now: datetime) -> str | None:
    """Why this campaign assigns nothing by itself at this moment; None if it does."""
    if campaign.deleted_at is not None:
        return "campaign_ended"
    if campaign.status != CampaignStatus.ACTIVE:
        return f"campaign_{campaign.status}"
    if not hours.is_open(campaign.business_hours, campaign.timezone, now):
        return "outside_hours"
    return "manual" if campaign.routing_strategy == RoutingStrategy.MANUAL else None


def _lock_available(campaign_ids: Collection[int]) -> set[int]:
    members = select(CampaignAgent.user_id).where(
        CampaignAgent.campaign_id.in_(campaign_ids), CampaignAgent.is_active.is_(True)
    )
    return set(
        db.session.scalars(
            select(User.id)
            .where(User.id.in_(members), User.agent_status == AgentStatus.AVAILABLE)
            .order_by(User.id)
            .with_for_update(key_share=True, of=User)
        )
    )


def _read_members(campaign_ids: Collection[int]) -> Sequence[Any]:
    return db.session.execute(
        select(
            CampaignAgent.campaign_id,
            CampaignAgent.is_active.label("member"),
            CampaignAgent.max_concurrent_chats.label("campaign_limit"),
            CampaignAgent.priority,
            CampaignAgent.skills,
            CampaignAgent.last_assigned_at,
            User.id,
            User.first_name,
            User.last_name,
            User.status,
            User.agent_status,
            User.auto_assign_enabled,
            User.max_concurrent_chats.label("own_limit"),
            holds(MAY_ANSWER).label("may_answer"),
        )
        .join(User, User.id == CampaignAgent.user_id)
        .where(
            CampaignAgent.campaign_id.in_(campaign_ids),
            User.deleted_at.is_(None),
            User.is_system.is_(False),
        )
        .order_by(User.id)
    ).all()


def _read_loads(user_ids: Collection[int]) -> dict[int, dict[int, int]]:
    """user -> campaign -> places taken, over all campaigns. Agents without a chat are left out."""
    if not user_ids:
        return {}
    own = select(Chat.assigned_agent_id.label("user_id"), Chat.campaign_id).where(
        Chat.assigned_agent_id.in_(user_ids),
        Chat.status.in_(LOAD_STATUSES),
        Chat.deleted_at.is_(None),
    )
    offered = select(Chat.offered_agent_id.label("user_id"), Chat.campaign_id).where(
        Chat.offered_agent_id.in_(user_ids),
        Chat.status == ChatStatus.TRANSFERRED,
        Chat.deleted_at.is_(None),
    )
    places = union_all(own, offered).subquery()
    rows = db.session.execute(
        select(places.c.user_id, places.c.campaign_id, func.count().label("taken")).group_by(
            places.c.user_id, places.c.campaign_id
        )
    )
    loads: dict[int, dict[int, int]] = {}
    for row in rows:
        loads.setdefault(row.user_id, {})[row.campaign_id] = row.taken
    return loads


def _facts(row: Row[Any], places: dict[int, int]) -> AgentFacts:
    return AgentFacts(
        user_id=row.id,
        name=f"{row.first_name} {row.last_name}".strip(),
        state=row.agent_status.value,
        load=sum(places.values()),
        limit=row.own_limit,
        campaign_load=places.get(row.campaign_id, 0),
        campaign_limit=row.campaign_limit,
        priority=row.priority,
        skills=frozenset(row.skills or ()),
        last_assigned_at=row.last_assigned_at,
        member=row.member,
        user_active=row.status == UserStatus.ACTIVE,
        may_answer=row.may_answer,
        auto_assign=row.auto_assign_enabled,
    )
