"""What time makes due in a chat: taken back, overdue, an offer without an answer, a snooze's end.

One entry, `tend_chat`, for whatever state the chat is in by now; a doubled or early ring finds
nothing due. The clocks are asked of rows and hours each time, not stored as due times, so that a
changed limit or a holiday that was added counts at once.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from crm.db import database_now, db
from crm.models import (
    AgentState,
    AgentStatus,
    AlarmKind,
    BotSession,
    Campaign,
    Chat,
    ChatOwner,
    ChatPriority,
    ChatStatus,
    PendingReason,
    Queue,
    User,
)
from crm.services import agents, alarms, hours
from crm.services.chats import (
    SYSTEM,
    abandon_chat,
    close_chat,
    lock_agent,
    queue_chat,
    requeue_chat,
    return_offer,
)
from crm.services.chats.moves import note_event, publish_chat, touch_chat
from crm.services.routing import arrive
from crm.services.routing.overflow import create_call_back, find_caller
from crm.services.routing.texts import lock_client, say, say_place
from crm.services.settings import read_settings

# A flow that has not said its first word by then has no engine behind it, or a broken one.
SILENT_BOT = timedelta(seconds=60)


def tend_chat(chat_id: int) -> bool:
    """Do what is due in this chat; whether anything was."""
    client_id = db.session.scalar(select(Chat.client_id).where(Chat.id == chat_id))
    if client_id is None:
        return False
    lock_client(client_id)
    chat = db.session.scalar(
        select(Chat)
        .where(Chat.id == chat_id, Chat.deleted_at.is_(None))
        .with_for_update(key_share=True, of=Chat)
        .execution_options(populate_existing=True)
    )
    duty = DUTIES.get(chat.status) if chat is not None else None
    if chat is None or duty is None:
        return False
    campaign = db.session.get_one(Campaign, chat.campaign_id)
    return duty(chat, campaign, database_now())


def waited(campaign: Campaign, since: datetime | None, at: datetime) -> float:
    """Business seconds since a moment; none where it has not come."""
    if since is None:
        return 0.0
    return hours.business_seconds(campaign.business_hours, campaign.timezone, since, at)


def is_unanswered(chat: Chat, campaign: Campaign, at: datetime) -> bool:
    """An agent has had the chat, and its customer has waited, for the campaign's take-back time.

    Without a word of the customer's there is nothing to answer: an accepted transfer may rest.
    """
    if campaign.take_back_seconds is None or chat.waiting_since is None:
        return False
    since = max(chat.waiting_since, chat.assigned_at or chat.waiting_since)
    return waited(campaign, since, at) >= campaign.take_back_seconds


def is_left_alone(chat: Chat, campaign: Campaign, at: datetime) -> bool:
    """Active, the customer's word has waited that long, and whoever has it is gone or the phone."""
    limit = campaign.take_back_seconds
    if limit is None or chat.waiting_since is None:
        return False
    if waited(campaign, chat.waiting_since, at) < limit:
        return False
    if chat.owner == ChatOwner.PHONE:
        return True
    agent = db.session.get(User, chat.assigned_agent_id) if chat.assigned_agent_id else None
    return agent is None or not agent.is_active or agent.agent_status == AgentStatus.OFFLINE


def _tend_assigned(chat: Chat, campaign: Campaign, at: datetime) -> bool:
    if not is_unanswered(chat, campaign, at) or chat.assigned_agent_id is None:
        return False
    agent_id = chat.assigned_agent_id
    chat.lapses = {**(chat.lapses or {}), str(agent_id): at.isoformat()}
    requeue_chat(chat, actor=SYSTEM, reason="no_answer")
    agent = lock_agent(agent_id, active=False)
    agent.lapses += 1
    limit = read_settings("routing.lapses_to_pause")["routing.lapses_to_pause"]
    if limit and agent.lapses >= limit and agent.agent_status != AgentStatus.OFFLINE:
        agents.pause_unanswering(agent, chat)
        alarms.raise_alarm(
            AlarmKind.AGENT_UNANSWERING,
            subject=str(agent.id),
            campaign_id=chat.campaign_id,
            facts={"agent": agent.full_name},
        )
    return True


def _tend_active(chat: Chat, campaign: Campaign, at: datetime) -> bool:
    if not is_left_alone(chat, campaign, at):
        return False
    by_phone = chat.owner == ChatOwner.PHONE
    requeue_chat(chat, actor=SYSTEM, reason="phone_silent" if by_phone else "agent_offline")
    return True


