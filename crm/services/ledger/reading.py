"""Lists of deliveries, one delivery, and its body: quick with millions of rows.

Every list runs down an index and ends after a page; nothing counts the table, and only a search
for a text reads bodies, of the newest SEARCHED.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, or_, select, tuple_
from sqlalchemy.orm import defer, joinedload

from crm.db import db
from crm.errors import NotFound
from crm.models import WebhookEvent, WebhookStatus, WhatsappNumber
from crm.models.webhooks import HOLDS_SELDOM

PAGE = 50
# Of one body: so many characters on a page, and up to so many bytes set out as JSON.
BODY_PAGE = 50_000
MOST_PRETTY = 4 * 1024 * 1024
# In how many of the newest deliveries that pass the other filters a text is looked for.
SEARCHED = 20_000
TROUBLE = (WebhookStatus.FAILED, WebhookStatus.PARTLY)


@dataclass(frozen=True)
class LedgerQuery:
    """What the address asks for. `status`: one of the model's words, or "trouble"; `kind`: one of
    `kinds.KINDS` that the delivery holds, among others.

    `text` is looked for in the bodies, and is for who may read these.
    """

    status: str = ""
    number_id: int | None = None
    kind: str = ""
    hour: datetime | None = None
    before: tuple[datetime, int] | None = None
    text: str = ""

    def criteria(self) -> list[ColumnElement[bool]]:
        """Without the place in the list."""
        found: list[ColumnElement[bool]] = []
        if self.status == "trouble":
            found += [WebhookEvent.status.in_(TROUBLE), WebhookEvent.set_aside_at.is_(None)]
        elif self.status:
            # Said once more as the index says it, or the planner would not see that it fits.
            found.append(WebhookEvent.status == WebhookStatus(self.status))
            if self.status != WebhookStatus.PROCESSED:
                found.append(WebhookEvent.status != WebhookStatus.PROCESSED)
        if self.number_id is not None:
            found.append(WebhookEvent.whatsapp_number_id == self.number_id)
        if self.kind == "unknown":
            # Also kinds of messages that are new.
            found.append(WebhookEvent.unknown_count > 0)
        elif self.kind:
            found.append(WebhookEvent.holds.has_key(self.kind))
            if self.kind not in ("message", "receipt"):
                found.append(HOLDS_SELDOM)
        if self.hour is not None:
            later = self.hour + timedelta(hours=1)
            found += [WebhookEvent.received_at >= self.hour, WebhookEvent.received_at < later]
        return found

    def holding(self) -> list[ColumnElement[bool]]:
        """The text: a number, an id, words, as they are or as JSON escapes them."""
        if not self.text:
            return []
        newest = (
            select(WebhookEvent.id)
            .where(*self.criteria(), *self.place())
            .order_by(WebhookEvent.received_at.desc(), WebhookEvent.id.desc())
            .limit(SEARCHED)
        )
        forms = {self.text.encode(), json.dumps(self.text)[1:-1].encode()}
        found = [func.position(literal(form).op("IN")(WebhookEvent.body)) > 0 for form in forms]
        return [WebhookEvent.id.in_(newest), or_(*found)]

    def place(self) -> list[ColumnElement[bool]]:
        """Where the page begins."""
        if self.before is None:
            return []
        at, row_id = self.before
        here = tuple_(WebhookEvent.received_at, WebhookEvent.id) < tuple_(at, row_id)
        # The index knows the time alone.
        return [WebhookEvent.received_at <= at, here]


@dataclass(frozen=True)
class BodyPage:
    """A part of a body as text; `pretty` tells whether it was set out as JSON."""

    text: str
    number: int
    pages: int
    pretty: bool


def list_deliveries(query: LedgerQuery) -> tuple[Sequence[tuple[WebhookEvent, int]], bool]:
    """(row without its body, bytes of the body), the newest first; and whether there is more."""
    statement = _rows().where(*query.criteria(), *query.place(), *query.holding())
    order = (WebhookEvent.received_at.desc(), WebhookEvent.id.desc())
    rows = db.session.execute(statement.order_by(*order).limit(PAGE + 1)).all()
    return [(row, size) for row, size in rows[:PAGE]], len(rows) > PAGE


def load_delivery(delivery_id: int, *, lock: bool = False) -> WebhookEvent:
    statement = select(WebhookEvent).options(*_light()).where(WebhookEvent.id == delivery_id)
    if lock:
        statement = statement.with_for_update(of=WebhookEvent)
    row = db.session.scalar(statement)
    if row is None:
        raise NotFound
    return row


def size_of(delivery_id: int) -> int:
    return (
        db.session.scalar(
            select(func.octet_length(WebhookEvent.body)).where(WebhookEvent.id == delivery_id)
        )
        or 0
    )


def read_body(delivery_id: int, *, page: int = 1) -> BodyPage:
    """A page of the body: set out as JSON where it is short enough, as it came where not.

    Of a long one only the asked part leaves the database.
    """
    size = size_of(delivery_id)
    if size <= MOST_PRETTY:
        raw = db.session.scalar(select(WebhookEvent.body).where(WebhookEvent.id == delivery_id))
        text, pretty = set_out(bytes(raw or b""))
        pages = max(1, -(-len(text) // BODY_PAGE))
        number = min(max(1, page), pages)
        return BodyPage(text[(number - 1) * BODY_PAGE : number * BODY_PAGE], number, pages, pretty)
    pages = -(-size // BODY_PAGE)
    number = min(max(1, page), pages)
    part = db.session.scalar(
        select(func.substring(WebhookEvent.body, (number - 1) * BODY_PAGE + 1, BODY_PAGE)).where(
            WebhookEvent.id == delivery_id
        )
    )
    return BodyPage(bytes(part or b"").decode("utf-8", "replace"), number, pages, pretty=False)


def set_out(raw: bytes) -> tuple[str, bool]:
    """The JSON with indents; what is none, as it came."""
    try:
        return json.dumps(json.loads(raw), indent=2, ensure_ascii=False), True
    except (ValueError, RecursionError):
        return raw.decode("utf-8", "replace"), False


def set_aside(row: WebhookEvent, *, by: int | None) -> None:
    """There is nothing to be done about it; with None, there is after all."""
    row.set_aside_at = datetime.now(UTC) if by is not None else None
    row.set_aside_by = by
    db.session.flush()


def count_open() -> dict[str, int]:
    """How many deliveries ask for somebody now, whenever they came; at most a thousand each."""
    counts = {}
    for name, criterion in (
        ("trouble", WebhookEvent.status.in_(TROUBLE)),
        ("waiting", WebhookEvent.status == WebhookStatus.WAITING),
    ):
        some = (
            select(WebhookEvent.id)
            .where(
                criterion,
                WebhookEvent.status != WebhookStatus.PROCESSED,
                WebhookEvent.set_aside_at.is_(None),
            )
            .limit(1000)
        )
        counts[name] = db.session.scalar(select(func.count()).select_from(some.subquery())) or 0
    return counts


def _rows() -> Select[Any]:
    return select(WebhookEvent, func.octet_length(WebhookEvent.body)).options(*_light())


def _light() -> tuple[Any, ...]:
    names = joinedload(WebhookEvent.number).load_only(
        WhatsappNumber.display_name, WhatsappNumber.phone_number
    )
    return (defer(WebhookEvent.body), names)
