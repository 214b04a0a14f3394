"""The read side of the trail: its page, its detail, its export."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, select

from crm.db import Model, db
from crm.errors import NotFound
from crm.models import (
    AuditLog,
    Campaign,
    Queue,
    QuickReply,
    Role,
    RoutingRule,
    Tag,
    Template,
    User,
    WhatsappNumber,
)

PAGE_SIZE = 50
MOST_EXPORTED = 50_000
# A spreadsheet takes a cell that begins so for a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\x00")


@dataclass(frozen=True)
class AuditFilter:
    """What is asked for; None = all. `until` is exclusive."""

    user_id: int | None = None
    entity_type: str | None = None
    entity_id: int | None = None
    action: str | None = None
    address: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    failed_only: bool = False


def list_audit(wanted: AuditFilter, *, before_id: int | None = None) -> tuple[list[Row], bool]:
    """(row, user) of a page, newest first, and whether there are older ones.

    By the id of the last one shown, not by page number: the trail grows while somebody reads.
    """
    query = _query(wanted).order_by(AuditLog.id.desc()).limit(PAGE_SIZE + 1)
    if before_id is not None:
        query = query.where(AuditLog.id < before_id)
    rows = list(db.session.execute(query).all())
    return rows[:PAGE_SIZE], len(rows) > PAGE_SIZE


def load_audit(audit_id: int) -> Row:
    row = db.session.execute(_query(AuditFilter()).where(AuditLog.id == audit_id)).one_or_none()
    if row is None:
        raise NotFound
    return row


def export_audit(wanted: AuditFilter, *, delimiter: str = ";") -> Iterator[str]:
    """CSV by lines, with a byte-order mark so that Excel reads the accents."""
    yield "\ufeff" + csv_line(
        ("id", "time", "user", "email", "action", "entity", "entity_id", "success", "address",
         "method", "url", "agent", "changes", "details", "error", "position", "seal"),
        delimiter,
    )  # fmt: skip
    query = _query(wanted).order_by(AuditLog.id.desc()).limit(MOST_EXPORTED)
    for row, user in db.session.execute(query.execution_options(yield_per=500)):
        yield csv_line(
            (
                row.id,
                row.created_at.isoformat(),
                user.full_name if user else "",
                user.email if user else "",
                row.action,
                row.entity_type,
                row.entity_id,
                row.success,
                row.ip_address,
                row.request_method,
                row.request_url,
                row.user_agent,
                _json(row.changes),
                _json(row.meta),
                row.error_message,
                row.position,
                row.seal,
            ),
            delimiter,
        )


def csv_line(cells: Iterable[Any], delimiter: str) -> str:
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter).writerow([safe_cell(cell) for cell in cells])
    return line.getvalue()


def safe_cell(value: Any) -> str:
    """The text of a cell that no spreadsheet takes for a formula."""
    written = "" if value is None else str(value)
    return f"'{written}" if written.startswith(FORMULA_STARTS) else written


# How people call a row of these; customers are not named here, nor what is said of them.
NAMES: dict[str, ColumnElement[str]] = {
    "users": User.first_name + " " + User.last_name,
    "roles": Role.display_name.expression,
    "campaigns": Campaign.name.expression,
    "queues": Queue.name.expression,
    "routing_rules": RoutingRule.name.expression,
    "whatsapp_numbers": func.coalesce(WhatsappNumber.display_name, WhatsappNumber.phone_number),
    "quick_replies": QuickReply.shortcut.expression,
    "templates": Template.template_name.expression,
    "tags": Tag.label.expression,
}


def find_names(
    things: Iterable[tuple[str | None, int | None]],
) -> dict[tuple[str | None, int | None], str]:
    """(table, id) -> what it is called today; one statement for each table that has a name."""
    wanted: dict[str, set[int]] = {}
    for table, number in things:
        if table in NAMES and number is not None:
            wanted.setdefault(table, set()).add(number)
    found: dict[tuple[str | None, int | None], str] = {}
    for table, ids in wanted.items():
        key = Model.metadata.tables[table].c.id
        for number, name in db.session.execute(select(key, NAMES[table]).where(key.in_(ids))):
            found[table, number] = name
    return found


def list_authors() -> list[Row]:
    """(id, first name, last name) of the people who may stand in the trail, for the filter."""
    people = (
        select(User.id, User.first_name, User.last_name)
        .where(User.is_system.is_(False))
        .order_by(User.first_name, User.last_name, User.id)
        .limit(500)
    )
    return list(db.session.execute(people).all())


def list_actions() -> list[str]:
    """Every action that stands in the trail, for the filter; by an index, not by reading it all."""
    found: list[str] = []
    last = ""
    while len(found) < 300:
        following = db.session.scalar(
            select(AuditLog.action).where(AuditLog.action > last).order_by(AuditLog.action).limit(1)
        )
        if following is None:
            return found
        found.append(following)
        last = following
    return found


def _query(wanted: AuditFilter) -> Select[AuditLog, User]:
    conditions: list[ColumnElement[bool]] = []
    for column, value in (
        (AuditLog.user_id, wanted.user_id),
        (AuditLog.entity_type, wanted.entity_type),
        (AuditLog.entity_id, wanted.entity_id),
        (AuditLog.action, wanted.action),
        (AuditLog.ip_address, wanted.address),
    ):
        if value is not None:
            conditions.append(column == value)
    if wanted.since is not None:
        conditions.append(AuditLog.created_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(AuditLog.created_at < wanted.until)
    if wanted.failed_only:
        conditions.append(AuditLog.success.is_(False))
    return select(AuditLog, User).outerjoin(User, User.id == AuditLog.user_id).where(*conditions)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if value else ""
