"""What the clock throws away, and what it keeps."""

from datetime import timedelta

from flask import Flask
from sqlalchemy import select

from crm.db import atomic, database_now, db
from crm.models import ScheduledRun, UserSession
from crm.services import housekeeping
from tests.factories import make_user


def test_old_runs_go_and_young_ones_stay(database: Flask) -> None:
    now = database_now()
    with atomic():
        for days in (1, 13, 15, 400):
            moment = now - timedelta(days=days)
            db.session.add(ScheduledRun(job="x", slot=moment, started_at=moment))
    with atomic():
        assert housekeeping.remove_scheduled_runs() == 2
    left = db.session.scalars(select(ScheduledRun.slot)).all()
    assert {(now - slot).days for slot in left} == {1, 13}


def test_a_session_is_kept_for_its_owners_list_and_then_goes(database: Flask) -> None:
    now = database_now()
    with atomic():
        user = make_user()
        for days in (-1, 1, 29, 31):
            expires = now - timedelta(days=days)
            db.session.add(UserSession(user_id=user.id, token=f"t{days}", expires_at=expires))
    with atomic():
        assert housekeeping.remove_ended_sessions() == 1
    assert set(db.session.scalars(select(UserSession.token))) == {"t-1", "t1", "t29"}


def test_it_removes_a_bounded_number_at_once(database: Flask, monkeypatch) -> None:
    monkeypatch.setattr(housekeeping, "ROWS_AT_ONCE", 2)
    long_ago = database_now() - timedelta(days=100)
    with atomic():
        for hours in range(5):
            moment = long_ago + timedelta(hours=hours)
            db.session.add(ScheduledRun(job="x", slot=moment, started_at=moment))
    removed = []
    while not removed or removed[-1]:
        with atomic():
            removed.append(housekeeping.remove_scheduled_runs())
    assert removed == [2, 2, 1, 0]
