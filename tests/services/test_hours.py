"""Business hours: intervals, holidays, midnight, daylight saving, and unreadable settings."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.services import hours as service
from crm.services.hours import is_open, next_opening

BOGOTA = "America/Bogota"
SANTIAGO = "America/Santiago"
NEW_YORK = "America/New_York"

SPLIT_MONDAY = {
    "monday": [{"start": "08:00", "end": "12:00"}, {"start": "14:00", "end": "18:00"}],
    "holidays": ["2026-03-09"],
}


def at(text: str, zone: str = BOGOTA) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize("hours", [None, {}, {"holidays": ["2026-03-02"]}])
def test_no_hours_means_always_open(hours):
    assert is_open(hours, BOGOTA, at("2026-03-02 03:00"))


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-02 07:59:59", False),
        ("2026-03-02 08:00", True),
        ("2026-03-02 11:59:59", True),
        ("2026-03-02 12:00", False),
        ("2026-03-02 13:00", False),
        ("2026-03-02 14:00", True),
        ("2026-03-02 18:00", False),
        ("2026-03-03 09:00", False),  # a Tuesday: not listed, so closed
        ("2026-03-09 09:00", False),  # a Monday, and a holiday
    ],
)
def test_several_intervals_a_day_and_holidays(moment: str, expected: bool):
    assert is_open(SPLIT_MONDAY, BOGOTA, at(moment)) is expected


def test_the_first_form_of_one_interval_a_day_is_read():
    hours = {"monday": {"start": "08:00", "end": "18:00"}}
    assert is_open(hours, BOGOTA, at("2026-03-02 17:59"))
    assert not is_open(hours, BOGOTA, at("2026-03-02 18:00"))


def test_holidays_may_carry_their_names():
    hours = {"friday": {"start": "08:00", "end": "18:00"}, "holidays": {"2026-12-25": "Navidad"}}
    assert not is_open(hours, BOGOTA, at("2026-12-25 10:00"))


def test_the_campaign_zone_decides_not_the_caller_s():
    hours = {"monday": {"start": "08:00", "end": "18:00"}}
    assert is_open(hours, BOGOTA, at("2026-03-02 13:00", "UTC"))
    assert not is_open(hours, BOGOTA, at("2026-03-02 12:59", "UTC"))


def test_an_interval_may_run_past_midnight_into_a_day_that_is_closed():
    hours = {"friday": {"start": "20:00", "end": "02:00"}}
    assert is_open(hours, BOGOTA, at("2026-03-06 23:00"))
    assert is_open(hours, BOGOTA, at("2026-03-07 01:59"))
    assert not is_open(hours, BOGOTA, at("2026-03-07 02:00"))
    assert not is_open(hours, BOGOTA, at("2026-03-06 01:00"))


def test_a_whole_day_may_be_written_until_24():
    hours = {"monday": {"start": "00:00", "end": "24:00"}}
    assert is_open(hours, BOGOTA, at("2026-03-02 23:59"))
    assert not is_open(hours, BOGOTA, at("2026-03-03 00:00"))


def test_closing_time_stays_on_the_wall_when_the_clocks_change():
    # New York springs forward on 2026-03-08: its 08:00 is 13:00 UTC before, 12:00 UTC after.
    day = {"start": "08:00", "end": "18:00"}
    hours = {"saturday": day, "sunday": day}
    assert not is_open(hours, NEW_YORK, at("2026-03-07 12:30", "UTC"))
    assert is_open(hours, NEW_YORK, at("2026-03-08 12:30", "UTC"))
    assert is_open(hours, NEW_YORK, at("2026-03-08 21:59", "UTC"))
    assert not is_open(hours, NEW_YORK, at("2026-03-08 22:00", "UTC"))


def test_a_night_shift_over_the_autumn_change_lasts_an_hour_longer():
    # Santiago turns back at midnight of 2026-04-05.
    hours = {"saturday": {"start": "22:00", "end": "06:00"}}
    assert is_open(hours, SANTIAGO, at("2026-04-05 01:00", "UTC"))
    assert is_open(hours, SANTIAGO, at("2026-04-05 09:59", "UTC"))
    assert not is_open(hours, SANTIAGO, at("2026-04-05 10:00", "UTC"))


def test_the_next_opening_skips_holidays_and_closed_days():
    assert next_opening(SPLIT_MONDAY, BOGOTA, at("2026-03-02 12:30")) == at("2026-03-02 14:00")
    assert next_opening(SPLIT_MONDAY, BOGOTA, at("2026-03-02 19:00")) == at("2026-03-16 08:00")


def test_while_open_the_next_opening_is_now():
    assert next_opening(SPLIT_MONDAY, BOGOTA, at("2026-03-02 09:00")) == at("2026-03-02 09:00")


def test_hours_that_never_come_have_no_opening():
    assert next_opening({"monday": []}, BOGOTA, at("2026-03-02 09:00")) is None


@pytest.mark.parametrize("broken", ["08-18", {"start": "8"}, {"start": "25:00", "end": "26:00"}, 7])
def test_an_unreadable_interval_is_closed_and_does_not_break_the_others(broken):
    hours = {"monday": [broken, {"start": "08:00", "end": "18:00"}]}
    assert is_open(hours, BOGOTA, at("2026-03-02 09:00"))
    assert not is_open(hours, BOGOTA, at("2026-03-02 19:00"))


def test_an_unknown_zone_falls_back_and_is_not_an_error():
    hours = {"monday": {"start": "08:00", "end": "18:00"}}
    assert is_open(hours, "America/Macondo", at("2026-03-02 09:00"))


# Business seconds: what the clocks of a campaign count

SPLIT_DAYS = {
    "monday": [{"start": "08:00", "end": "12:00"}, {"start": "14:00", "end": "18:00"}],
    "tuesday": [{"start": "08:00", "end": "12:00"}, {"start": "11:00", "end": "13:00"}],
    "friday": [{"start": "22:00", "end": "02:00"}],
    "holidays": ["2026-03-10"],
}


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("2026-03-02T09:00-05:00", "2026-03-02T10:30-05:00", 1.5),
        # The lunch break does not count.
        ("2026-03-02T11:00-05:00", "2026-03-02T15:00-05:00", 2),
        # Nor the night; Tuesday's two overlapping intervals count once: 8 to 13.
        ("2026-03-02T17:00-05:00", "2026-03-03T23:00-05:00", 6),
        # A holiday on Tuesday.
        ("2026-03-09T17:00-05:00", "2026-03-10T23:00-05:00", 1),
        # A night shift belongs to the day on which it begins.
        ("2026-03-06T23:00-05:00", "2026-03-07T09:00-05:00", 3),
        ("2026-03-07T01:00-05:00", "2026-03-07T01:30-05:00", 0.5),
        ("2026-03-04T00:00-05:00", "2026-03-05T00:00-05:00", 0),
        ("2026-03-02T10:00-05:00", "2026-03-02T09:00-05:00", 0),
    ],
)
def test_business_seconds_run_only_while_it_is_open(start: str, end: str, hours: float):
    counted = service.business_seconds(
        SPLIT_DAYS, "America/Bogota", datetime.fromisoformat(start), datetime.fromisoformat(end)
    )
    assert counted == hours * 3600


def test_without_hours_every_second_counts():
    start = datetime.fromisoformat("2026-03-02T09:00-05:00")
    assert service.business_seconds(None, None, start, start + timedelta(hours=30)) == 30 * 3600


def test_a_night_over_the_change_of_clocks_has_the_hours_that_it_had():
    """In Santiago the clocks go back in the night to 5 April 2026: that night has one hour more."""
    night = {"saturday": [{"start": "20:00", "end": "08:00"}]}
    start = datetime.fromisoformat("2026-04-04T20:00-03:00")
    counted = service.business_seconds(night, "America/Santiago", start, start + timedelta(days=1))
    assert counted == 13 * 3600


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1)),  # noqa: DTZ001
    st.integers(0, 60 * 72),
    st.integers(0, 60 * 72),
)
def test_two_stretches_add_up_to_the_whole(start: datetime, one: int, two: int):
    begin = start.replace(tzinfo=UTC)
    middle = begin + timedelta(minutes=one)
    end = middle + timedelta(minutes=two)
    for zone in ("America/Bogota", "America/Santiago", "America/Mexico_City"):
        parts = [
            service.business_seconds(SPLIT_DAYS, zone, begin, middle),
            service.business_seconds(SPLIT_DAYS, zone, middle, end),
        ]
        whole = service.business_seconds(SPLIT_DAYS, zone, begin, end)
        assert sum(parts) == pytest.approx(whole, abs=1e-3)
