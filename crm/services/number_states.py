"""How a number is, in a word: what its row says, and the worst alarm that is open about it.

The row's `active` means that it is switched on and that its provider has not refused it; a
restricted account or an unpaid bill is an alarm beside it. Whoever shows how a number is asks here,
so that lists, forms and the inbox say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, and_, case, func, select

from crm.db import db
from crm.models import Alarm, NumberStatus, WhatsappNumber
from crm.services.alarms.reading import BADNESS, SEVERE
from crm.services.alarms.words import BRIEF

# The provider refuses it, or its phone is lost: nothing leaves, with an alarm or without.
BROKEN = (NumberStatus.ERROR, NumberStatus.DISCONNECTED)


class Verdict(StrEnum):
    """The worst first. `trouble`: messages do not go or come, and somebody has to act."""

    TROUBLE = "trouble"
    PAUSED = "paused"
    PENDING = "pending"
    ACTIVE = "active"
    INACTIVE = "inactive"


@dataclass(frozen=True)
class NumberState:
    """`alarm`: the kind of the worst one that is open, severe or not; None where all is well."""

    name: str
    verdict: Verdict
    status: NumberStatus
    is_paused: bool = False
    alarm: str | None = None

    @property
    def holds(self) -> bool:
        """Whether what is written now waits: an alarm alone stops nothing."""
        return self.is_paused or self.status is not NumberStatus.ACTIVE

    @property
    def is_severe(self) -> bool:
        return self.alarm in SEVERE


def worst_alarm() -> ScalarSelect[str | None]:
    """The kind of the worst open alarm of WhatsappNumber: a column for a SELECT."""
    return (
        select(Alarm.kind)
        .where(
            Alarm.whatsapp_number_id == WhatsappNumber.id,
            Alarm.ended_at.is_(None),
            Alarm.kind.in_(BRIEF),
        )
        .order_by(BADNESS, Alarm.opened_at.desc())
        .limit(1)
        .correlate(WhatsappNumber)
        .scalar_subquery()
    )


def verdict() -> ColumnElement[str]:
    """The Verdict of WhatsappNumber: a column for a SELECT, a criterion for a list."""
    return case(
        (WhatsappNumber.status == NumberStatus.INACTIVE, Verdict.INACTIVE.value),
        (
            WhatsappNumber.status.in_(BROKEN) | func.coalesce(worst_alarm().in_(SEVERE), False),
            Verdict.TROUBLE.value,
        ),
        (WhatsappNumber.sending_paused_at.is_not(None), Verdict.PAUSED.value),
        (WhatsappNumber.status == NumberStatus.PENDING, Verdict.PENDING.value),
        else_=Verdict.ACTIVE.value,
    )


def badness() -> ColumnElement[int]:
    """For ORDER BY: what needs somebody first."""
    return case({one.value: rank for rank, one in enumerate(Verdict)}, value=verdict())


def find_states(number_ids: Iterable[int]) -> Mapping[int, NumberState]:
    """The states of these numbers; one statement however many."""
    return _find(WhatsappNumber.id.in_(list(number_ids)))


def find_troubled(visible: ColumnElement[bool]) -> Mapping[int, NumberState]:
    """Those of a person's numbers for which somebody has to act; one statement."""
    return _find(and_(visible, verdict() == Verdict.TROUBLE.value))


def columns() -> tuple[ColumnElement[Any], ...]:
    """What `state_in` reads of a row, for a statement that has WhatsappNumber in it anyway."""
    return (
        func.coalesce(WhatsappNumber.display_name, WhatsappNumber.phone_number).label("number"),
        verdict().label("verdict"),
        WhatsappNumber.status.label("number_status"),
        WhatsappNumber.sending_paused_at.is_not(None).label("is_paused"),
        worst_alarm().label("alarm"),
    )


def state_in(row: Any) -> NumberState:
    return NumberState(
        row.number, Verdict(row.verdict), row.number_status, row.is_paused, row.alarm
    )


def _find(which: ColumnElement[bool]) -> Mapping[int, NumberState]:
    rows = db.session.execute(
        select(WhatsappNumber.id, *columns())
        .where(which)
        .order_by(WhatsappNumber.display_name, WhatsappNumber.id)
    )
    return {row.id: state_in(row) for row in rows}
