"""Receipts as far as a tick needs them: of which message, what they say, what is kept beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from crm.db import database_now
from crm.models import ReceiptStatus
from crm.providers.base import Receipt
from crm.providers.reasons import reason_for
from crm.services.messages.ticks import WORDS, Facts, Report

_OPAQUE = re.compile(
    r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.(\d{1,9})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Told:
    """A receipt as far as the tick needs it."""

    whatsapp_message_id: str
    report: Report
    client_key: UUID | None
    attempt: int | None
    # (kind, value) of identities.
    recipient: tuple[tuple[str, str], ...] = ()


def read_receipts(receipts: Iterable[Receipt]) -> list[Told]:
    """What a provider says of ticks; words that say nothing about one are passed over."""
    told: list[Told] = []
    now: datetime | None = None
    for receipt in receipts:
        status = WORDS.get(receipt.status)
        if status is None:
            continue
        at = receipt.occurred_at
        if at is None:
            at = now = now or database_now()
        key, attempt = read_opaque_id(receipt.opaque_id)
        report = _report(status, at, receipt)
        recipient = _recipient(receipt)
        told.append(Told(receipt.whatsapp_message_id, report, key, attempt, recipient))
    return told


def _recipient(receipt: Receipt) -> tuple[tuple[str, str], ...]:
    """To whom it went; a group is no identity of the one client."""
    if receipt.raw.get("recipient_type") == "group":
        return ()
    pairs = (("user_id", receipt.recipient_user_id), ("wa_id", receipt.recipient_wa_id))
    return tuple((kind, value[:255]) for kind, value in pairs if value)


def _report(status: ReceiptStatus, at: datetime, receipt: Receipt) -> Report:
    facts = _facts(status, at, receipt)
    if status is not ReceiptStatus.FAILED:
        return Report(status, at, facts=facts)
    code = receipt.errors[0].code[:50] if receipt.errors else None
    return Report(status, at, error_code=code, error_message=reason_for(code), facts=facts)


def _facts(status: ReceiptStatus, at: datetime, receipt: Receipt) -> Facts | None:
    """What is kept beside the tick; nothing for the plainest receipts."""
    facts: Facts = {}
    if receipt.pricing:
        priced = {key: receipt.pricing.get(key) for key in ("category", "type", "billable")}
        facts["pricing"] = {**priced, "of": status.value}
    if receipt.status == "played":
        facts["played_at"] = at.isoformat()
    if receipt.errors:
        facts["errors"] = [
            {"code": error.code, "title": error.title, "details": error.details or error.message}
            for error in receipt.errors
        ]
    return facts or None


def read_opaque_id(opaque_id: str | None) -> tuple[UUID | None, int | None]:
    """`<client_key>.<attempt>` in its parts; (None, None) for anything that is not ours."""
    match = _OPAQUE.fullmatch(opaque_id or "")
    return (UUID(match[1]), int(match[2])) if match else (None, None)


def read_early(rows: Iterable[Any]) -> list[Told]:
    """What waited in `early_receipts`, as it was told."""
    told = []
    for row in rows:
        data = row.data or {}
        report = Report(
            ReceiptStatus(row.status),
            row.occurred_at,
            error_code=data.get("error_code"),
            error_message=data.get("error_message"),
            facts=data.get("facts"),
        )
        told.append(Told(row.whatsapp_message_id, report, row.client_key, data.get("attempt")))
    return told
