"""Receipts: the provider's words about messages of ours move their ticks, never backwards.

A receipt is matched by the id that we gave along (`<client_key>.<attempt>`), then by the provider's
id, and waits in `early_receipts` where neither is known yet. Everything is done in sets, so that a
POST with a thousand statuses costs a handful of statements.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from crm.db import db
from crm.doorbell import ring_on_commit
from crm.models import (
    ConsentValue,
    Message,
    MessageStatus,
    QueuedMessage,
    QueueStatus,
    ReceiptStatus,
)
from crm.providers.base import Receipt
from crm.services.messages import refusals
from crm.services.messages.announcing import announce_ticks, lock_chats
from crm.services.messages.preferences import record_consent
from crm.services.messages.ticks import Report, Tick, fold
from crm.services.messages.told import Told, read_early, read_receipts

# Meta's code for "this person wants no advertising".
OPTED_OUT = "131050"

LEARN = text("""
    INSERT INTO client_identities (client_id, kind, value)
    SELECT m.client_id, r.kind, r.value
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id bigint, kind text, value text)
    JOIN messages m ON m.id = r.id
    WHERE NOT EXISTS (
        SELECT FROM client_identities i WHERE i.kind = r.kind AND i.value = r.value)
    ORDER BY r.kind, r.value
    ON CONFLICT (kind, value) DO NOTHING
""")

MATCH = text("""
    SELECT id, chat_id, client_key, whatsapp_message_id FROM messages
    WHERE client_key = ANY(CAST(:keys AS uuid[]))
    UNION
    SELECT id, chat_id, client_key, whatsapp_message_id FROM messages
    WHERE whatsapp_message_id = ANY(CAST(:ids AS text[])) AND direction = 'outbound'
""")

# What `tick_row` gives, for an UPDATE of messages m.
TICK_COLUMNS = """
        status = r.status, sent_at = r.sent_at, delivered_at = r.delivered_at,
        read_at = r.read_at, failed_at = r.failed_at,
        error_code = r.error_code, error_message = r.error_message,
        whatsapp_message_id = COALESCE(m.whatsapp_message_id, r.wamid),
        metadata = CASE WHEN r.facts IS NULL THEN m.metadata
            ELSE COALESCE(m.metadata, '{}') || jsonb_build_object('receipt', r.facts) END,
        updated_at = now()
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
         AS r(id bigint, status text, sent_at timestamptz, delivered_at timestamptz,
              read_at timestamptz, failed_at timestamptz, error_code text, error_message text,
              wamid text, facts jsonb)
    WHERE m.id = r.id
"""
WRITE_TICKS = text(f"UPDATE messages m SET {TICK_COLUMNS}")  # noqa: S608 - TICK_COLUMNS is ours

# A row that is being sent is left to its worker, which finds the tick when it comes back; one that
# waits for another try, or whose outcome was open, is done: the provider has the message.
COMPLETE = text("""
    UPDATE message_queue
    SET status = 'completed', processing_completed_at = now(), lease_until = NULL,
        updated_at = now()
    WHERE message_id = ANY(CAST(:ids AS bigint[])) AND status IN ('pending', 'uncertain', 'failed')
    RETURNING whatsapp_number_id
""")

KEEP_EARLY = text("""
    INSERT INTO early_receipts (whatsapp_message_id, client_key, status, occurred_at, data)
    SELECT wamid, client_key, status, at, data
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
         AS r(wamid text, client_key uuid, status text, at timestamptz, data jsonb)
    ORDER BY wamid, status
    ON CONFLICT (whatsapp_message_id, status) DO NOTHING
""")

TAKE_EARLY = text("""
    DELETE FROM early_receipts
    WHERE whatsapp_message_id = ANY(CAST(:wamids AS text[]))
       OR client_key = ANY(CAST(:keys AS uuid[]))
    RETURNING whatsapp_message_id, client_key, status, occurred_at, data
