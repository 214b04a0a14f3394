"""A chat enters a queue, or what a full queue does with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from crm.db import db
from crm.models import (
    ActorKind,
    AgentStatus,
    Campaign,
    CampaignAgent,
    Chat,
    ChatStatus,
    OverflowAction,
    PendingReason,
    Queue,
    Role,
    Task,
    TaskPriority,
    User,
    UserStatus,
)
from crm.permissions import SUPER_ADMIN
from crm.services import hours
from crm.services.agents import holds
from crm.services.chats import SYSTEM, Actor, close_chat, queue_chat, set_pending
from crm.services.routing.texts import answer

# A call back is due so long after the next opening.
CALL_BACK_WITHIN = timedelta(hours=1)


@dataclass(slots=True)
class Place:
    """Where a full queue leads. `action` None: there is room, or the chat waits all the same."""

    queue: Queue | None
    action: OverflowAction | None = None
    passed: list[str] = field(default_factory=list)

    def receipt(self) -> dict[str, Any]:
        """Empty where no queue was full."""
        if not self.passed:
            return {}
        return {"overflow": {"full": self.passed, "action": str(self.action or "queue")}}


def enter_queue(
    chat: Chat,
    queue_id: int | None,
    *,
    at: datetime,
    actor: Actor = SYSTEM,
    reason: str = "routed",
    data: dict[str, Any] | None = None,
) -> Chat:
    """Let a chat wait in this queue; a full one does what its form says.

    The caller holds client and chat. After it the chat is queued, pending (a message may be left)
    or closed.
    """
    campaign = db.session.get_one(Campaign, chat.campaign_id)
    # Whom a person passes on has been let in already.
    by_hand = actor.kind == ActorKind.USER
    place = _straight_to(queue_id) if by_hand else find_room(campaign, queue_id)
    data = {**(data or {}), **place.receipt()}
    queue = place.queue
    target = queue.id if queue else None
    if place.action is None or queue is None:
        return queue_chat(chat, queue_id=target, actor=actor, reason=reason, data=data)
    if place.action == OverflowAction.REJECT:
        answer(chat, queue.overflow_message)
        return close_chat(chat, actor=SYSTEM, reason="overflow", data=data)
    if chat.status != ChatStatus.NEW:
        # Only from its opening, or from a queue, a chat may be put aside.
        chat = queue_chat(chat, queue_id=target, actor=actor, reason=reason, data=data)
    return take_message(chat, campaign, queue, at=at)


def find_room(campaign: Campaign, queue_id: int | None) -> Place:
    """Follow the overflow queues until one has room, or does something else than to pass on.

    Each queue asked is locked, so that two who come at once do not both take the last place. A
    circle is refused by the form; one that came in by another way ends where it began.
    """
    place = Place(None)
    seen: set[int] = set()
    while queue_id is not None and queue_id not in seen:
        seen.add(queue_id)
        queue = db.session.scalar(
            select(Queue).where(Queue.id == queue_id).with_for_update(key_share=True)
        )
        if queue is None:
            return place
        place.queue = queue
        if not _is_full(campaign, queue):
            return place
        place.passed.append(queue.name)
        if queue.overflow_action == OverflowAction.TRANSFER:
            queue_id = queue.overflow_queue_id
            continue
        if queue.overflow_action != OverflowAction.QUEUE:
            place.action = queue.overflow_action
        return place
    return place


def _straight_to(queue_id: int | None) -> Place:
    return Place(db.session.get(Queue, queue_id) if queue_id is not None else None)


def _is_full(campaign: Campaign, queue: Queue) -> bool:
    """Its own size or the campaign's over all queues, whichever is reached first."""
    waiting = (Chat.status == ChatStatus.QUEUED, Chat.deleted_at.is_(None))
    here, everywhere = db.session.execute(
        select(
            func.count().filter(Chat.queue_id == queue.id),
            func.count(),
        ).where(Chat.campaign_id == campaign.id, *waiting)
    ).one()
    return here >= queue.max_size or everywhere >= campaign.max_queue_size


def take_message(chat: Chat, campaign: Campaign, queue: Queue, *, at: datetime) -> Chat:
    """Voicemail: the customer may leave a message, and somebody has the task to call back."""
    answer(chat, queue.overflow_message)
    assignee = find_caller(chat)
    create_call_back(chat, campaign, assignee, at=at, title="Devolver el contacto")
    return set_pending(chat, actor=SYSTEM, reason=PendingReason.CALLBACK, agent_id=assignee.id)


def create_call_back(
    chat: Chat, campaign: Campaign, assignee: User, *, at: datetime, title: str
) -> Task:
    """A task for somebody who is to get in touch, due after the next opening."""
    opens = hours.next_opening(campaign.business_hours, campaign.timezone, at) or at
    author = db.session.scalars(select(User.id).where(User.is_system.is_(True)).limit(1)).one()
    task = Task(
        client_id=chat.client_id,
        chat_id=chat.id,
        assigned_to_user_id=assignee.id,
        created_by_user_id=author,
        title=f"{title} · {chat.case_number}",
        due_date=opens + CALL_BACK_WITHIN,
        priority=TaskPriority.HIGH,
    )
    db.session.add(task)
    db.session.flush()
    return task


def find_caller(chat: Chat) -> User:
    """Who calls back: the client's last agent, else the campaign's supervisor, else an admin."""
    working = (User.status == UserStatus.ACTIVE, User.deleted_at.is_(None))
    last = db.session.scalar(
        select(User)
        .join(Chat, Chat.assigned_agent_id == User.id)
        .join(
            CampaignAgent,
            (CampaignAgent.user_id == User.id)
            & (CampaignAgent.campaign_id == chat.campaign_id)
            & CampaignAgent.is_active.is_(True),
        )
        .where(Chat.client_id == chat.client_id, Chat.id != chat.id, *working)
        .order_by(Chat.id.desc())
        .limit(1)
    )
    if last is not None:
        return last
    supervisor = find_supervisor(chat.campaign_id)
    if supervisor is not None:
        return supervisor
    admins = (
        select(User)
        .join(Role, Role.id == User.role_id)
        .order_by((Role.name == SUPER_ADMIN).desc(), User.is_system, User.id)
    )
    # An installation without any person has its system user.
    return db.session.scalars(admins.where(User.deleted_at.is_(None)).limit(1)).one()


def find_supervisor(campaign_id: int) -> User | None:
    """Who may set agents' states in this campaign, whoever is at their desk before others."""
    return db.session.scalar(
        select(User)
        .join(CampaignAgent, CampaignAgent.user_id == User.id)
        .where(
            CampaignAgent.campaign_id == campaign_id,
            CampaignAgent.is_active.is_(True),
            User.status == UserStatus.ACTIVE,
            User.deleted_at.is_(None),
            User.is_system.is_(False),
            holds("agents.set_status"),
        )
        .order_by((User.agent_status == AgentStatus.OFFLINE), User.id)
        .limit(1)
    )
