"""The order in which waiting chats are served."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, case, func

from crm.models import Campaign, Chat, ChatPriority, Queue


def in_order_of_the_line(query: Select[Any]) -> Select[Any]:
    """Campaign priority, queue priority, chat priority, taken back before new, then by arrival."""
    rank = case(
        {priority: priority.rank for priority in ChatPriority}, value=Chat.priority, else_=0
    )
    return (
        query.join(Campaign, Campaign.id == Chat.campaign_id)
        .outerjoin(Queue, Queue.id == Chat.queue_id)
        .order_by(
            Campaign.priority.desc(),
            func.coalesce(Queue.priority, 0).desc(),
            rank.desc(),
            Chat.queue_ahead.desc(),
            Chat.queued_at,
            Chat.id,
        )
    )
