"""The clock: it rings for what nobody does, once per slot for timed jobs, whatever is away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy import select, text

from crm import doorbell
from crm.db import atomic, db
from crm.extensions import redis_client
from crm.jobs import clock, housekeeping, schedule
from crm.jobs.schedule import Periodic, Sweep
from crm.models import ScheduledRun

PURGE = "housekeeping.purge"


def waiting(queue: str) -> list[tuple[str, tuple]]:
    jobs = Queue(queue, connection=redis_client.client, serializer=JSONSerializer).jobs
    return [(job.func_name, tuple(job.args)) for job in jobs]


def runs() -> list[ScheduledRun]:
    db.session.expire_all()
    return list(db.session.scalars(select(ScheduledRun).order_by(ScheduledRun.slot)))


@pytest.fixture
def only_purge(monkeypatch: pytest.MonkeyPatch) -> Periodic:
    """Nothing but one timed job, so that the others' work does not show."""
    periodic = Periodic(PURGE, every=3600)
    monkeypatch.setattr(clock, "SWEEPS", ())
    monkeypatch.setattr(clock, "PERIODIC", (periodic,))
    return periodic


def test_it_rings_a_timed_job_for_the_current_slot(app: Flask, only_purge: Periodic) -> None:
    clock.sweep_all()
    clock.sweep_all()
    [(name, (slot,))] = waiting("slow")
    assert name == f"crm.jobs.{PURGE}"
    assert datetime.fromisoformat(slot) == only_purge.slot(datetime.now(UTC))


def test_a_slot_runs_once_however_often_it_is_rung(app: Flask) -> None:
    slot = datetime(2026, 3, 1, 5, tzinfo=UTC).isoformat()

    def run(_: int) -> None:
        with app.app_context():
            housekeeping.purge(slot)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))
    [only] = runs()
    assert only.finished_at is not None
    assert only.error is None


def test_a_slot_that_ran_is_not_rung_again(app: Flask, only_purge: Periodic) -> None:
    clock.sweep_all()
    [(_, (slot,))] = waiting("slow")
    redis_client.flushdb()
    housekeeping.purge(slot)
    clock.sweep_all()
    assert waiting("slow") == []


def test_slots_that_were_missed_are_caught_up_by_one_run(app: Flask, only_purge: Periodic) -> None:
    now = only_purge.slot(datetime.now(UTC))
    with atomic():
        db.session.add(ScheduledRun(job=PURGE, slot=now - timedelta(hours=5)))
    clock.sweep_all()
    [(_, (slot,))] = waiting("slow")
    assert datetime.fromisoformat(slot) == now


def test_a_run_that_fails_says_so_and_fails_no_other(app: Flask) -> None:
    @schedule.scheduled(PURGE)
    def fail() -> None:
        db.session.execute(text("SELECT 1/0"))

    slot = datetime(2026, 3, 1, 5, tzinfo=UTC)
    with pytest.raises(Exception, match="division by zero"):
        fail(slot.isoformat())
    housekeeping.purge((slot + timedelta(hours=1)).isoformat())
    first, second = runs()
    assert first.error == "DataError"
    assert second.error is None


def test_a_lost_ring_costs_one_sweep(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "PERIODIC", ())
    monkeypatch.setattr(clock, "SWEEPS", (Sweep("messages.deliver", lambda: [3]),))
    clock.sweep_all()
    redis_client.flushdb()
    clock.sweep_all()
    assert waiting("delivery") == [("crm.jobs.messages.deliver", (3,))]


def test_a_ring_that_waits_is_not_doubled(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "PERIODIC", ())
    monkeypatch.setattr(clock, "SWEEPS", (Sweep("messages.deliver", lambda: [3, 3]),))
    for _ in range(3):
        clock.sweep_all()
    assert len(waiting("delivery")) == 1


def test_a_ring_that_a_killed_worker_took_along_is_rung_again(app: Flask) -> None:
    doorbell.ring("messages.deliver", 3)
    # What BLMOVE does for a worker, which dies before the job starts.
    redis_client.lmove("rq:queue:delivery", "rq:queue:delivery:intermediate", "RIGHT", "LEFT")
    assert not doorbell.ring("messages.deliver", 3), "its key still silences everybody"
    # Others wait in the queue; that one does not.
    doorbell.ring("messages.deliver", 4)
    assert doorbell.ring_again("messages.deliver", 3)
    assert not doorbell.ring_again("messages.deliver", 3), "it waits now"
    assert [arguments for _, arguments in waiting("delivery")] == [(4,), (3,)]


def test_a_sweep_that_fails_keeps_no_other_from_its_turn(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[int]:
        db.session.execute(text("SELECT * FROM no_such_table"))
        return []

    broken, sound = Sweep("routing.route", fail), Sweep("messages.deliver", lambda: [3])
    monkeypatch.setattr(clock, "PERIODIC", ())
    monkeypatch.setattr(clock, "SWEEPS", (broken, sound))
    trouble: set[str] = set()
    clock.sweep_all(trouble)
    assert trouble == {"routing.route"}
    assert len(waiting("delivery")) == 1

    monkeypatch.setattr(clock, "SWEEPS", (Sweep("routing.route", list), sound))
    clock.sweep_all(trouble)
    assert trouble == set()


def test_a_sweep_goes_on_while_redis_is_away(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def find(name: str) -> list[int]:
        asked.append(name)
        return [1]

    sweeps = (
        Sweep("routing.route", lambda: find("first")),
        Sweep("messages.deliver", lambda: find("second")),
    )
    monkeypatch.setattr(clock, "PERIODIC", ())
    monkeypatch.setattr(clock, "SWEEPS", sweeps)
    redis_client.bind("unix:///nowhere/redis.sock")
    try:
        clock.sweep_all()
    finally:
        redis_client.bind(app.config["CRM"].redis_url)
    assert asked == ["first", "second"]


def test_slots_are_counted_from_1970_in_utc() -> None:
    moment = datetime(2026, 11, 1, 7, 59, 59, 999999, tzinfo=UTC)
    assert Periodic(PURGE, every=3600).slot(moment) == datetime(2026, 11, 1, 7, tzinfo=UTC)
    assert Periodic(PURGE, every=86400).slot(moment) == datetime(2026, 11, 1, tzinfo=UTC)
    assert Periodic(PURGE, every=60).slot(moment) == datetime(2026, 11, 1, 7, 59, tzinfo=UTC)
