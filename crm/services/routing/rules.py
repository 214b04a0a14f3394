"""Where a new chat goes: the campaign's rules, or else its first queue."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from crm.db import db
from crm.models import Chat, Queue


@dataclass(frozen=True, slots=True)
class Decision:
    """The queue (None: the campaign has no active one, and the chat waits in its open line)."""

    queue_id: int | None
    rule_id: int | None = None

    def receipt(self) -> dict[str, int | None]:
        return {"rule_id": self.rule_id, "queue_id": self.queue_id}


def decide(chat: Chat) -> Decision:
    """The campaign's first queue: active, highest priority, lowest id."""
    queue_id = db.session.scalar(
        select(Queue.id)
        .where(Queue.campaign_id == chat.campaign_id, Queue.is_active.is_(True))
        .order_by(Queue.priority.desc(), Queue.id)
        .limit(1)
    )
    return Decision(queue_id)
