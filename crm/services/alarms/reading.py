"""Who sees which alarms: the bell of every page, the lists, and marking one as seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select, update
from sqlalchemy.orm import contains_eager, joinedload

from crm.db import db
from crm.errors import NotFound
from crm.events import AlarmsChanged, Audience, publish_on_commit
from crm.models import Alarm, CampaignNumber, WhatsappNumber
from crm.permissions import SUPER_ADMIN, Scope
from crm.services.alarms.words import WORDS, Severity

PAGE = 30
MOST_OPEN = 200
SEVERE = tuple(kind for kind, words in WORDS.items() if words.severity is Severity.SEVERE)
NOTICES = tuple(kind for kind, words in WORDS.items() if words.severity is Severity.NOTICE)
# What is over once somebody has seen it.
EVENTS = tuple(kind for kind, words in WORDS.items() if not words.lasts)
# The worst first.
BADNESS = case((Alarm.kind.in_(SEVERE), 0), (Alarm.kind.in_(NOTICES), 2), else_=1)


@dataclass(frozen=True)
class Bell:
    """What stands on every page: how many nobody has seen yet, and the newest severe one."""

    count: int = 0
    newest: Alarm | None = None


def visible_alarms(scope: Scope) -> ColumnElement[bool]:
    """The SQL criterion on Alarm: all, or what concerns everybody and one's own campaigns."""
    if scope.role == SUPER_ADMIN or scope.can("numbers.create"):
        return Alarm.id.is_not(None)
    of_number = exists().where(
        CampaignNumber.whatsapp_number_id == Alarm.whatsapp_number_id,
        CampaignNumber.campaign_id.in_(scope.campaign_ids),
    )
    return and_(
        or_(Alarm.whatsapp_number_id.is_(None), of_number),
        or_(Alarm.campaign_id.is_(None), Alarm.campaign_id.in_(scope.campaign_ids)),
    )


def find_bell(scope: Scope) -> Bell:
    """One statement: every page asks it."""
    unseen = (visible_alarms(scope), Alarm.ended_at.is_(None), Alarm.acknowledged_at.is_(None))
    rows = db.session.execute(
        select(Alarm, func.count().over())
        .outerjoin(WhatsappNumber, WhatsappNumber.id == Alarm.whatsapp_number_id)
        .options(contains_eager(Alarm.number))
        .where(*unseen)
        .order_by(BADNESS, Alarm.opened_at.desc())
        .limit(1)
    ).first()
    if rows is None:
        return Bell()
    alarm, count = rows
    return Bell(count, alarm if alarm.kind in SEVERE else None)


def list_open(scope: Scope) -> Sequence[Alarm]:
    """What goes on, unseen and worst first."""
    return db.session.scalars(
        _with_names()
        .where(visible_alarms(scope), Alarm.ended_at.is_(None))
        .order_by(Alarm.acknowledged_at.is_not(None), BADNESS, Alarm.opened_at.desc())
        .limit(MOST_OPEN)
    ).all()


def list_open_of(scope: Scope, number_id: int) -> Sequence[Alarm]:
    """What goes on at one number, the worst first."""
    return db.session.scalars(
        _with_names()
        .where(
            visible_alarms(scope),
            Alarm.ended_at.is_(None),
            Alarm.whatsapp_number_id == number_id,
        )
        .order_by(BADNESS, Alarm.opened_at.desc())
        .limit(MOST_OPEN)
    ).all()


def list_past(scope: Scope, *, before_id: int | None = None) -> tuple[Sequence[Alarm], bool]:
    """What is over, the newest opened first; and whether there is more."""
    statement = _with_names().where(visible_alarms(scope), Alarm.ended_at.is_not(None))
    if before_id is not None:
        statement = statement.where(Alarm.id < before_id)
    rows = db.session.scalars(statement.order_by(Alarm.id.desc()).limit(PAGE + 1)).all()
    return rows[:PAGE], len(rows) > PAGE


def load_alarm(scope: Scope, alarm_id: int) -> Alarm:
    alarm = db.session.scalar(_with_names().where(Alarm.id == alarm_id, visible_alarms(scope)))
    if alarm is None:
        raise NotFound
    return alarm


def load_for_email(alarm_id: int) -> Alarm | None:
    return db.session.scalar(_with_names().where(Alarm.id == alarm_id))


def acknowledge(alarm: Alarm, *, by: int) -> None:
    """Somebody has seen it: it leaves the bell, and a mere event is over. The first one stands."""
    _acknowledge(Alarm.id == alarm.id, by=by)
    db.session.refresh(alarm)


def acknowledge_all(scope: Scope, *, by: int) -> int:
    """Everything that this person sees; how many."""
    return _acknowledge(visible_alarms(scope), by=by)


def _acknowledge(which: ColumnElement[bool], *, by: int) -> int:
    now = func.clock_timestamp()
    seen = db.session.scalars(
        update(Alarm)
        .where(which, Alarm.ended_at.is_(None), Alarm.acknowledged_at.is_(None))
        .values(
            acknowledged_by=by,
            acknowledged_at=now,
            ended_at=case((Alarm.kind.in_(EVENTS), now), else_=None),
        )
        .returning(Alarm.id)
        .execution_options(synchronize_session=False)
    ).all()
    if seen:
        publish_on_commit(AlarmsChanged(), Audience())
    return len(seen)


def _with_names():  # type: ignore[no-untyped-def]
    return select(Alarm).options(
        joinedload(Alarm.number).load_only(
            WhatsappNumber.display_name, WhatsappNumber.phone_number
        ),
        joinedload(Alarm.acknowledger),
    )
