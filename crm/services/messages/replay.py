"""Reads stored bodies again: by hand from the ledger, or when a number gets its campaign."""

from __future__ import annotations

import structlog
from sqlalchemy import select, text

from crm.db import db
from crm.errors import NotFound
from crm.models import Provider, WebhookEvent
from crm.providers.meta.webhook import parse
from crm.services.messages.inbound import store_events
from crm.services.messages.ledger import Post, rewrite_ledger
from crm.services.wppconnect.arrivals import read_again

log = structlog.get_logger(__name__)

# Rows of this number itself, and of when it was not known here yet.
WAITING = text("""
    SELECT e.id FROM webhook_events e JOIN whatsapp_numbers n ON n.id = :number_id
    WHERE e.status IN ('waiting', 'partly')
      AND EXISTS (
          SELECT FROM jsonb_array_elements(COALESCE(e.problems, '[]')) AS problem
          WHERE problem->>'reason' IN ('no_campaign', 'unknown_number')
            AND problem->>'phone_number_id' IN (n.meta_phone_number_id, 'wppconnect:' || n.id))
      AND e.id > :after_id
    ORDER BY e.id
    LIMIT :most
""")


def replay(webhook_event_id: int) -> str:
    """Process a stored body again; its new status. Harmless however often: what is there stays.

    NotFound for an id that is not in the ledger. Call it inside `atomic()`.
    """
    row = db.session.scalar(
        select(WebhookEvent).where(WebhookEvent.id == webhook_event_id).with_for_update()
    )
    if row is None:
        raise NotFound
    raw = bytes(row.body)
    if row.provider is Provider.WPPCONNECT:
        events = read_again(raw, number_id=row.whatsapp_number_id)
    else:
        events = parse(raw)
    post = Post(raw, events, provider=row.provider, ledger_id=row.id)
    store_events(post)
    rewrite_ledger(post)
    db.session.expire(row)
    log.info("webhook_replayed", webhook_event_id=webhook_event_id, status=post.status)
    return post.status


def find_waiting(number_id: int, *, after_id: int = 0, most: int = 200) -> list[int]:
    """What came for this number while nobody took it, oldest first, by id."""
    values = {"number_id": number_id, "after_id": after_id, "most": most}
    return list(db.session.scalars(WAITING, values))


def process_waiting(number_id: int, *, most: int = 200) -> int:
    """Process what came for this number while no campaign took it, oldest first.

    Returns how many bodies were read; call again until it is 0 or nothing moves. Inside `atomic()`.
    """
    ids = find_waiting(number_id, most=most)
    for webhook_event_id in ids:
        replay(webhook_event_id)
    return len(ids)


def find_deferred() -> list[str]:
    """For the clock: whether such a body waits; the job reads them all."""
    return ["all"] if find_received(most=1) else []


def find_received(*, most: int = 20) -> list[int]:
    """Bodies that a job has to read, oldest first, by id: what holds a number's past."""
    query = text("SELECT id FROM webhook_events WHERE status = 'received' ORDER BY id LIMIT :most")
    return list(db.session.scalars(query, {"most": most}))
