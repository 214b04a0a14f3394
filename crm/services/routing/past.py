"""Who was where, and held what, at a moment that has passed: as far as the log knows it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import distinct_on

from crm.db import db
from crm.models import (
    LOAD_STATUSES,
    AgentState,
    Chat,
    ChatEvent,
    ChatStatus,
)

# One who has no stretch around the moment was not at work.
UNKNOWN_STATE = "offline"


@dataclass(frozen=True)
class Past:
    """`states`: user -> state. `loads`: user -> campaign -> places taken."""

    states: dict[int, str]
    loads: dict[int, dict[int, int]]


def read_past(user_ids: Collection[int], at: datetime) -> Past:
    """States from their timed stretches, loads from the last event of every chat that was open.

    A chat counts for the campaign that it belongs to today: nothing keeps where it was before.
    """
    return Past(_read_states(user_ids, at), _read_loads(user_ids, at))


def _read_states(user_ids: Collection[int], at: datetime) -> dict[int, str]:
    rows = db.session.execute(
        select(AgentState.user_id, AgentState.status)
        .where(
            AgentState.user_id.in_(user_ids),
            AgentState.campaign_id.is_(None),
            AgentState.started_at <= at,
            or_(AgentState.ended_at.is_(None), AgentState.ended_at > at),
        )
        .order_by(AgentState.started_at)
    )
    return {row.user_id: str(row.status) for row in rows}


def _read_loads(user_ids: Collection[int], at: datetime) -> dict[int, dict[int, int]]:
    last = (
        select(
            Chat.campaign_id,
            ChatEvent.to_status,
            ChatEvent.data["agent"].astext.label("agent"),
            ChatEvent.data["offered"].astext.label("offered"),
        )
        .ext(distinct_on(ChatEvent.chat_id))
        .join(Chat, Chat.id == ChatEvent.chat_id)
        .where(
            Chat.deleted_at.is_(None),
            Chat.created_at <= at,
            or_(Chat.closed_at.is_(None), Chat.closed_at > at),
            ChatEvent.created_at <= at,
            ChatEvent.data.has_key("agent"),
        )
        .order_by(ChatEvent.chat_id, ChatEvent.id.desc())
    )
    loads: dict[int, dict[int, int]] = {}
    for row in db.session.execute(last):
        holder = None
        if row.to_status in LOAD_STATUSES:
            holder = row.agent
        elif row.to_status == ChatStatus.TRANSFERRED:
            holder = row.offered
        if holder is not None and int(holder) in user_ids:
            of_user = loads.setdefault(int(holder), {})
            of_user[row.campaign_id] = of_user.get(row.campaign_id, 0) + 1
    return loads