""")

FIND_EARLY = text("""
    DELETE FROM early_receipts WHERE id IN (
        SELECT e.id FROM early_receipts e
        JOIN messages m ON m.whatsapp_message_id = e.whatsapp_message_id
        WHERE m.direction = 'outbound' AND e.received_at > now() - interval '1 day'
        ORDER BY e.id LIMIT :limit
        FOR UPDATE OF e SKIP LOCKED
    )
    RETURNING whatsapp_message_id, client_key, status, occurred_at, data
""")


def apply_receipts(receipts: Sequence[Receipt]) -> int:
    """Move the ticks that `receipts` tell of; returns how many messages changed.

    Call it inside `atomic()`. Repeated receipts change nothing. Words that say nothing about a tick
    are passed over.
    """
    told = read_receipts(receipts)
    return _apply(told) if told else 0


def apply_early_receipts(*, limit: int = 500) -> int:
    """Apply receipts that waited although their message is there; returns how many changed.

    A receipt without our id that is stored in the same instant in which `record_sent` commits finds
    no message and is not found by it either. This closes that gap.
    """
    told = read_early(db.session.execute(FIND_EARLY, {"limit": limit}))
    return _apply(told) if told else 0


def take_early_reports(
    names: Mapping[int, tuple[str, UUID | None]],
) -> dict[int, list[Report]]:
    """The reports that came before a message's id was known; they are taken out.

    `names`: message id -> (the provider's id, ours). Returns message id -> reports.
    """
    given = {
        "wamids": [wamid for wamid, _ in names.values()],
        "keys": [str(key) for _, key in names.values() if key],
    }
    by_wamid = {wamid: message_id for message_id, (wamid, _) in names.items()}
    by_key = {key: message_id for message_id, (_, key) in names.items() if key}
    reports: dict[int, list[Report]] = defaultdict(list)
    for told in read_early(db.session.execute(TAKE_EARLY, given)):
        message_id = by_key.get(told.client_key) if told.client_key else None
        reports[message_id or by_wamid[told.whatsapp_message_id]].append(told.report)
    return reports


def _apply(told: list[Told]) -> int:
    found = _match(told)
    per_message: dict[int, list[Told]] = defaultdict(list)
    early = []
    for one in told:
        message_id = found.by_key.get(one.client_key) if one.client_key else None
        message_id = message_id or found.by_wamid.get(one.whatsapp_message_id)
        if message_id is None:
            early.append(one)
        else:
            per_message[message_id].append(one)
    if early:
        _keep(early)
    if not per_message:
        return 0
    refusals.lock_people(
        (message_id, one.report.error_code)
        for message_id in per_message
        for one in per_message[message_id]
    )
    lock_chats(found.chat_ids.values())
    changed = _write(per_message, taken=set(found.by_wamid))
    _learn(per_message)
    announce_ticks({message_id: found.chat_ids[message_id] for message_id in changed})
    return len(changed)


def _learn(per_message: dict[int, list[Told]]) -> None:
    """Who got a message is its client, under whatever id the provider names them."""
    rows = [
        {"id": message_id, "kind": kind, "value": value}
        for message_id, told in per_message.items()
        for one in told
        if one.report.status is ReceiptStatus.DELIVERED
        for kind, value in one.recipient
    ]
    if rows:
        db.session.execute(LEARN, {"rows": json.dumps(rows)})
    for message_id, told in per_message.items():
        for one in told:
            if one.report.error_code == OPTED_OUT:
                client_id = db.session.scalar(
                    select(Message.client_id).where(Message.id == message_id)
                )
                if client_id is not None:
                    record_consent(
                        client_id, value=ConsentValue.STOP, at=one.report.at, source="refusal"
                    )


@dataclass(frozen=True, slots=True)
class _Found:
    by_key: dict[UUID, int]
    by_wamid: dict[str, int]
    chat_ids: dict[int, int]


def _match(told: list[Told]) -> _Found:
    rows = db.session.execute(
        MATCH,
        {
            "keys": [str(one.client_key) for one in told if one.client_key],
            "ids": [one.whatsapp_message_id for one in told],
        },
    ).all()
    return _Found(
        by_key={row.client_key: row.id for row in rows if row.client_key},
        by_wamid={row.whatsapp_message_id: row.id for row in rows if row.whatsapp_message_id},
        chat_ids={row.id: row.chat_id for row in rows},
    )


def _keep(told: list[Told]) -> None:
    rows = [
        {
            "wamid": one.whatsapp_message_id,
            "client_key": str(one.client_key) if one.client_key else None,
            "status": one.report.status.value,
            "at": one.report.at.isoformat(),
            "data": {
                "attempt": one.attempt,
                "error_code": one.report.error_code,
                "error_message": one.report.error_message,
                "facts": one.report.facts,
            },
        }
        for one in told
    ]
    db.session.execute(KEEP_EARLY, {"rows": json.dumps(rows)})


def _write(per_message: dict[int, list[Told]], *, taken: set[str]) -> list[int]:
    """Fold the reports into the locked messages; the ids of those that changed."""
    rows = []
    failed: dict[int, str | None] = {}
    for record in db.session.execute(_ticks(per_message)):
        before = after = tick_of(record)
        wamid = record.whatsapp_message_id
        for one in per_message[record.id]:
            if _is_stale(one, record.attempts):
                continue
            after = fold(after, one.report)
            if wamid is None and one.whatsapp_message_id not in taken:
                # An outcome that was open: only now we learn the provider's id.
                wamid = one.whatsapp_message_id
                taken.add(wamid)
        if after.status is MessageStatus.FAILED is not before.status:
            failed[record.id] = after.error_code
        if after != before or wamid != record.whatsapp_message_id:
            rows.append(tick_row(record.id, after, wamid))
    if rows:
        db.session.execute(WRITE_TICKS, {"rows": json.dumps(rows)})
    _complete([row["id"] for row in rows])
    refusals.heed(failed, by_status=True)
    return [row["id"] for row in rows]


def _ticks(message_ids: Iterable[int]) -> Any:
    return (
        select(
            Message.id,
            Message.status,
            Message.sent_at,
            Message.delivered_at,
            Message.read_at,
            Message.failed_at,
            Message.error_code,
            Message.error_message,
            Message.whatsapp_message_id,
            Message.meta["receipt"].label("facts"),
            QueuedMessage.status.label("queue_status"),
            QueuedMessage.attempts,
        )
        .outerjoin(QueuedMessage, QueuedMessage.message_id == Message.id)
        .where(Message.id.in_(list(message_ids)))
        .order_by(Message.id)
        .with_for_update(of=Message, key_share=True)
    )


def tick_of(record: Any) -> Tick:
    """The tick of a row with the message's status columns and `queue_status`."""
    return Tick(
        status=MessageStatus(record.status),
        sent_at=record.sent_at,
        delivered_at=record.delivered_at,
        read_at=record.read_at,
        failed_at=record.failed_at,
        error_code=record.error_code,
        error_message=record.error_message,
        is_refused_by_us=record.queue_status == QueueStatus.FAILED,
        # Another way that records outcomes reads the tick alone: it keeps no facts, and loses none.
        facts=getattr(record, "facts", None),
    )


def _is_stale(one: Told, attempts: int | None) -> bool:
    """A failure of an earlier try says nothing about the one that is under way now."""
    is_failure = one.report.status is ReceiptStatus.FAILED
    return is_failure and one.attempt is not None and one.attempt < (attempts or 0)


def tick_row(message_id: int, tick: Tick, wamid: str | None) -> dict[str, Any]:
    def stamp(moment: datetime | None) -> str | None:
        return moment.isoformat() if moment else None

    return {
        "id": message_id,
        "status": tick.status.value,
        "sent_at": stamp(tick.sent_at),
        "delivered_at": stamp(tick.delivered_at),
        "read_at": stamp(tick.read_at),
        "failed_at": stamp(tick.failed_at),
        "error_code": tick.error_code,
        "error_message": tick.error_message,
        "wamid": wamid,
        "facts": tick.facts,
    }


def _complete(message_ids: list[int]) -> None:
    if not message_ids:
        return
    numbers = set(db.session.scalars(COMPLETE, {"ids": message_ids}))
    for number_id in sorted(numbers):
        # The next message of the chat may have waited for this one.
        ring_on_commit("messages.deliver", number_id)
