"""What the clock looks for: chats that nobody rang for, and agents who are gone.

Only looks; the clock rings what is found here, and the jobs look again under locks.
"""

from __future__ import annotations

from sqlalchemy import func, select

from crm.db import db
from crm.models import AgentState, AgentStatus, Chat, ChatStatus, User
from crm.services.agents import find_absent_agents
from crm.services.routing.floor import read_floor

# A younger one has most likely been rung for and is on its way.
UNROUTED_SECONDS = 2
LIMIT = 500


def find_rings(*, absent_seconds: float | None) -> list[tuple[str, int]]:
    """Every (job, key) that ought to be rung now.

    `absent_seconds` None leaves absent agents alone: a clock that has just started cannot tell who
    has been away from who was cut off by the same stop.
    """
    rings = [("routing.route", chat_id) for chat_id in find_unrouted_chats()]
    rings += [("routing.drain", campaign_id) for campaign_id in find_drainable_campaigns()]
    gone = set(find_stranded_agents())
    if absent_seconds is not None:
        gone.update(find_absent_agents(seconds=absent_seconds))
    return rings + [("routing.release", user_id) for user_id in sorted(gone)]


def find_unrouted_chats() -> list[int]:
    """Chats still in `new` after a moment: their ring was lost."""
    since = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, UNROUTED_SECONDS)
    return list(
        db.session.scalars(
            select(Chat.id)
            .where(
                Chat.status == ChatStatus.NEW, Chat.deleted_at.is_(None), Chat.created_at < since
            )
            .order_by(Chat.id)
            .limit(LIMIT)
        )
    )


def find_drainable_campaigns() -> list[int]:
    """Campaigns where a chat waits although somebody has room: hours began, or a ring was lost."""
    waiting = set(
        db.session.scalars(
            select(Chat.campaign_id)
            .where(Chat.status == ChatStatus.QUEUED, Chat.deleted_at.is_(None))
            .distinct()
        )
    )
    return sorted(read_floor(waiting, lock=False).serving()) if waiting else []


def find_stranded_agents() -> list[int]:
    """Offline agents who still hold an unanswered chat from before they went."""
    return list(
        db.session.scalars(
            select(User.id)
            .join(AgentState, AgentState.user_id == User.id)
            .join(Chat, Chat.assigned_agent_id == User.id)
            .where(
                User.agent_status == AgentStatus.OFFLINE,
                AgentState.ended_at.is_(None),
                Chat.status == ChatStatus.ASSIGNED,
                Chat.deleted_at.is_(None),
                Chat.assigned_at <= AgentState.started_at,
            )
            .distinct()
        )
    )
