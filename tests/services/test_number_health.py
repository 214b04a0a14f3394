"""What numbers did by hour, what Meta says of them, and numbers that have fallen silent."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select, text

from crm.db import atomic, db
from crm.jobs import numbers as jobs
from crm.lib.clock import utcnow
from crm.models import (
    Alarm,
    AlarmKind,
    Direction,
    MessageStatus,
    MessageType,
    NumberDay,
    WhatsappNumber,
)
from crm.providers.meta.management import ManagementError
from crm.providers.meta.setup import NumberFacts
from crm.services import number_figures, number_health, sending
from crm.services.hours import DEFAULT_ZONE
from crm.services.settings import write_settings
from tests.factories import make_campaign, make_chat, make_message, make_number


@pytest.fixture
def number(database: Flask) -> WhatsappNumber:
    number = make_number(campaign=make_campaign())
    db.session.commit()
    return number


def fresh(number: WhatsappNumber) -> WhatsappNumber:
    """A job ends its session, and with it every row that a test holds."""
    return db.session.get_one(WhatsappNumber, number.id, populate_existing=True)


def open_alarms() -> dict[str, Alarm]:
    db.session.rollback()
    db.session.expire_all()
    rows = db.session.scalars(select(Alarm).where(Alarm.ended_at.is_(None)))
    return {alarm.kind: alarm for alarm in rows}


def test_figures_are_counted_from_the_messages(number: WhatsappNumber) -> None:
    with atomic():
        chat = make_chat(campaign=number.campaign_links[0].campaign, number=number)
        out = {"direction": Direction.OUTBOUND}
        for status in ("sent", "delivered", "read", "failed", "pending"):
            make_message(chat, status=MessageStatus(status), **out)
        make_message(chat, status=MessageStatus.SENT, message_type=MessageType.TEMPLATE, **out)
        make_message(chat, direction=Direction.INBOUND, status=MessageStatus.DELIVERED)
        # An hour that a slow machine may reach in the middle of the test is none of today's.
        db.session.execute(text("UPDATE messages SET created_at = now()"))
    jobs.count(utcnow().isoformat())
    figures = number_figures.find_figures([number.id])[number.id]
    assert (figures.sent_today, figures.received_today) == (4, 1)
    assert sum(sent for _hour, sent, _received in figures.hours) == 4
    jobs.total(utcnow().isoformat())
    row = fresh(number)
    assert (row.total_messages_sent, row.total_messages_received) == (4, 1)
    assert row.last_message_at is not None


def test_the_limit_and_the_free_ones_are_those_that_delivery_counts(number: WhatsappNumber) -> None:
    today = utcnow().astimezone(ZoneInfo(DEFAULT_ZONE)).date()
    with atomic():
        for day, sent, counted in ((today, 9, 2), (today - timedelta(days=62), 50, 5)):
            row = {"whatsapp_number_id": number.id, "day": day, "sent": sent, "counted": counted}
            db.session.add(NumberDay(**row))
    figures = number_figures.find_figures([number.id])[number.id]
    assert (figures.counted_today, figures.free_this_month) == (2, 7)


def test_totals_follow_statuses_that_moved_later(number: WhatsappNumber) -> None:
    with atomic():
        chat = make_chat(campaign=number.campaign_links[0].campaign, number=number)
        make_message(chat, direction=Direction.OUTBOUND, status=MessageStatus.SENT)
        db.session.execute(text("UPDATE messages SET created_at = now() - interval '5 hours'"))
    jobs.count(utcnow().isoformat())
    with atomic():
        db.session.execute(text("UPDATE messages SET status = 'failed'"))
    jobs.total(utcnow().isoformat())
    jobs.total((utcnow() + timedelta(hours=1)).isoformat())
    assert fresh(number).total_messages_sent == 0


def facts(**changes: object) -> NumberFacts:
    given = {
        "phone_number_id": "1", "phone": "+57 601", "name": "Ventas", "quality": "GREEN",
        "tier": "TIER_2K", "status": "CONNECTED",
    }  # fmt: skip
    return NumberFacts(**{**given, **changes})  # type: ignore[arg-type]


def apply(number: WhatsappNumber, said: NumberFacts | ManagementError) -> dict[str, Alarm]:
    with atomic():
        number_health.apply(number.id, said)
    return open_alarms()


def test_low_quality_and_a_changed_limit_alarm(number: WhatsappNumber) -> None:
    assert apply(number, facts()) == {}
    told = apply(number, facts(quality="RED", tier="TIER_10K"))
    assert set(told) == {AlarmKind.NUMBER_QUALITY_LOW, AlarmKind.NUMBER_LIMIT_CHANGED}
    assert told[AlarmKind.NUMBER_LIMIT_CHANGED].facts == {"limit": "10K"}
    assert set(apply(number, facts(tier="TIER_10K"))) == {AlarmKind.NUMBER_LIMIT_CHANGED}
    assert (number.meta_quality_rating, number.meta_messaging_tier) == ("GREEN", "TIER_10K")


def test_what_meta_does_not_say_stays_as_it_was(number: WhatsappNumber) -> None:
    apply(number, facts())
    apply(number, facts(name="", quality=None, tier=None))
    db.session.expire_all()
    kept = (number.meta_verified_name, number.meta_quality_rating, number.meta_messaging_tier)
    assert kept == ("Ventas", "GREEN", "TIER_2K")


def test_a_token_that_is_over_alarms_and_a_moment_of_silence_does_not(
    number: WhatsappNumber,
) -> None:
    assert apply(number, ManagementError("WhatsApp could not be reached.", code="not_sent")) == {}
    health = number_health.find_health(number.id)
    assert health is not None
    assert health.refresh_error == "WhatsApp could not be reached."
    assert set(apply(number, ManagementError("x", code="463"))) == {AlarmKind.TOKEN_EXPIRED}
    assert apply(number, facts()) == {}


@pytest.mark.parametrize(("also", "status"), [(None, "active"), ("131031", "error")])
def test_a_new_token_lets_a_number_go_on_before_anybody_writes(
    number: WhatsappNumber, also: str | None, status: str
) -> None:
    """Unless something else stops it, too."""
    for code in filter(None, ("190", also)):
        with atomic():
            sending.stop_number(number.id, code=code, reason="x", seconds=3600, tries=1)
    assert fresh(number).status == "error"
    assert AlarmKind.TOKEN_EXPIRED not in apply(number, facts())
    assert fresh(number).status == status


def test_silence_in_business_hours_alarms_until_somebody_writes(number: WhatsappNumber) -> None:
    with atomic():
        number.last_message_at = utcnow() - timedelta(hours=9)
    jobs.watch(utcnow().isoformat())
    assert open_alarms()[AlarmKind.NUMBER_SILENT].facts == {"hours": 8}
    with atomic():
        fresh(number).last_message_at = utcnow()
    jobs.watch((utcnow() + timedelta(minutes=5)).isoformat())
    assert open_alarms() == {}


def test_closed_hours_are_no_silence_and_none_is_no_limit(number: WhatsappNumber) -> None:
    with atomic():
        number.last_message_at = utcnow() - timedelta(hours=30)
        campaign = number.campaign_links[0].campaign
        campaign.business_hours = {"monday": [], "holidays": []}
    jobs.watch(utcnow().isoformat())
    assert open_alarms() == {}
    with atomic():
        fresh(number).campaign_links[0].campaign.business_hours = None
        write_settings({"numbers.silent_hours": 0})
    jobs.watch((utcnow() + timedelta(minutes=5)).isoformat())
    assert open_alarms() == {}
