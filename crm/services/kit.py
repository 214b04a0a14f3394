"""What every admin area asks of its services: lists by page, versions of a form, wrong fields."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, false, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on

from crm.db import db
from crm.errors import Invalid
from crm.lib.text import fold
from crm.models import AuditLog, User

PAGE_SIZE = 25
# The embedded Postgres has neither unaccent nor ICU: the letters of our languages are folded here.
ACCENTED = "áàâãäéèêëíìîïóòôõöúùûüñç"
PLAIN = "aaaaaeeeeiiiiooooouuuunc"


class WrongField(Invalid):
    """A value that only the stored rows can judge; the form shows it beside that field."""

    code = "wrong_field"

    def __init__(self, message: str, *, field_name: str, **values: object) -> None:
        super().__init__(message, **values)
        self.field_name = field_name


@dataclass(frozen=True)
class ListQuery:
    """What the address of a list asks for. `sort` is a name the list knows, "" its own order."""

    text: str = ""
    filters: Mapping[str, str] = field(default_factory=dict)
    sort: str = ""
    descending: bool = False
    page: int = 1


@dataclass(frozen=True)
class Page:
    """One page of rows, and where it stands in all of them."""

    rows: list[Any]
    total: int
    number: int
    size: int = PAGE_SIZE

    @property
    def first(self) -> int:
        return (self.number - 1) * self.size + 1 if self.total else 0

    @property
    def last(self) -> int:
        return min(self.number * self.size, self.total)

    @property
    def pages(self) -> int:
        return max(1, math.ceil(self.total / self.size))


def find_page(
    statement: Any,
    query: ListQuery,
    *,
    search: Sequence[Any],
    sorts: Mapping[str, Any],
    default: Sequence[Any],
    key: Any,
) -> Page:
    """The page of `statement` (a select of one or more entities) that the address asks for.

    Two statements whatever the number of rows. `sorts` maps the names that may stand in the address
    to columns; `key` (the id) breaks ties, so that no row falls between two pages. A page beyond
    the end is the last one.
    """
    if query.text:
        statement = statement.where(matches(query.text, search))
    counted = statement.order_by(None).with_only_columns(key).subquery()
    total = db.session.scalar(select(func.count()).select_from(counted)) or 0
    number = min(max(1, query.page), max(1, math.ceil(total / PAGE_SIZE)))
    column = sorts.get(query.sort)
    if column is None:
        order = [*default, key]
    else:
        order = [column.desc() if query.descending else column.asc(), key]
    statement = statement.order_by(*order).limit(PAGE_SIZE).offset((number - 1) * PAGE_SIZE)
    rows = db.session.execute(statement).all()
    return Page([row[0] if len(row) == 1 else row for row in rows], total, number)


def matches(text: str, columns: Sequence[Any]) -> ColumnElement[bool]:
    """Every word of `text` is in one of the columns, capitals and accents aside."""
    criterion: ColumnElement[bool] | None = None
    for word in fold(text).split()[:8]:
        found = or_(
            *(
                func.translate(func.lower(column), ACCENTED, PLAIN).contains(word, autoescape=True)
                for column in columns
            )
        )
        criterion = found if criterion is None else criterion & found
    return false() if criterion is None else criterion


def version_of(state: Mapping[str, Any]) -> str:
    """A short print of each field of `state`: 'name:1a2b3c4d5e code:...'.

    It travels in the form. Prints by field, not one `updated_at` for the row, so that the form
    can say what the other person changed, and so that columns which move by themselves (a
    number's status, counters) are no conflict.
    """
    return " ".join(f"{name}:{_print(value)}" for name, value in sorted(state.items()))


def fields_changed(version: str, state: Mapping[str, Any]) -> set[str]:
    """The fields of `state` whose print is not the one in `version`."""
    known = dict(part.partition(":")[::2] for part in version.split())
    return {name for name, value in state.items() if known.get(name) != _print(value)}


def _print(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


@dataclass(frozen=True)
class LastChange:
    """Who changed a thing last; `name` is None for what nobody did by hand."""

    name: str | None
    at: datetime


def find_last_changes(entity_type: str, ids: Iterable[int]) -> dict[int, LastChange]:
    """The newest deed that changed each of these, from the audit trail. One statement.

    Signing in is a deed on an account, too, and changes nothing of it.
    """
    wanted = list(ids)
    if not wanted:
        return {}
    rows = db.session.execute(
        select(AuditLog.entity_id, AuditLog.created_at, User.first_name, User.last_name)
        .ext(distinct_on(AuditLog.entity_id))
        .outerjoin(User, User.id == AuditLog.user_id)
        .where(
            AuditLog.entity_type == entity_type,
            AuditLog.entity_id.in_(wanted),
            AuditLog.success.is_(True),
            AuditLog.changes.is_not(None),
        )
        .order_by(AuditLog.entity_id, AuditLog.created_at.desc(), AuditLog.id.desc())
    )
    return {
        row.entity_id: LastChange(
            f"{row.first_name} {row.last_name}".strip() if row.first_name else None,
            row.created_at,
        )
        for row in rows
    }
