"""One unit of work: it commits whole or not at all, and only then tells others."""

import threading

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from crm.db import atomic, db, on_commit, retrying
from crm.models import Tag


def names() -> list[str]:
    return list(db.session.scalars(select(Tag.name).order_by(Tag.name)))


def test_an_error_undoes_everything_and_drops_the_callbacks(app: Flask) -> None:
    told: list[str] = []

    def fail_half_way() -> None:
        with atomic():
            db.session.add(Tag(name="vip", label="vip"))
            on_commit(lambda: told.append("vip"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert names() == []
    assert told == []


def test_a_failing_callback_does_not_fail_the_committed_work(app: Flask) -> None:
    told: list[str] = []
    with atomic():
        db.session.add(Tag(name="vip", label="vip"))
        on_commit(lambda: 1 / 0)
        on_commit(lambda: told.append("vip"))
    assert names() == ["vip"]
    assert told == ["vip"]


def test_a_unit_inside_a_unit_is_refused(app: Flask) -> None:
    with atomic(), pytest.raises(RuntimeError, match="only doors"), atomic():
        pass


def test_a_callback_without_a_unit_is_refused(app: Flask) -> None:
    with pytest.raises(RuntimeError, match="outside atomic"):
        on_commit(lambda: None)


def test_a_deadlock_runs_the_whole_unit_again(app: Flask) -> None:
    with atomic():
        db.session.add_all([Tag(name="a", label="a"), Tag(name="b", label="b")])
    barrier = threading.Barrier(2, timeout=10)
    runs: list[str] = []

    def unit(first: str, second: str) -> None:
        runs.append(first)
        lock = text("SELECT 1 FROM tags WHERE name = :name FOR UPDATE")
        with atomic():
            db.session.execute(lock, {"name": first})
            if len(runs) <= 2:
                barrier.wait()
            db.session.execute(lock, {"name": second})

    def worker(first: str, second: str) -> None:
        with app.app_context():
            retrying(lambda: unit(first, second))

    threads = [threading.Thread(target=worker, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert sorted(set(runs)) == ["a", "b"]
    assert len(runs) == 3, "one of the two met the deadlock and ran again"


def test_other_errors_are_not_run_again(app: Flask) -> None:
    runs = []

    def unit() -> None:
        runs.append(1)
        with atomic():
            db.session.execute(text("SET LOCAL statement_timeout = '20ms'"))
            db.session.execute(text("SELECT pg_sleep(1)"))

    with pytest.raises(OperationalError):
        retrying(unit)
    assert len(runs) == 1
