"""What the clock looks for: chats that nobody rang for, what has come due, agents who are gone.

Only looks; the clock rings what is found here, and the jobs look again under locks.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, literal, or_, select, union_all
from sqlalchemy.orm import aliased

from crm.db import database_now, db
from crm.models import (
    LOAD_STATUSES,
    AgentState,
    AgentStatus,
    BotSession,
    Campaign,
    CampaignAgent,
    Chat,
    ChatOwner,
    ChatStatus,
    PendingReason,
    Queue,
    User,
)
from crm.services import hours
from crm.services.agents import find_absent_agents
from crm.services.routing.assign import find_servable
from crm.services.routing.tend import SILENT_BOT
from crm.services.settings import read_setting

# A younger one has most likely been rung for and is on its way.
UNROUTED_SECONDS = 0.5
LIMIT = 500
# Since when this process can have seen anybody.
_awake_since = time.monotonic()


def find_unrouted_chats() -> list[int]:
    """For `routing.route`: still in `new` after a moment, or put aside though the customer has
    written, because a ring was lost."""
    since = func.now() - _seconds(UNROUTED_SECONDS)
    new = and_(Chat.status == ChatStatus.NEW, Chat.created_at < since)
    called = and_(
        Chat.status == ChatStatus.PENDING,
        Chat.waiting_since < since,
        Chat.pending_reason.is_distinct_from(PendingReason.CALLBACK),
    )
    return list(
        db.session.scalars(
            select(Chat.id)
            .where(or_(new, called), Chat.deleted_at.is_(None))
            .order_by(Chat.id)
            .limit(LIMIT)
        )
    )


def find_drainable_campaigns() -> list[int]:
    """For `routing.drain`: a chat waits although somebody would get it.

    Hours have begun, a limit was raised, a chat has waited long enough for a partial match, or a
    ring was lost. Asked every second, so a sieve of one statement comes first, and a chat that
    nobody who is free may have (skills, a lapse) rings for nobody.
    """
    campaign_ids = _waiting_with_room()
    return find_servable(campaign_ids) if campaign_ids else []


def _waiting_with_room() -> list[int]:
    """Campaigns in which a chat waits and an available agent has room, as far as SQL says it in
    short: rights, hours and limits of a campaign are looked at for these alone."""
    waits = exists().where(
        Chat.campaign_id == Campaign.id,
        Chat.status == ChatStatus.QUEUED,
        Chat.deleted_at.is_(None),
    )
    load = (
        select(func.count())
        .where(
            Chat.assigned_agent_id == User.id,
            Chat.status.in_(LOAD_STATUSES),
            Chat.deleted_at.is_(None),
        )
        .correlate(User)
        .scalar_subquery()
    )
    has_room = exists().where(
        CampaignAgent.campaign_id == Campaign.id,
        CampaignAgent.is_active.is_(True),
        CampaignAgent.user_id == User.id,
        User.agent_status == AgentStatus.AVAILABLE,
        User.auto_assign_enabled.is_(True),
        load < User.max_concurrent_chats,
    )
    return list(db.session.scalars(select(Campaign.id).where(waits, has_room)))


def find_chats_to_tend() -> list[int]:
    """For `routing.tend`: an answer, an offer, a snooze, a wait or a bot is overdue.

    Postgres compares plain seconds, which are never fewer than business seconds; what it finds is
    held against the hours here.
    """
    now = database_now()
    found = set(db.session.scalars(_due_at_once().limit(LIMIT)))
    campaigns: dict[int, Campaign] = {}
    for row in db.session.execute(_due_in_business_time().limit(LIMIT)):
        campaign = campaigns.get(row.campaign_id)
        if campaign is None:
            campaign = db.session.get_one(Campaign, row.campaign_id)
            campaigns[row.campaign_id] = campaign
        if _has_passed(campaign, row.since, row.seconds, now):
            found.add(row.id)
    return sorted(found)


def _has_passed(campaign: Campaign, since: datetime, seconds: float, now: datetime) -> bool:
    passed = hours.business_seconds(campaign.business_hours, campaign.timezone, since, now)
    return passed >= seconds


def _due_in_business_time() -> Select[Any]:
    """(id, campaign_id, since, seconds) of what runs within business hours."""
    agent = aliased(User)
    answering = func.greatest(Chat.assigned_at, Chat.waiting_since)
    unanswered = _timed(answering, Campaign.take_back_seconds).where(
        Chat.status == ChatStatus.ASSIGNED, Chat.waiting_since.is_not(None)
    )
    left_alone = (
        _timed(Chat.waiting_since, Campaign.take_back_seconds)
        .outerjoin(agent, agent.id == Chat.assigned_agent_id)
        .where(
            Chat.status == ChatStatus.ACTIVE,
            or_(
                Chat.owner == ChatOwner.PHONE,
                agent.id.is_(None),
                agent.agent_status == AgentStatus.OFFLINE,
            ),
        )
    )
    longest = func.coalesce(Queue.max_wait_seconds, Campaign.max_wait_seconds)
    overdue = (
        select(Chat.id, Chat.campaign_id, Chat.queued_at.label("since"), longest.label("seconds"))
        .join(Campaign, Campaign.id == Chat.campaign_id)
        .outerjoin(Queue, Queue.id == Chat.queue_id)
        .where(
            Chat.status == ChatStatus.QUEUED,
            Chat.deleted_at.is_(None),
            Chat.overdue_at.is_(None),
            Chat.queued_at <= func.now() - _seconds(longest),
        )
    )
    parts = union_all(unanswered, left_alone, overdue).subquery()
    return select(parts).order_by(parts.c.since)


def _timed(since: Any, seconds: Any) -> Select[Any]:
    return (
        select(Chat.id, Chat.campaign_id, since.label("since"), seconds.label("seconds"))
        .join(Campaign, Campaign.id == Chat.campaign_id)
        .where(Chat.deleted_at.is_(None), since <= func.now() - _seconds(seconds))
    )


def _due_at_once() -> Select[Any]:
    """Ids of what runs by the wall clock."""
    offered = and_(
        Chat.status == ChatStatus.TRANSFERRED,
        Chat.offered_at <= func.now() - _seconds(literal(read_setting("routing.offer_seconds"))),
    )
    snoozed = and_(Chat.status == ChatStatus.PENDING, Chat.snoozed_until <= func.now())
    told = and_(
        Chat.status == ChatStatus.QUEUED,
        Chat.queue_told_at <= func.now() - _seconds(Campaign.queue_message_interval_seconds),
    )
    silent_bot = and_(
        Chat.status == ChatStatus.BOT,
        Chat.bot_started_at <= func.now() - SILENT_BOT,
        ~select(BotSession.id)
        .where(BotSession.chat_id == Chat.id, BotSession.steps_count > 0)
        .exists(),
    )
    return (
        select(Chat.id)
        .join(Campaign, Campaign.id == Chat.campaign_id)
        .where(
            or_(offered, snoozed, told, silent_bot, _silent_customer()), Chat.deleted_at.is_(None)
        )
        .order_by(Chat.id)
    )


def _silent_customer() -> ColumnElement[bool]:
    heard = func.coalesce(Chat.last_inbound_at, Chat.created_at)
    remind = and_(
        Chat.reminded_at.is_(None),
        heard <= func.now() - _seconds(Campaign.inactivity_reminder_seconds),
    )
    close = heard <= func.now() - _seconds(Campaign.inactivity_close_seconds)
    return and_(
        Chat.status == ChatStatus.PENDING,
        Chat.pending_reason == PendingReason.CUSTOMER,
        Chat.waiting_since.is_(None),
        or_(remind, close),
    )


def _seconds(amount: Any) -> Any:
    return func.make_interval(0, 0, 0, 0, 0, 0, amount)


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
