"""Callers that come together leave together, and each gets their own answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from crm.lib.batching import BatchInterrupted, GroupCommit

Answers = tuple[list[int | Exception], Callable[[], None] | None]


class Store:
    """Runs batches that wait for `open`, and remembers them."""

    def __init__(self, **options: Any) -> None:
        self.batches: list[list[int]] = []
        self.running = 0
        self.most_running = 0
        self.started = threading.Semaphore(0)
        self.open = threading.Event()
        self.guard = threading.Lock()
        self.group: GroupCommit[int, int] = GroupCommit(self.run, **options)

    def run(self, items: Sequence[int]) -> Answers:
        with self.guard:
            self.batches.append(list(items))
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        self.started.release()
        assert self.open.wait(20)
        with self.guard:
            self.running -= 1
        return [ValueError(item) if item < 0 else item * 10 for item in items], None


class Callers:
    """Threads that submit one item each, and what became of them."""

    def __init__(self, group: GroupCommit[int, int]) -> None:
        self.group = group
        self.answers: dict[int, object] = {}
        self.threads: list[threading.Thread] = []

    def call(self, *items: int) -> None:
        for item in items:
            thread = threading.Thread(target=self._submit, args=(item,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _submit(self, item: int) -> None:
        try:
            self.answers[item] = self.group.submit(item)
        except BaseException as error:
            self.answers[item] = error

    def wait(self) -> dict[int, object]:
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive(), "a caller was forgotten"
        return self.answers


def wait_until_queued(store: Store, count: int) -> None:
    """Until `count` callers wait for a free lane."""
    for _ in range(4000):
        if len(store.group._waiting) == count:
            return
        threading.Event().wait(0.005)
    raise AssertionError(f"{len(store.group._waiting)} callers wait instead of {count}")


def test_a_lone_caller_runs_at_once() -> None:
    store = Store()
    store.open.set()
    assert store.group.submit(7) == 70
    assert store.group.submit(8) == 80
    assert store.batches == [[7], [8]]


def test_who_comes_while_a_batch_runs_forms_the_next_one() -> None:
    store = Store()
    callers = Callers(store.group)
    callers.call(1)
    store.started.acquire()
    callers.call(2, 3, 4, 5)
    wait_until_queued(store, 4)
    store.open.set()
    assert callers.wait() == {item: item * 10 for item in range(1, 6)}
    assert [sorted(batch) for batch in store.batches] == [[1], [2, 3, 4, 5]]


def test_an_answer_that_is_an_error_is_raised_for_its_caller_alone() -> None:
    store = Store()
    callers = Callers(store.group)
    callers.call(1)
    store.started.acquire()
    callers.call(2, -3, 4)
    wait_until_queued(store, 3)
    store.open.set()
    answers = callers.wait()
    assert isinstance(answers.pop(-3), ValueError)
    assert answers == {1: 10, 2: 20, 4: 40}


def test_a_batch_that_fails_fails_for_all_in_it_and_for_nobody_after() -> None:
    calls: list[int] = []

    def run(items: Sequence[int]) -> Answers:
        calls.extend(items)
        if 1 in items:
            raise OSError("the database is away")
        return list(items), None

    group: GroupCommit[int, int] = GroupCommit(run)
    with pytest.raises(OSError, match="away"):
        group.submit(1)
    assert group.submit(2) == 2
    assert calls == [1, 2]


def test_a_batch_that_was_interrupted_says_so_and_leaves_the_lane_free() -> None:
    def run(items: Sequence[int]) -> Answers:
        if 1 in items:
            raise KeyboardInterrupt
        return list(items), None

    group: GroupCommit[int, int] = GroupCommit(run)
    with pytest.raises(KeyboardInterrupt):
        group.submit(1)
    assert group.submit(2) == 2


def test_those_who_shared_an_interrupted_batch_do_not_wait_for_ever() -> None:
    first = threading.Event()
    go = threading.Event()

    def run(items: Sequence[int]) -> Answers:
        if items == [1]:
            first.set()
            go.wait(20)
            return list(items), None
        raise SystemExit

    group: GroupCommit[int, int] = GroupCommit(run)
    callers = Callers(group)
    callers.call(1)
    first.wait(20)
    callers.call(2, 3)
    for _ in range(4000):
        if len(group._waiting) == 2:
            break
        threading.Event().wait(0.005)
    go.set()
    answers = callers.wait()
    assert answers.pop(1) == 1
    # The one who led is stopped, the other is told.
    assert {type(error) for error in answers.values()} == {SystemExit, BatchInterrupted}


def test_a_batch_is_never_larger_than_asked_for() -> None:
    store = Store(most=3)
    callers = Callers(store.group)
    callers.call(1)
    store.started.acquire()
    callers.call(*range(2, 10))
    wait_until_queued(store, 8)
    store.open.set()
    assert len(callers.wait()) == 9
    assert [len(batch) for batch in store.batches] == [1, 3, 3, 2]


def test_two_lanes_run_two_batches_and_no_more() -> None:
    store = Store(lanes=2)
    callers = Callers(store.group)
    callers.call(1, 2)
    store.started.acquire()
    store.started.acquire()
    callers.call(3, 4)
    wait_until_queued(store, 2)
    store.open.set()
    assert len(callers.wait()) == 4
    assert store.most_running == 2


def test_a_patient_batch_waits_for_as_many_as_the_last_one_had() -> None:
    store = Store(patience=3600)
    callers = Callers(store.group)
    callers.call(1)
    store.started.acquire()
    callers.call(2, 3, 4)
    wait_until_queued(store, 3)
    store.open.set()
    callers.wait()
    # Three left together: the next one who comes waits for two more, and then not a moment longer.
    callers.call(5)
    callers.call(6)
    wait_until_queued(store, 1)
    assert sorted(store.batches[-1]) == [2, 3, 4]
    callers.call(7)
    assert len(callers.wait()) == 7
    assert [sorted(batch) for batch in store.batches] == [[1], [2, 3, 4], [5, 6, 7]]


def test_patience_ends_where_nobody_else_comes() -> None:
    store = Store(patience=0.01)
    callers = Callers(store.group)
    callers.call(1)
    store.started.acquire()
    callers.call(2, 3)
    wait_until_queued(store, 2)
    store.open.set()
    callers.wait()
    assert store.group.submit(4) == 40
    # And the next lone caller does not wait at all.
    store.group._patience = 3600
    assert store.group.submit(5) == 50


@pytest.mark.parametrize("patience", [0.0, 0.002])
def test_nobody_is_forgotten_or_answered_twice_in_a_crowd(patience: float) -> None:
    stored: list[int] = []

    def run(items: Sequence[int]) -> Answers:
        stored.extend(items)
        return [item + 1 for item in items], None

    group: GroupCommit[int, int] = GroupCommit(run, most=7, lanes=3, patience=patience)
    answers: dict[int, int] = {}

    def call(start: int) -> None:
        for item in range(start, start + 200):
            answers[item] = group.submit(item)

    threads = [threading.Thread(target=call, args=(n * 1000,), daemon=True) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a caller was forgotten"
    assert len(stored) == len(set(stored)) == 4000
    assert all(answer == item + 1 for item, answer in answers.items())


def test_what_comes_afterwards_keeps_neither_the_others_nor_the_next_batch_waiting() -> None:
    first = threading.Event()
    go = threading.Event()
    told = threading.Event()

    def run(items: Sequence[int]) -> Answers:
        if items == [1]:
            first.set()
            go.wait(20)
        return list(items), (lambda: told.wait(20)) if len(items) == 2 else None  # type: ignore

    group: GroupCommit[int, int] = GroupCommit(run)
    callers = Callers(group)
    callers.call(1)
    first.wait(20)
    callers.call(2, 3)
    for _ in range(4000):
        if len(group._waiting) == 2:
            break
        threading.Event().wait(0.005)
    go.set()
    # Somebody of the second batch still tells the world; a third one runs meanwhile.
    for _ in range(4000):
        if len(callers.answers) == 2:
            break
        threading.Event().wait(0.005)
    assert group.submit(4) == 4
    assert len(callers.answers) == 2
    told.set()
    assert callers.wait() == {1: 1, 2: 2, 3: 3}
