"""What in the ledger asks for somebody: alarms that open within seconds and end by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select, text

from crm.db import db
from crm.models import Alarm, AlarmKind, WebhookEvent, WebhookStatus
from crm.services.alarms import end_alarm, raise_alarm
from crm.services.ledger.reading import TROUBLE

MOST = 1000
KINDS = (
    AlarmKind.WEBHOOK_FAILED,
    AlarmKind.NUMBER_WAITING,
    AlarmKind.NUMBER_UNKNOWN,
    AlarmKind.WEBHOOK_UNKNOWN,
)
# The newest thousand that wait, by number; of unknown numbers by the provider's id.
WAITING = text("""
    SELECT e.whatsapp_number_id AS number_id,
           CASE WHEN e.whatsapp_number_id IS NULL
                THEN left(e.problems->0->>'phone_number_id', 100) END AS phone_number_id,
           count(*) AS count, max(e.id) AS newest
    FROM (SELECT id, whatsapp_number_id, problems FROM webhook_events
          WHERE status = 'waiting' AND status <> 'processed' AND set_aside_at IS NULL
          ORDER BY id DESC LIMIT 1000) e
    GROUP BY 1, 2
""")


@dataclass(frozen=True)
class Trouble:
    """One alarm that should be open, with its facts; `newest` is the newest row behind it."""

    kind: AlarmKind
    subject: str
    number_id: int | None
    facts: dict[str, Any]


def find_trouble() -> list[Trouble]:
    """What asks for somebody now. Three short statements on partial indexes."""
    found = []
    count, newest = _count(
        WebhookEvent.status.in_(TROUBLE),
        WebhookEvent.status != WebhookStatus.PROCESSED,
        WebhookEvent.set_aside_at.is_(None),
    )
    if count:
        facts = {"count": count, "newest": newest}
        found.append(Trouble(AlarmKind.WEBHOOK_FAILED, "", None, facts))
    found += [_waiting(row) for row in db.session.execute(WAITING)]
    last_told = (
        select(func.max(Alarm.facts["newest"].as_integer()))
        .where(Alarm.kind == AlarmKind.WEBHOOK_UNKNOWN, Alarm.subject == "")
        .scalar_subquery()
    )
    is_open = select(Alarm.facts["since"].as_integer()).where(
        Alarm.kind == AlarmKind.WEBHOOK_UNKNOWN, Alarm.ended_at.is_(None)
    )
    since = db.session.scalar(is_open)
    if since is None:
        since = db.session.scalar(select(func.coalesce(last_told, 0))) or 0
    count, newest = _count(WebhookEvent.unknown_count > 0, WebhookEvent.id > since)
    if count:
        facts = {"count": count, "newest": newest, "since": since}
        found.append(Trouble(AlarmKind.WEBHOOK_UNKNOWN, "", None, facts))
    return found


def has_news() -> list[int]:
    """[0] if the open alarms do not say what `find_trouble` says; for the clock's sweep."""
    wanted = {(t.kind.value, t.subject): t.facts for t in find_trouble()}
    return [] if wanted == _open() else [0]


def watch() -> None:
    """Bring the alarms up to what is there. Inside `atomic()`."""
    before = _open()
    trouble = find_trouble()
    for t in trouble:
        old = before.get((t.kind.value, t.subject))
        if old != t.facts:
            worse = old is not None and t.facts["newest"] > old.get("newest", 0)
            raise_alarm(
                t.kind, subject=t.subject, number_id=t.number_id, facts=t.facts, renew=worse
            )
    still = {(t.kind.value, t.subject) for t in trouble}
    for kind, subject in before.keys() - still:
        end_alarm(AlarmKind(kind), subject=subject)


def _waiting(row: Row) -> Trouble:
    facts = {"count": row.count, "newest": row.newest}
    if row.number_id is not None:
        return Trouble(AlarmKind.NUMBER_WAITING, str(row.number_id), row.number_id, facts)
    facts["id"] = row.phone_number_id
    return Trouble(AlarmKind.NUMBER_UNKNOWN, row.phone_number_id or "", None, facts)


def _count(*criteria: Any) -> tuple[int, int]:
    """How many at most a thousand, and the newest one's id."""
    newest = select(WebhookEvent.id).where(*criteria).order_by(WebhookEvent.id.desc()).limit(MOST)
    part = newest.subquery()
    row = db.session.execute(select(func.count(), func.coalesce(func.max(part.c.id), 0))).one()
    return row[0], row[1]


def _open() -> dict[tuple[str, str], dict[str, Any]]:
    rows = db.session.execute(
        select(Alarm.kind, Alarm.subject, Alarm.facts).where(
            Alarm.kind.in_(KINDS), Alarm.ended_at.is_(None)
        )
    )
    return {(row.kind, row.subject): row.facts for row in rows}
