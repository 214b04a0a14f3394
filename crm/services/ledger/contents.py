"""What one delivery holds, without anybody's words: kinds, directions, and masked ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from crm.db import db
from crm.models import Provider, WebhookEvent
from crm.providers.base import Event, InboundMessage, Other, Problem, Receipt
from crm.providers.meta.webhook import parse as parse_meta
from crm.services.wppconnect.arrivals import read_again

MOST_BYTES = 4 * 1024 * 1024
MOST_LINES = 50


@dataclass(frozen=True)
class Content:
    """One event of a delivery. `what`: message, receipt, other, problem; `kind` is its kind."""

    what: str
    kind: str
    message_id: str | None = None
    who: str | None = None


def find_contents(delivery_id: int) -> list[Content]:
    """The events in it as the provider's reader finds them today; empty where it finds none."""
    found = db.session.execute(
        select(WebhookEvent.provider, WebhookEvent.body, WebhookEvent.whatsapp_number_id).where(
            WebhookEvent.id == delivery_id
        )
    ).one_or_none()
    if found is None or len(found.body) > MOST_BYTES:
        return []
    raw = bytes(found.body)
    try:
        events: Sequence[Event] = (
            parse_meta(raw)
            if found.provider is Provider.META
            else read_again(raw, number_id=found.whatsapp_number_id)
        )
    except (ValueError, RecursionError):
        return []
    return [content_of(event) for event in events[:MOST_LINES]]


def content_of(event: Event) -> Content:
    if isinstance(event, InboundMessage):
        return Content("message", event.kind, event.whatsapp_message_id, mask(event.sender.wa_id))
    if isinstance(event, Receipt):
        who = mask(event.recipient_wa_id)
        return Content("receipt", event.status, event.whatsapp_message_id, who)
    if isinstance(event, Other):
        return Content("other" if event.known else "unknown", f"{event.field} {event.kind}".strip())
    if isinstance(event, Problem):
        return Content("problem", event.reason)
    # News of the account, of a person, of the past: the name of the shape says what.
    return Content("other", type(event).__name__, getattr(event, "whatsapp_message_id", None))


def mask(wa_id: str | None) -> str | None:
    """'573001234567' -> '…4567'"""
    return f"…{wa_id[-4:]}" if wa_id else None
