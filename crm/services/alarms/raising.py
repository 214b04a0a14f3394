"""Opens and ends alarms, in one statement each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy import func, select, text, update

from crm.db import db
from crm.doorbell import ring_on_commit
from crm.events import AlarmsChanged, Audience, publish_on_commit
from crm.models import Alarm, AlarmKind, EmailKind
from crm.permissions import find_holders, scope_of
from crm.services import emails
from crm.services.alarms.reading import visible_alarms
from crm.services.alarms.words import WORDS, Severity, words_of

log = structlog.get_logger(__name__)

# A source that cries a hundred times a second is one recurrence in this time: the row must not
# become the lock at which all of them queue.
QUIET_SECONDS = 10
# A trouble that comes and goes is e-mailed once in this time.
EMAIL_SECONDS = 3600

RAISE = text("""
    INSERT INTO alarms (kind, subject, whatsapp_number_id, campaign_id, facts, opened_at,
                        last_seen_at)
    SELECT :kind, :subject, :number_id, :campaign_id, CAST(:facts AS jsonb), clock_timestamp(),
           clock_timestamp()
    WHERE NOT EXISTS (
        SELECT FROM alarms
        WHERE kind = :kind AND subject = :subject AND ended_at IS NULL
          AND facts = CAST(:facts AS jsonb)
          AND last_seen_at > clock_timestamp() - make_interval(secs => :quiet))
    ON CONFLICT (kind, subject) WHERE ended_at IS NULL DO UPDATE
    SET last_seen_at = clock_timestamp(), count = alarms.count + 1, facts = excluded.facts,
        whatsapp_number_id = COALESCE(excluded.whatsapp_number_id, alarms.whatsapp_number_id),
        campaign_id = COALESCE(excluded.campaign_id, alarms.campaign_id),
        acknowledged_at = CASE WHEN NOT :renew THEN alarms.acknowledged_at END,
        acknowledged_by = CASE WHEN NOT :renew THEN alarms.acknowledged_by END
    RETURNING id, xmax = 0 AS opened
""")


def raise_alarm(
    kind: AlarmKind,
    *,
    subject: str = "",
    number_id: int | None = None,
    campaign_id: int | None = None,
    facts: Mapping[str, Any] | None = None,
    renew: bool = False,
) -> bool:
    """Open the alarm, or note that it goes on; True if it was opened just now.

    `facts` are the values of its words (plain JSON). With `number_id` or `campaign_id` only the
    people of those campaigns, and who looks after all numbers, are told. `renew`: it got worse, so
    that who has seen it must see it again.
    """
    row = db.session.execute(
        RAISE,
        {
            "kind": kind,
            "subject": subject[:200],
            "number_id": number_id,
            "campaign_id": campaign_id,
            "facts": json.dumps(dict(facts or {}), sort_keys=True, default=str),
            "quiet": QUIET_SECONDS,
            "renew": renew,
        },
    ).one_or_none()
    if row is None:
        return False
    if not row.opened:
        if renew:
            publish_on_commit(AlarmsChanged(), Audience())
        return False
    log.warning("alarm_opened", kind=str(kind), subject=subject, number_id=number_id)
    publish_on_commit(AlarmsChanged(), Audience())
    if words_of(kind).severity is Severity.SEVERE:
        ring_on_commit("alarms.announce", row.id)
    return True


def end_alarm(kind: AlarmKind, *, subject: str = "") -> bool:
    """It is mended; True if the alarm was open."""
    ended = db.session.execute(
        update(Alarm)
        .where(Alarm.kind == kind, Alarm.subject == subject[:200], Alarm.ended_at.is_(None))
        .values(ended_at=func.clock_timestamp())
        .returning(Alarm.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if ended is None:
        return False
    log.info("alarm_ended", kind=str(kind), subject=subject)
    publish_on_commit(AlarmsChanged(), Audience())
    return True


def end_alarms_of(number_id: int) -> None:
    """The number is gone, and with it whatever was wrong with it."""
    ended = db.session.execute(
        update(Alarm)
        .where(Alarm.whatsapp_number_id == number_id, Alarm.ended_at.is_(None))
        .values(ended_at=func.clock_timestamp())
        .returning(Alarm.id)
        .execution_options(synchronize_session=False)
    ).all()
    if ended:
        publish_on_commit(AlarmsChanged(), Audience())


def find_unannounced() -> list[int]:
    """Open severe alarms of which nobody has been told by e-mail yet."""
    severe = [kind for kind, words in WORDS.items() if words.severity is Severity.SEVERE]
    statement = select(Alarm.id).where(
        Alarm.ended_at.is_(None), Alarm.announced_at.is_(None), Alarm.kind.in_(severe)
    )
    return list(db.session.scalars(statement.order_by(Alarm.id).limit(100)))


def announce(alarm_id: int) -> int:
    """Queue e-mails to everybody whom the alarm concerns, once; how many.

    Nobody for a trouble that comes and goes: of its kind and subject one is announced in an hour.
    """
    alarm = db.session.scalar(
        update(Alarm)
        .where(Alarm.id == alarm_id, Alarm.announced_at.is_(None))
        .values(announced_at=func.clock_timestamp())
        .returning(Alarm)
    )
    if alarm is None or alarm.ended_at is not None or _told_lately(alarm):
        return 0
    told = 0
    for user in find_holders("alarms.read"):
        if db.session.scalar(
            select(Alarm.id).where(Alarm.id == alarm.id, visible_alarms(scope_of(user)))
        ):
            emails.queue_email(EmailKind.ALARM, user, alarm_id=alarm.id)
            told += 1
    return told


def _told_lately(alarm: Alarm) -> bool:
    same = select(Alarm.id).where(
        Alarm.kind == alarm.kind,
        Alarm.subject == alarm.subject,
        Alarm.id != alarm.id,
        Alarm.announced_at > func.now() - text(f"interval '{EMAIL_SECONDS} seconds'"),
    )
    return db.session.scalar(same.limit(1)) is not None
