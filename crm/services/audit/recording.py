"""Writes the trail: who did what, in the transaction that does it.

    before = audit.snapshot(campaign)
    ...
    audit.record("campaigns.update", campaign, before=before)

A deed that is rolled back leaves no row; a refusal is recorded by the door in a transaction of its
own. Who asks, from where, is read from `bind`'s source, so that no service has to pass it along.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from sqlalchemy import inspect

from crm.db import Model, db
from crm.lib.text import clean, clean_json
from crm.models import AuditLog

# Columns whose value never enters the trail; that it changed does.
SECRET_WORDS = ("password", "secret", "token", "api_key")
# Tables about customers, what is noted about them too: their words are kept as a keyed hash, so
# that a person can be erased from the product without touching the trail, while two rows still
# tell "the same value".
PERSONAL_TABLES = {"clients", "client_identities", "client_tags", "chat_notes"}
# They move by themselves and would stand in every row.
UNTOLD = {
    "id", "created_at", "updated_at", "created_by", "last_activity_at", "last_login_at",
    "failed_login_attempts", "locked_until", "last_two_factor_step", "last_two_factor_at", "lapses",
    "total_messages_sent", "total_messages_received",
}  # fmt: skip
LONGEST_TEXT = 2000

HIDDEN = "hidden"


@dataclass(frozen=True)
class Origin:
    """Who asks, from where. All None for jobs and commands."""

    user_id: int | None = None
    address: str | None = None
    agent: str | None = None
    method: str | None = None
    url: str | None = None
    session_id: int | None = None


@dataclass(frozen=True)
class Secret:
    """Stands for a secret in a snapshot: equal for equal secrets, and shown as one word."""

    fingerprint: str


Snapshot = dict[str, Any]


class _Binding:
    """What the application gives at its start: the key, and how to learn who asks."""

    key: bytes = b""
    origin: Callable[[], Origin] = Origin


_bound = _Binding()


def bind(*, key: bytes, origin: Callable[[], Origin]) -> None:
    _bound.key = key
    _bound.origin = origin


def record(
    action: str,
    entity: Model | tuple[str, int | None] | None = None,
    *,
    before: Snapshot | None = None,
    after: Snapshot | None = None,
    reason: str | None = None,
    meta: dict[str, Any] | None = None,
    user_id: int | None = None,
    success: bool = True,
    error: str | None = None,
) -> AuditLog | None:
    """Add a row; None, and no row, where `before` is given and nothing differs.

    `entity` is a row or `("chats", 7)`. With `before` alone, `after` is taken from the row.
    `user_id` names who did it where that is not the signed-in person (signing in, a command).
    `reason` is what the person typed. A creation gives `after` only, a deletion `before` and
    `after={}`.
    """
    if isinstance(entity, Model):
        db.session.flush()
        if before is not None and after is None:
            after = snapshot(entity)
    changes = difference(before or {}, after or {}) if before is not None or after else None
    if before is not None and not changes and success:
        return None
    origin = _bound.origin()
    name, number = _name_of(entity)
    details = {"session_id": origin.session_id, "reason": reason, **(meta or {})}
    known = {key: value for key, value in details.items() if value is not None}
    row = AuditLog(
        user_id=user_id if user_id is not None else origin.user_id,
        action=action[:100],
        entity_type=name,
        entity_id=number,
        changes=changes,
        ip_address=origin.address and origin.address[:50],
        user_agent=origin.agent and clean(origin.agent)[:500],
        request_method=origin.method and origin.method[:10],
        request_url=origin.url and clean(origin.url)[:500],
        meta=clean_json(known) or None,
        success=success,
        error_message=error,
    )
    db.session.add(row)
    return row


def snapshot(row: Model) -> Snapshot:
    """The row's columns as the trail may show them; relationships are the caller's to add."""
    mapper = inspect(row).mapper
    personal = mapper.local_table.name in PERSONAL_TABLES  # type: ignore[attr-defined]
    return {
        attribute.key: _told(attribute.key, getattr(row, attribute.key), personal=personal)
        for attribute in mapper.column_attrs
        if attribute.key not in UNTOLD
    }


def difference(before: Snapshot, after: Snapshot) -> dict[str, dict[str, Any]]:
    """`{"name": {"before": "A", "after": "B"}}` for what differs, in the order of the columns."""
    names = [*before, *(name for name in after if name not in before)]
    return {
        name: {"before": _written(before.get(name)), "after": _written(after.get(name))}
        for name in names
        if before.get(name) != after.get(name)
    }


def keyed_hash(value: str) -> str:
    """'#' and twelve hex digits: the same for the same value in this installation, no way back."""
    digest = hmac.new(_bound.key, value.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
    return f"#{digest[:12]}"


def _told(name: str, value: Any, *, personal: bool) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if any(word in name for word in SECRET_WORDS):
        return Secret(keyed_hash(str(value)))
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, int):
        return value
    if isinstance(value, Decimal | UUID):
        return str(value)
    if personal:
        return keyed_hash(str(value))
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, str):
        return clean(value)[:LONGEST_TEXT]
    if isinstance(value, dict | list):
        return clean_json(value)
    return str(value)[:LONGEST_TEXT]


def _written(value: Any) -> Any:
    return HIDDEN if isinstance(value, Secret) else value


def _name_of(entity: Model | tuple[str, int | None] | None) -> tuple[str | None, int | None]:
    if entity is None:
        return None, None
    if isinstance(entity, Model):
        return entity.__tablename__, entity.id  # type: ignore[attr-defined]
    return entity
