"""Outcomes are written behind the senders' backs: in sets, all of them, before the drain ends."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence

import pytest
from sqlalchemy.exc import OperationalError

from crm.jobs import outcomes
from crm.jobs.outcomes import Outcomes
from crm.providers.outbound import SendResult
from crm.services.messages.accepted import Accepted
from crm.services.messages.claims import Claim

AWAY = OperationalError("", None, Exception("the server is away"))


def accepted(n: int) -> Accepted:
    return Accepted(Claim(n, n, n, 1, uuid.uuid4(), 1), SendResult(f"wamid.{n}"))


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "AGAIN_SECONDS", 0.01)


def test_what_comes_while_a_set_is_written_is_the_next_set():
    sets: list[list[int]] = []
    first_begins, go_on = threading.Event(), threading.Event()

    def write(some: Sequence[Accepted]) -> list[bool | Exception]:
        sets.append([one.claim.queue_id for one in some])
        first_begins.set()
        assert go_on.wait(20)
        return [True] * len(some)

    done: list[int] = []
    desk = Outcomes(write, lambda some: done.extend(one.claim.queue_id for one in some))
    desk.put(accepted(1))
    assert first_begins.wait(20)
    for n in (2, 3, 4):
        desk.put(accepted(n))
    assert done == []
    go_on.set()
    desk.close()
    assert sets == [[1], [2, 3, 4]]
    assert done == [1, 2, 3, 4]


def test_closing_waits_for_everything_and_without_work_for_nothing():
    done: list[int] = []
    desk = Outcomes(lambda some: [True] * len(some), lambda some: done.append(len(some)))
    for n in range(500):
        desk.put(accepted(n))
    desk.close()
    assert sum(done) == 500
    Outcomes(lambda some: [], lambda some: None).close()


def test_a_database_that_is_away_for_a_moment_costs_nothing():
    tries: list[int] = []

    def write(some: Sequence[Accepted]) -> list[bool | Exception]:
        tries.append(len(some))
        if len(tries) < 3:
            raise AWAY
        return [True] * len(some)

    done: list[int] = []
    desk = Outcomes(write, lambda some: done.append(len(some)))
    desk.put(accepted(1))
    desk.close()
    assert (tries, done) == ([1, 1, 1], [1])


def test_only_what_was_refused_is_written_again_and_the_drain_goes_on():
    sets: list[list[int]] = []

    def write(some: Sequence[Accepted]) -> list[bool | Exception]:
        sets.append([one.claim.queue_id for one in some])
        return [AWAY if one.claim.queue_id == 2 else True for one in some]

    done: list[int] = []
    desk = Outcomes(write, lambda some: done.extend(one.claim.queue_id for one in some))
    desk.put(accepted(2))
    desk.put(accepted(3))
    desk.close()
    assert sum(each == [2] for each in sets) >= outcomes.TRIES - 1
    assert sum(3 in each for each in sets) == 1
    assert sorted(done) == [2, 3], "the one that nobody could write is let go, too"
