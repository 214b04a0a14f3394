"""Queues as an admin sees them: where a full one sends its chats, and switching one off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import exists, func, or_, select

from crm.db import db
from crm.errors import Conflict, NotFound
from crm.models import Campaign, Chat, ChatStatus, Queue, RoutingRule
from crm.permissions import Scope
from crm.services.campaigns import visible_campaigns
from crm.services.chats import person, queue_chat
from crm.services.kit import ListQuery, Page, WrongField, find_page

FIELDS = (
    "campaign_id", "name", "description", "is_active", "priority", "max_size", "max_wait_seconds",
    "overflow_action", "overflow_queue_id", "overflow_message",
)  # fmt: skip


def load_queue(scope: Scope, queue_id: int, *, lock: bool = False) -> Queue:
    """The queue, if its campaign is in reach. `lock` holds the campaign's queues for a change.

    One lock for all queues of the campaign, because a circle of overflow queues is made by two
    forms that each look harmless.
    """
    statement = (
        select(Queue)
        .join(Campaign, Campaign.id == Queue.campaign_id)
        .where(Queue.id == queue_id, visible_campaigns(scope))
    )
    if lock:
        statement = statement.with_for_update(key_share=True, of=Campaign).execution_options(
            populate_existing=True
        )
    queue = db.session.scalar(statement)
    if queue is None:
        raise NotFound
    return queue


def find_queues(scope: Scope, query: ListQuery) -> Page:
    """Rows of (queue, name of the campaign, waiting chats, name of the overflow queue)."""
    waiting = (
        select(func.count())
        .select_from(Chat)
        .where(
            Chat.queue_id == Queue.id,
            Chat.status == ChatStatus.QUEUED,
            Chat.deleted_at.is_(None),
        )
        .correlate(Queue)
        .scalar_subquery()
    )
    overflow = Queue.__table__.alias("overflow")
    statement = (
        select(Queue, Campaign.name, waiting, overflow.c.name)
        .join(Campaign, Campaign.id == Queue.campaign_id)
        .outerjoin(overflow, overflow.c.id == Queue.overflow_queue_id)
        .where(visible_campaigns(scope))
    )
    if campaign := query.filters.get("campaign"):
        statement = statement.where(Queue.campaign_id == int(campaign))
    return find_page(
        statement,
        query,
        search=(Queue.name, Campaign.name),
        sorts={
            "name": func.lower(Queue.name),
            "campaign": func.lower(Campaign.name),
            "priority": Queue.priority,
        },
        default=(func.lower(Campaign.name), Queue.priority.desc()),
        key=Queue.id,
    )


def list_queue_names(scope: Scope, campaign_id: int | None = None) -> list[tuple[int, str]]:
    """(id, "Campaign · Queue") of every queue in reach, or of this campaign, for pickers."""
    statement = (
        select(Queue.id, Queue.name, Campaign.name.label("campaign"))
        .join(Campaign, Campaign.id == Queue.campaign_id)
        .where(visible_campaigns(scope))
        .order_by(Campaign.name, Queue.name)
    )
    if campaign_id is not None:
        statement = statement.where(Campaign.id == campaign_id)
    rows = db.session.execute(statement)
    return [(row.id, f"{row.campaign} · {row.name}") for row in rows]


def state_of(queue: Queue) -> dict[str, Any]:
    state = {name: getattr(queue, name) for name in FIELDS}
    state["overflow_action"] = str(queue.overflow_action)
    return state


def count_references(queue: Queue) -> int:
    """How many rules in force and queues send chats here; while it is off they go elsewhere."""
    rules = select(func.count()).where(
        RoutingRule.target_queue_id == queue.id, RoutingRule.is_active.is_(True)
    )
    others = select(func.count()).where(
        Queue.overflow_queue_id == queue.id, Queue.is_active.is_(True)
    )
    return (db.session.scalar(rules) or 0) + (db.session.scalar(others) or 0)


def count_waiting(queue: Queue) -> int:
    return (
        db.session.scalar(
            select(func.count())
            .select_from(Chat)
            .where(
                Chat.queue_id == queue.id,
                Chat.status == ChatStatus.QUEUED,
                Chat.deleted_at.is_(None),
            )
        )
        or 0
    )


def create_queue(values: Mapping[str, Any]) -> Queue:
    """A new queue of a campaign. WrongField for an overflow queue that would make a circle."""
    db.session.scalars(
        select(Campaign).where(Campaign.id == values["campaign_id"]).with_for_update(key_share=True)
    ).one()
    queue = Queue(**{name: values[name] for name in FIELDS})
    _check_overflow(queue)
    db.session.add(queue)
    db.session.flush()
    return queue


def update_queue(queue: Queue, values: Mapping[str, Any], *, by: int) -> Queue:
    """Write the form's values; the queue's campaign stays.

    A queue that is switched off takes nothing new; chats that wait in it move to its overflow queue
    or the campaign's first one once `move_waiting` says so. WrongField asks with their number.
    """
    if values["campaign_id"] != queue.campaign_id:
        raise WrongField(
            "A queue stays in its campaign; make a new one there.", field_name="campaign_id"
        )
    switched_off = queue.is_active and not values["is_active"]
    for name in FIELDS:
        setattr(queue, name, values[name])
    _check_overflow(queue)
    if switched_off:
        _move_waiting(queue, agreed=values["move_waiting"], by=by)
    db.session.flush()
    return queue


def delete_queue(queue: Queue) -> None:
    """Conflict while chats, rules or other queues know it: then switching it off is the way."""
    known = db.session.scalar(
        select(
            or_(
                exists().where(Chat.queue_id == queue.id),
                exists().where(RoutingRule.target_queue_id == queue.id),
                exists().where(Queue.overflow_queue_id == queue.id),
            )
        )
    )
    if known:
        raise Conflict(
            "Chats, rules or other queues refer to this queue. Switch it off instead of deleting."
        )
    db.session.delete(queue)


def _check_overflow(queue: Queue) -> None:
    """The overflow queue is of the same campaign, and the chain never comes back."""
    if queue.overflow_queue_id is None:
        return
    with db.session.no_autoflush:
        rows = db.session.execute(
            select(Queue.id, Queue.name, Queue.overflow_queue_id, Queue.overflow_action).where(
                Queue.campaign_id == queue.campaign_id
            )
        )
        queues = {row.id: row for row in rows}
    if queue.overflow_queue_id not in queues:
        raise WrongField("Choose a queue of the same campaign.", field_name="overflow_queue_id")
    path, at = [queue.name], queue.overflow_queue_id
    while at is not None:
        if at == queue.id:
            raise WrongField(
                "The chats would go round in a circle: %(path)s.",
                field_name="overflow_queue_id",
                path=" → ".join([*path, queue.name]),
            )
        path.append(queues[at].name)
        if len(path) > len(queues) + 1 or queues[at].overflow_queue_id not in queues:
            return
        at = queues[at].overflow_queue_id


def _move_waiting(queue: Queue, *, agreed: bool, by: int) -> None:
    waiting = list(
        db.session.scalars(
            select(Chat)
            .where(
                Chat.queue_id == queue.id,
                Chat.status == ChatStatus.QUEUED,
                Chat.deleted_at.is_(None),
            )
            .order_by(Chat.queued_at, Chat.id)
        )
    )
    if not waiting:
        return
    others = (
        select(Queue)
        .where(
            Queue.campaign_id == queue.campaign_id,
            Queue.id != queue.id,
            Queue.is_active.is_(True),
        )
        .order_by(
            (Queue.id == (queue.overflow_queue_id or 0)).desc(), Queue.priority.desc(), Queue.id
        )
    )
    with db.session.no_autoflush:
        target = db.session.scalars(others.limit(1)).first()
    if target is None:
        raise WrongField(
            "Waiting here: %(count)s, and the campaign has no other active queue for them.",
            field_name="is_active",
            count=len(waiting),
        )
    if not agreed:
        raise WrongField(
            "Waiting here: %(count)s. They would move to %(queue)s. Agree and save again.",
            field_name="move_waiting",
            count=len(waiting),
            queue=target.name,
        )
    for chat in waiting:
        # Before those who come for the first time: they keep the start that they had.
        queue_chat(chat, queue_id=target.id, actor=person(by), reason="queue_closed", ahead=True)
