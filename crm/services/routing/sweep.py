"""What the clock looks for: chats that nobody rang for, and agents who are gone.

Only looks; the clock rings what is found here, and the jobs look again under locks.
"""

from __future__ import annotations

import time

from sqlalchemy import func, select

from crm.db import db
from crm.models import AgentState, AgentStatus, Chat, ChatStatus, User
from crm.services.agents import find_absent_agents
from crm.services.routing.floor import read_floor

# A younger one has most likely been rung for and is on its way.
UNROUTED_SECONDS = 2
LIMIT = 500
# Since when this process can have seen anybody.
_awake_since = time.monotonic()


def find_unrouted_chats() -> list[int]:
    """For `routing.route`: chats still in `new` after a moment, because their ring was lost."""
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
    """For `routing.drain`: a chat waits although somebody has room.

    Hours have begun, a limit was raised, a chat has waited long enough for a partial match, or a
    ring was lost.
    """
    waiting = set(
        db.session.scalars(
            select(Chat.campaign_id)
            .where(Chat.status == ChatStatus.QUEUED, Chat.deleted_at.is_(None))
            .distinct()
        )
    )
    return sorted(read_floor(waiting, lock=False).serving()) if waiting else []


def find_gone_agents(*, absent_seconds: float) -> list[int]:
    """For `routing.release`: no sign of life, or offline and still holding unanswered chats.

    A process that has just started leaves the absent alone: it cannot tell who has been away from
    who was cut off by the same stop.
    """
    gone = set(_find_stranded_agents())
    if time.monotonic() - _awake_since >= absent_seconds:
        gone.update(find_absent_agents(seconds=absent_seconds))
    return sorted(gone)


def _find_stranded_agents() -> list[int]:
    """Offline agents with an unanswered chat from before they went."""
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
