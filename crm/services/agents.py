"""Agents: their availability, timed in `agent_states`, and the signs of life behind it.

An absent agent gets no chats. Their sockets are their sign of life; when none is left for two
minutes they are set offline, and what they had not answered yet goes back to the queue.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, text

from crm.db import database_now, db
from crm.doorbell import ring_on_commit
from crm.events import AgentChanged, Audience, publish_on_commit
from crm.models import (
    LOAD_STATUSES,
    AgentState,
    AgentStatus,
    Chat,
    ChatStatus,
    Permission,
    PermissionType,
    RolePermission,
    User,
    UserPermission,
)
from crm.services.chats import SYSTEM, Actor, count_load, lock_agent, requeue_chat
from crm.services.settings import read_setting

NO_CONNECTION = "no_connection"
# Paused by itself: chats were taken back from them unanswered.
NO_ANSWER = "no_answer"
# Busy by itself, because every place is taken; ends by itself.
FULL_LOAD = "full_load"


def set_agent_status(
    user: User, status: AgentStatus, *, reason: str | None = None, actor: Actor
) -> bool:
    """Switch availability: end the running stretch, begin the next. False if nothing changes.

    Available rings for chats that wait; offline gives back, at once, what was assigned and not yet
    answered. AgentUnavailable for an account that is not active, unless it goes offline. `reason`
    counts for a pause (and for being taken offline); it is dropped for the other states.
    """
    reason = (reason or "").strip()[:200] or None
    if status in (AgentStatus.AVAILABLE, AgentStatus.BUSY):
        reason = None
    # The house's lock order: the chats that may go back come before their agent.
    unanswered = _lock_unanswered(user.id) if status == AgentStatus.OFFLINE else []
    agent = lock_agent(user.id, active=status != AgentStatus.OFFLINE)
    if actor.user_id == agent.id:
        agent.last_activity_at = func.now()
    if agent.agent_status == status and agent.agent_status_reason == reason:
        return False
    _begin_stretch(agent, status, reason)
    publish_on_commit(AgentChanged(agent.id), Audience(user_ids=(agent.id,)))
    if status == AgentStatus.AVAILABLE:
        ring_on_commit("routing.serve", agent.id)
    if status == AgentStatus.OFFLINE:
        for chat in unanswered:
            requeue_chat(chat, actor=SYSTEM, reason="agent_offline")
        for chat_id in _find_offers_to(agent.id):
            ring_on_commit("routing.tend", chat_id)
        # One that came in between the two locks goes back by the job.
        ring_on_commit("routing.release", agent.id)
    return True


def pause_unanswering(agent: User, chat: Chat) -> None:
    """Too many chats in a row without an answer: paused ("no answer") until they come back.

    The caller holds the agent. Their supervisors hear of it like of any switch.
    """
    agent.lapses = 0
    if agent.agent_status == AgentStatus.PAUSED:
        return
    _begin_stretch(agent, AgentStatus.PAUSED, NO_ANSWER)
    publish_on_commit(
        AgentChanged(agent.id), Audience(campaign_id=chat.campaign_id, user_ids=(agent.id,))
    )


def settle_busy(user_id: int) -> bool:
    """Busy by itself while every place is taken, available again with the first free one.

    Where the setting is off only the second: nobody stays busy by a setting that is gone. A switch
    by hand is never touched. Whether anything changed.
    """
    agent = lock_agent(user_id, active=False)
    by_itself = agent.agent_status == AgentStatus.BUSY and agent.agent_status_reason == FULL_LOAD
    if agent.agent_status != AgentStatus.AVAILABLE and not by_itself:
        return False
    wanted = read_setting("routing.busy_when_full")
    full = wanted and count_load(user_id) >= agent.max_concurrent_chats
    if full == by_itself:
        return False
    status = AgentStatus.BUSY if full else AgentStatus.AVAILABLE
    _begin_stretch(agent, status, FULL_LOAD if full else None)
    publish_on_commit(AgentChanged(agent.id), Audience(user_ids=(agent.id,)))
    if not full:
        ring_on_commit("routing.serve", agent.id)
    return True


def find_agents_to_settle() -> list[int]:
    """For `routing.serve`: available although full, or busy by itself although not."""
    wanted = read_setting("routing.busy_when_full")
    load = (
        select(func.count())
        .select_from(Chat)
        .where(
            or_(
                and_(Chat.assigned_agent_id == User.id, Chat.status.in_(LOAD_STATUSES)),
                and_(Chat.offered_agent_id == User.id, Chat.status == ChatStatus.TRANSFERRED),
            ),
            Chat.deleted_at.is_(None),
        )
        .correlate(User)
        .scalar_subquery()
    )
    by_itself = and_(User.agent_status == AgentStatus.BUSY, User.agent_status_reason == FULL_LOAD)
    if not wanted:
        return list(db.session.scalars(select(User.id).where(by_itself)))
    full = load >= User.max_concurrent_chats
    return list(
        db.session.scalars(
            select(User.id).where(
                or_(
                    and_(User.agent_status == AgentStatus.AVAILABLE, full),
                    and_(by_itself, ~full),
                )
            )
        )
    )


def release_unanswered(user_id: int) -> int:
    """Give back what an offline agent had not answered; returns how many chats.

    Only chats from before they went offline: whoever assigns one to an absent person on purpose
    means it. Harmless for an agent who is back.
    """
    stretch = db.session.scalar(
        select(AgentState)
        .join(User, User.id == AgentState.user_id)
        .where(
            AgentState.user_id == user_id,
            AgentState.ended_at.is_(None),
            AgentState.status == AgentStatus.OFFLINE,
            User.agent_status == AgentStatus.OFFLINE,
        )
    )
    if stretch is None:
        return 0
    released = 0
    for chat in _lock_unanswered(user_id):
        if chat.assigned_at is None or chat.assigned_at <= stretch.started_at:
            requeue_chat(chat, actor=SYSTEM, reason="agent_offline")
            released += 1
    return released


def record_presence(user_ids: Iterable[int]) -> None:
    """These people have a socket open right now. One statement, however many they are.

    A row that somebody holds is skipped: the next beat comes soon, and a beat must neither wait
    for routing nor stand in its way.
    """
    present = sorted(set(user_ids))
    if not present:
        return
    db.session.execute(
        text("""
            UPDATE users SET last_activity_at = now()
             WHERE id IN (SELECT id FROM users WHERE id = ANY(:present)
                           ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
        """),
        {"present": present},
    )


def find_absent_agents(*, seconds: float) -> list[int]:
    """Who is not offline and has given no sign of life for `seconds`.

    A fresh switch of status counts as a sign: the page that made it may be connecting still.
    """
    since = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    switched = (
        select(func.max(AgentState.started_at))
        .where(AgentState.user_id == User.id, AgentState.ended_at.is_(None))
        .scalar_subquery()
    )
    # GREATEST passes over NULLs; an agent with no sign at all is absent.
    last_sign = func.coalesce(func.greatest(User.last_activity_at, switched), text("'-infinity'"))
    absent = (
        select(User.id)
        .where(User.agent_status != AgentStatus.OFFLINE, last_sign < since)
        .order_by(User.id)
    )
    return list(db.session.scalars(absent))


def take_offline(user_id: int, *, seconds: float) -> bool:
    """Set an absent agent offline; False if they have come back in the meantime."""
    if user_id not in find_absent_agents(seconds=seconds):
        return False
    user = db.session.get_one(User, user_id)
    return set_agent_status(user, AgentStatus.OFFLINE, reason=NO_CONNECTION, actor=SYSTEM)


def find_open_stretch(user_id: int) -> AgentState | None:
    """Since when the agent is in their present state; None for one who never had a state."""
    return db.session.scalar(
        select(AgentState).where(
            AgentState.user_id == user_id,
            AgentState.ended_at.is_(None),
            AgentState.campaign_id.is_(None),
        )
    )


def holds(permission: str) -> ColumnElement[bool]:
    """The SQL criterion on User: their role has it or it was granted, and it is not denied.

    The rule of `permissions.scope_of` for many people at once; a test holds both equal.
    """

    def extra(kind: PermissionType) -> ColumnElement[bool]:
        return exists().where(
            UserPermission.user_id == User.id,
            UserPermission.permission_id == Permission.id,
            UserPermission.type == kind,
            Permission.name == permission,
            Permission.is_active.is_(True),
        )

    by_role = exists().where(
        RolePermission.role_id == User.role_id,
        RolePermission.permission_id == Permission.id,
        Permission.name == permission,
        Permission.is_active.is_(True),
    )
    return and_(or_(by_role, extra(PermissionType.GRANT)), ~extra(PermissionType.REVOKE))


def _lock_unanswered(user_id: int) -> list[Chat]:
    """This agent's assigned chats, locked in order of id."""
    return list(
        db.session.scalars(
            select(Chat)
            .where(
                Chat.assigned_agent_id == user_id,
                Chat.status == ChatStatus.ASSIGNED,
                Chat.deleted_at.is_(None),
            )
            .order_by(Chat.id)
            .with_for_update(key_share=True, of=Chat)
            .execution_options(populate_existing=True)
        )
    )


def _find_offers_to(user_id: int) -> list[int]:
    """Chats that are offered to somebody who has just gone; the job gives them back."""
    return list(
        db.session.scalars(
            select(Chat.id).where(
                Chat.offered_agent_id == user_id,
                Chat.status == ChatStatus.TRANSFERRED,
                Chat.deleted_at.is_(None),
            )
        )
    )


def _begin_stretch(agent: User, status: AgentStatus, reason: str | None) -> None:
    """Close the running row of `agent_states` with its length, open the next."""
    now = database_now()
    running = find_open_stretch(agent.id)
    if running is not None:
        running.ended_at = now
        running.duration_seconds = max(0, round((now - running.started_at).total_seconds()))
        # One open row per person is a unique index; the old one must be closed first.
        db.session.flush()
    db.session.add(AgentState(user_id=agent.id, status=status, reason=reason, started_at=now))
    agent.agent_status = status
    agent.agent_status_reason = reason