def _tend_offered(chat: Chat, _campaign: Campaign, at: datetime) -> bool:
    seconds = read_settings("routing.offer_seconds")["routing.offer_seconds"]
    if chat.offered_at is None or at >= chat.offered_at + timedelta(seconds=seconds):
        return_offer(chat, actor=SYSTEM, reason="expired")
        return True
    gone_at = db.session.scalar(
        select(AgentState.started_at).where(
            AgentState.user_id == chat.offered_agent_id,
            AgentState.ended_at.is_(None),
            AgentState.status == AgentStatus.OFFLINE,
        )
    )
    # Whoever was away when it was offered was chosen on purpose.
    if gone_at is None or gone_at < chat.offered_at:
        return False
    return_offer(chat, actor=SYSTEM, reason="gone")
    return True


def _tend_pending(chat: Chat, campaign: Campaign, at: datetime) -> bool:
    if chat.pending_reason == PendingReason.SNOOZED and chat.snoozed_until is not None:
        if at < chat.snoozed_until:
            return False
        arrive.bring_back(chat, reason="snooze_over")
        return True
    if chat.pending_reason != PendingReason.CUSTOMER or chat.waiting_since is not None:
        return False
    silent = at - (chat.last_inbound_at or chat.created_at)
    close_after = campaign.inactivity_close_seconds
    if close_after is not None and silent >= timedelta(seconds=close_after):
        close_chat(chat, actor=SYSTEM, reason="no_reply")
        return True
    remind_after = campaign.inactivity_reminder_seconds
    due = remind_after is not None and silent >= timedelta(seconds=remind_after)
    if not due or chat.reminded_at is not None:
        return False
    chat.reminded_at = at
    say(chat, campaign.inactivity_reminder_message)
    return True


def _tend_queued(chat: Chat, campaign: Campaign, at: datetime) -> bool:
    queue = db.session.get(Queue, chat.queue_id) if chat.queue_id else None
    limit = queue.max_wait_seconds if queue else campaign.max_wait_seconds
    if chat.overdue_at is None and waited(campaign, chat.queued_at, at) >= limit:
        _draw_consequences(chat, campaign, queue, at)
        return True
    if campaign.queue_message_interval_seconds and chat.queue_told_at is not None:
        return say_place(chat, campaign, at=at)
    return False


def _draw_consequences(chat: Chat, campaign: Campaign, queue: Queue | None, at: datetime) -> None:
    """The longest wait has passed, once in a spell: abandoned where the campaign says so; else the
    wait message, a step of priority, the overflow queue. It stays queued."""
    chat.overdue_at = at
    raise_overdue(chat, campaign, queue)
    if campaign.abandon_enabled:
        say(chat, campaign.abandon_message)
        create_call_back(chat, campaign, find_caller(chat), at=at, title="Llamar de vuelta")
        abandon_chat(chat, reason="max_wait")
        return
    say(chat, campaign.wait_message)
    was = chat.priority
    chat.priority = list(ChatPriority)[min(was.rank + 1, len(ChatPriority) - 1)]
    data = {"priority_before": str(was), "priority": str(chat.priority), "queue_id": chat.queue_id}
    overflow = _overflow_of(queue)
    if overflow is not None:
        data["queue"] = overflow.name
        queue_chat(
            chat,
            queue_id=overflow.id,
            actor=SYSTEM,
            reason="max_wait",
            keep_place=True,
            data=data,
        )
        return
    note_event(chat, chat.status, kind="overdue", actor=SYSTEM, reason="max_wait", at=at, data=data)
    touch_chat(chat)
    publish_chat(chat)


def raise_overdue(chat: Chat, campaign: Campaign, queue: Queue | None) -> None:
    """Tell who looks after the campaign; one alarm for each queue, until somebody has seen it."""
    facts = {
        "campaign": campaign.name,
        "queue": queue.name if queue else campaign.name,
        "case": chat.case_number,
        "chat_id": chat.id,
    }
    alarms.raise_alarm(
        AlarmKind.QUEUE_OVERDUE,
        subject=f"{campaign.id}:{queue.id if queue else ''}",
        campaign_id=campaign.id,
        facts=facts,
    )


def _overflow_of(queue: Queue | None) -> Queue | None:
    if queue is None or queue.overflow_queue_id is None:
        return None
    overflow = db.session.get(Queue, queue.overflow_queue_id)
    return overflow if overflow is not None and overflow.is_active else None


def _tend_bot(chat: Chat, _campaign: Campaign, at: datetime) -> bool:
    """A flow that never began: nobody waits for a bot that does not come."""
    session = db.session.scalar(select(BotSession).where(BotSession.chat_id == chat.id))
    began = session is not None and session.steps_count > 0
    if began or chat.bot_started_at is None or at < chat.bot_started_at + SILENT_BOT:
        return False
    arrive.hand_over(chat, variables={}, reason="bot_silent")
    return True


DUTIES = {
    ChatStatus.ASSIGNED: _tend_assigned,
    ChatStatus.ACTIVE: _tend_active,
    ChatStatus.TRANSFERRED: _tend_offered,
    ChatStatus.PENDING: _tend_pending,
    ChatStatus.QUEUED: _tend_queued,
    ChatStatus.BOT: _tend_bot,
}
