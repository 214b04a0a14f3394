"""Processing many deliveries again: a row says which and how far, a job does it.

Harmless twice, as one replay is: what is stored already stays. A job that dies goes on where it
was, and anybody who may start a run may stop it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.exc import DBAPIError

from crm.db import db, savepoint
from crm.doorbell import ring_on_commit
from crm.errors import Conflict, NotFound
from crm.models import WebhookEvent, WebhookReplay, WebhookStatus
from crm.services.ledger.reading import LedgerQuery
from crm.services.messages.inbound import is_passing
from crm.services.messages.replay import find_waiting, replay

AT_ONCE = 20
# A list of ticked rows is a page of them; more goes by the filters.
MOST_TICKED = 200

# Deliveries that waited for a number which is served now. The oldest thousand that wait are looked
# at: what is processed makes room for the next.
SERVED = text("""
    SELECT DISTINCT n.id
    FROM (SELECT id, problems FROM webhook_events
          WHERE status IN ('waiting', 'partly') AND status <> 'processed'
          ORDER BY id LIMIT 1000) e
    CROSS JOIN LATERAL jsonb_array_elements(COALESCE(e.problems, '[]')) AS problem
    JOIN whatsapp_numbers n
      ON problem->>'phone_number_id' IN (n.meta_phone_number_id, 'wppconnect:' || n.id)
     AND n.deleted_at IS NULL
    WHERE problem->>'reason' IN ('no_campaign', 'unknown_number')
      AND EXISTS (SELECT FROM campaign_numbers l JOIN campaigns c ON c.id = l.campaign_id
                  WHERE l.whatsapp_number_id = n.id AND c.status IN ('active', 'paused')
                    AND c.deleted_at IS NULL)
""")


def begin_replay(
    *, ids: Sequence[int] = (), query: LedgerQuery | None = None, by: int | None
) -> WebhookReplay:
    """Process these rows again, or all that `query` finds. One at a time: they would only queue."""
    if db.session.scalar(select(WebhookReplay.id).where(WebhookReplay.finished_at.is_(None))):
        raise Conflict("Another run is going on. Wait until it ends, or stop it.")
    row = WebhookReplay(
        chosen={"ids": sorted(set(ids))[:MOST_TICKED]} if query is None else _as_json(query),
        until_id=db.session.scalar(select(func.max(WebhookEvent.id))) or 0,
        created_by=by,
    )
    some = select(WebhookEvent.id).where(*_criteria(row)).limit(1_000_000)
    row.total = db.session.scalar(select(func.count()).select_from(some.subquery())) or 0
    db.session.add(row)
    db.session.flush()
    ring_on_commit("ledger.replay", row.id)
    return row


def replay_some(replay_id: int) -> tuple[list[datetime], bool]:
    """The next rows of a run, oldest first: when those came, and whether there is more.

    Inside `atomic()`. A row that fails again is counted and stays as it is.
    """
    run = db.session.scalar(
        select(WebhookReplay).where(WebhookReplay.id == replay_id).with_for_update()
    )
    if run is None or run.finished_at is not None:
        return [], False
    rows = db.session.execute(
        select(WebhookEvent.id, WebhookEvent.received_at)
        .where(*_criteria(run), WebhookEvent.id > run.last_id)
        .order_by(WebhookEvent.id)
        .limit(AT_ONCE)
    ).all()
    for row in rows:
        run.processed += _replay_carefully(row.id)
        run.done += 1
        run.last_id = row.id
    if len(rows) < AT_ONCE:
        run.finished_at = func.clock_timestamp()
    db.session.flush()
    return [row.received_at for row in rows], len(rows) == AT_ONCE


def stop_replay(replay_id: int) -> WebhookReplay:
    run = db.session.get(WebhookReplay, replay_id, with_for_update=True)
    if run is None:
        raise NotFound
    if run.finished_at is None:
        run.finished_at = func.clock_timestamp()
        run.cancelled = True
        db.session.flush()
        db.session.refresh(run)
    return run


def find_open_replays() -> list[int]:
    return list(
        db.session.scalars(select(WebhookReplay.id).where(WebhookReplay.finished_at.is_(None)))
    )


def find_latest_replay() -> WebhookReplay | None:
    return db.session.scalar(select(WebhookReplay).order_by(WebhookReplay.id.desc()).limit(1))


def find_served_numbers() -> list[int]:
    """Numbers with deliveries that wait and need not any more."""
    return list(db.session.scalars(SERVED))


def serve_number(number_id: int, *, after_id: int) -> tuple[list[datetime], int]:
    """Process the next deliveries that waited for this number: when they came, and the last id.

    Inside `atomic()`; nothing more when the list is empty. By id, so that it ends even if a row
    stays as it is.
    """
    ids = find_waiting(number_id, after_id=after_id, most=AT_ONCE)
    for delivery_id in ids:
        _replay_carefully(delivery_id)
    moments = db.session.scalars(select(WebhookEvent.received_at).where(WebhookEvent.id.in_(ids)))
    return list(moments), ids[-1] if ids else after_id


def _replay_carefully(delivery_id: int) -> int:
    """1 if it is whole now."""
    try:
        with savepoint():
            return int(replay(delivery_id) == WebhookStatus.PROCESSED)
    except (NotFound, ValueError, RecursionError):
        # Gone meanwhile, or no JSON: it stays as it is.
        return 0
    except DBAPIError as error:
        if is_passing(error):
            raise
        return 0


def _criteria(run: WebhookReplay) -> list[ColumnElement[bool]]:
    if "ids" in run.chosen:
        return [WebhookEvent.id.in_(run.chosen["ids"])]
    # By what the rows were when it began: a row that got well meanwhile is not looked at again,
    # and one that came later belongs to nobody's wish.
    return [*_from_json(run.chosen).criteria(), WebhookEvent.id <= run.until_id]


def _as_json(query: LedgerQuery) -> dict[str, Any]:
    return {
        "status": query.status,
        "number_id": query.number_id,
        "kind": query.kind,
        "hour": query.hour.isoformat() if query.hour else None,
    }


def _from_json(chosen: dict[str, Any]) -> LedgerQuery:
    hour = chosen.get("hour")
    return LedgerQuery(
        status=chosen["status"],
        number_id=chosen["number_id"],
        # Not told in runs that began before there were kinds.
        kind=chosen.get("kind", ""),
        hour=datetime.fromisoformat(hour) if hour else None,
    )
