"""Every name that any test makes the product write into the trail has words for people."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event

from crm.blueprints import audit_words
from crm.models import AuditLog

# Tests of the trail itself write what nobody else would.
loose: set[str] = set()


def unnamed(row: AuditLog) -> list[str]:
    """What the audit page would show as the code has it."""
    found = []
    if audit_words.deed(row.action) == row.action:
        found.append(f"VERBS: {row.action}")
    if row.entity_type and audit_words.thing(row.entity_type) == row.entity_type:
        found.append(f"THINGS: {row.entity_type}")
    if row.error_message and row.error_message not in audit_words.ERRORS:
        found.append(f"ERRORS: {row.error_message}")
    found += [f"DETAILS: {name}" for name in row.meta or {} if name not in audit_words.DETAILS]
    for name in row.changes or {}:
        if audit_words.find_field(name, row.entity_type) is None:
            found.append(f"FIELDS: {name} of {row.entity_type}")
    return found


def hold_names() -> None:
    """From now on a row with a name that nobody can read fails the test that wrote it."""

    @event.listens_for(AuditLog, "before_insert")
    def look(_mapper: Any, _connection: Any, row: AuditLog) -> None:
        assert loose or not unnamed(row), (
            f"give these words in crm/blueprints/audit_words.py: {unnamed(row)}"
        )
