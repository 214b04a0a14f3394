"""The tick under a message of ours: what a report from the provider makes of it. Pure functions.

Reports come late, twice and in any order. Whatever the order, the same reports end in the same
tick: the furthest of sent, delivered and read wins; `failed` counts only while nothing better than
sent is known; of two equal reports the earlier time stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from crm.models import MessageStatus, ReceiptStatus

Facts = dict[str, Any]
# Statuses by how far they are; each may tell the price anew.
PRICED = ("", "failed", "sent", "delivered", "read")
# The provider's word -> ours. Voice notes that were played were read before; other words (deleted,
# warning, ringing, ...) say nothing about the tick.
WORDS = {
    "sent": ReceiptStatus.SENT,
    "delivered": ReceiptStatus.DELIVERED,
    "read": ReceiptStatus.READ,
    "played": ReceiptStatus.READ,
    "failed": ReceiptStatus.FAILED,
}


@dataclass(frozen=True, slots=True)
class Tick:
    """What is known of a message of ours.

    `is_refused_by_us` marks a failure that no provider reported (window closed, no way through): we
    may be wrong about it, so that even a late `sent` proves it wrong.
    """

    status: MessageStatus = MessageStatus.PENDING
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    failed_at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None
    is_refused_by_us: bool = False
    # Beside the tick: pricing {category, type, billable, of}, played_at, recipient, errors.
    facts: Facts | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """One word of the provider about a message. The error's message is a msgid in plain words."""

    status: ReceiptStatus
    at: datetime
    error_code: str | None = None
    error_message: str | None = None
    facts: Facts | None = None


def fold(tick: Tick, report: Report) -> Tick:
    """The tick after one more report; the same tick where the report says nothing new."""
    folded = _fold_status(tick, report)
    if not report.facts:
        return folded
    return replace(folded, facts=merge_facts(tick.facts or {}, report.facts))


def merge_facts(known: Facts, told: Facts) -> Facts:
    """Both together, the same in any order: the price of the furthest status, the first playing."""
    merged = {**told, **known}
    prices = [facts["pricing"] for facts in (known, told) if facts.get("pricing")]
    if prices:
        merged["pricing"] = max(prices, key=lambda price: PRICED.index(price.get("of", "")))
    played = [facts["played_at"] for facts in (known, told) if facts.get("played_at")]
    if played:
        merged["played_at"] = min(played)
    errors = {error["code"]: error for facts in (told, known) for error in facts.get("errors", [])}
    if errors:
        merged["errors"] = [errors[code] for code in sorted(errors)]
    return merged


def _fold_status(tick: Tick, report: Report) -> Tick:
    if report.status is ReceiptStatus.FAILED:
        return _fold_failure(tick, report)
    status = MessageStatus(report.status.value)
    moved = _with_time(tick, report)
    if tick.status is MessageStatus.FAILED:
        # Failed may come before `sent`, although it happened after it. Only what reached the
        # person proves the provider's own failure wrong.
        is_news = status is not MessageStatus.SENT or tick.is_refused_by_us
    else:
        is_news = status.rank > tick.status.rank
    if not is_news:
        return moved
    return replace(
        moved,
        status=status,
        failed_at=None,
        error_code=None,
        error_message=None,
        is_refused_by_us=False,
    )


def _fold_failure(tick: Tick, report: Report) -> Tick:
    if tick.status in (MessageStatus.DELIVERED, MessageStatus.READ):
        return tick
    if tick.status is MessageStatus.FAILED and not tick.is_refused_by_us and tick.failed_at:
        known = (tick.failed_at, tick.error_code or "")
        if known <= (report.at, report.error_code or ""):
            return tick
    return replace(
        tick,
        status=MessageStatus.FAILED,
        failed_at=report.at,
        error_code=report.error_code,
        error_message=report.error_message,
        is_refused_by_us=False,
    )


def _with_time(tick: Tick, report: Report) -> Tick:
    if report.status is ReceiptStatus.SENT:
        return replace(tick, sent_at=_earlier(tick.sent_at, report.at))
    if report.status is ReceiptStatus.DELIVERED:
        return replace(tick, delivered_at=_earlier(tick.delivered_at, report.at))
    return replace(tick, read_at=_earlier(tick.read_at, report.at))


def _earlier(known: datetime | None, told: datetime) -> datetime:
    return told if known is None else min(known, told)
