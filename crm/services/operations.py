"""How the installation does: workers, what is due, what asks for somebody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from redis.exceptions import RedisError
from rq import Worker
from rq.serializers import JSONSerializer
from sqlalchemy import func, select

from crm.db import db
from crm.doorbell import QUEUES
from crm.extensions import redis_client
from crm.models import (
    OPEN_STATUSES,
    Alarm,
    Chat,
    QueuedMessage,
    QueueStatus,
    WhatsappNumber,
)
from crm.services.alarms import words_of
from crm.services.ledger.reading import count_open


@dataclass(frozen=True)
class Pulse:
    """Figures of this moment. `oldest_due_seconds` is 0 where nothing is due."""

    due: int = 0
    oldest_due_seconds: float = 0.0
    queue: Mapping[str, int] = field(default_factory=dict)
    chats: Mapping[str, int] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)
    alarms: Mapping[str, int] = field(default_factory=dict)
    ledger: Mapping[str, int] = field(default_factory=dict)


def read_pulse() -> Pulse:
    """Some short statements, on indexes."""
    due, oldest = find_due()
    open_queue = select(QueuedMessage.status, func.count()).where(
        QueuedMessage.status.in_([s for s in QueueStatus if s.is_open])
    )
    chats = select(Chat.status, func.count()).where(
        Chat.status.in_(OPEN_STATUSES), Chat.deleted_at.is_(None)
    )
    numbers = select(WhatsappNumber.status, func.count()).where(WhatsappNumber.deleted_at.is_(None))
    severities: Counter[str] = Counter()
    for kind in db.session.scalars(select(Alarm.kind).where(Alarm.ended_at.is_(None))):
        severities[words_of(kind).severity.value] += 1
    return Pulse(
        due=due,
        oldest_due_seconds=oldest,
        queue=_counted(open_queue.group_by(QueuedMessage.status)),
        chats=_counted(chats.group_by(Chat.status)),
        numbers=_counted(numbers.group_by(WhatsappNumber.status)),
        alarms=severities,
        ledger=count_open(),
    )


def find_due() -> tuple[int, float]:
    """How many messages should have left already, and for how many seconds the oldest."""
    row = db.session.execute(
        select(
            func.count(),
            func.extract("epoch", func.now() - func.min(QueuedMessage.scheduled_at)),
        ).where(
            QueuedMessage.status == QueueStatus.PENDING, QueuedMessage.scheduled_at <= func.now()
        )
    ).one()
    return row[0], float(row[1] or 0)


def find_workers() -> dict[str, int]:
    """How many workers listen to each queue; raises RedisError."""
    found = dict.fromkeys(QUEUES, 0)
    for worker in Worker.all(connection=redis_client.client, serializer=JSONSerializer):
        for name in worker.queue_names():
            if name in found:
                found[name] += 1
    return found


def count_workers() -> dict[str, int] | None:
    """The same; None with Redis away."""
    try:
        return find_workers()
    except RedisError:
        return None


def _counted(statement) -> dict[str, int]:  # type: ignore[no-untyped-def]
    return {str(status): count for status, count in db.session.execute(statement)}
