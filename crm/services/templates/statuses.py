"""What Meta tells of a template afterwards: state, quality, category, text.

Called by the way in, inside its transaction. Each returns how many rows it changed; news of a
template that is not here yet change nothing, and ask for a sync.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, or_, select

from crm.db import database_now, db
from crm.doorbell import ring_on_commit
from crm.models import Template, TemplateStatus, WhatsappNumber
from crm.services.templates.definition import STATUSES


@dataclass(frozen=True)
class TemplateKey:
    """Which template the news are about: the account, and Meta's id or name and language."""

    account_id: str
    template_id: str | None = None
    name: str | None = None
    language: str | None = None


def apply_template_status(
    key: TemplateKey, *, event: str, reason: str | None = None, detail: str | None = None
) -> int:
    """`event` is Meta's word (APPROVED, REJECTED, PAUSED, ...); an unknown one changes nothing.

    `reason` is Meta's word for a rejection, `detail` what it says beside it (a pause's title, a
    recommendation), shown as it is.
    """
    status = STATUSES.get(event.upper())
    if status is None:
        return 0
    word = (reason or "").upper()
    for row in (rows := _find(key)):
        row.status = status
        rejected = status is TemplateStatus.REJECTED and word not in ("", "NONE")
        row.rejected_reason = word if rejected else None
        row.status_detail = detail
        row.template_id = row.template_id or key.template_id
        row.synced_at = database_now()
    return _changed(rows, key)


def apply_template_quality(key: TemplateKey, *, score: str) -> int:
    """GREEN, YELLOW, RED or UNKNOWN."""
    for row in (rows := _find(key)):
        row.quality_score = score.upper()[:20]
    return _changed(rows, key)


def apply_template_category(
    key: TemplateKey, *, category: str, takes_effect_later: bool = False
) -> int:
    """Meta has put the template into another category, or announces that it will in 24 hours."""
    for row in (rows := _find(key)):
        if takes_effect_later:
            row.next_category = category.upper()[:50]
        else:
            row.category, row.next_category = category.upper()[:50], None
    return _changed(rows, key)


def apply_template_change(key: TemplateKey) -> int:
    """Its text has changed at Meta: the account is read anew."""
    rows = _find(key)
    ring_on_commit("templates.sync", _number_of(key) or 0)
    return len(rows)


def _find(key: TemplateKey) -> list[Template]:
    """One row for each number of the account, locked."""
    criteria: list[ColumnElement[bool]] = []
    if key.template_id:
        criteria.append(Template.template_id == key.template_id)
    if key.name and key.language:
        named = (Template.template_name == key.name) & (Template.language == key.language)
        if key.template_id:
            # Made here a moment ago, and its id has not been written down yet.
            named &= Template.template_id.is_(None)
        criteria.append(named)
    if not criteria:
        return []
    return list(
        db.session.scalars(
            select(Template)
            .join(WhatsappNumber, WhatsappNumber.id == Template.whatsapp_number_id)
            .where(WhatsappNumber.meta_business_account_id == key.account_id, or_(*criteria))
            .order_by(Template.id)
            .with_for_update(of=Template)
        )
    )


def _changed(rows: list[Any], key: TemplateKey) -> int:
    if rows:
        db.session.flush()
    elif number_id := _number_of(key):
        ring_on_commit("templates.sync", number_id)
    return len(rows)


def _number_of(key: TemplateKey) -> int | None:
    return db.session.scalar(
        select(WhatsappNumber.id)
        .where(
            WhatsappNumber.meta_business_account_id == key.account_id,
            WhatsappNumber.deleted_at.is_(None),
        )
        .order_by(WhatsappNumber.id)
        .limit(1)
    )
