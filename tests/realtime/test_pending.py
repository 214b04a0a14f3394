"""Coalesced work: what is put often is taken once, in time."""

from crm.realtime.pending import Pending


class Clock:
    """Time that the test moves; waiting moves it too, so nothing sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def pending(clock: Clock, *, limit: int = 10) -> Pending[str, frozenset[int]]:
    return Pending(merge=lambda old, new: old | new, limit=limit, clock=clock)


def test_it_merges_what_is_put_twice() -> None:
    work = pending(Clock())
    work.put("row", frozenset({1}))
    work.put("row", frozenset({2}))
    assert work.take(timeout=0, limit=10) == [("row", frozenset({1, 2}))]
    assert work.take(timeout=0, limit=10) == []


def test_it_gives_the_first_at_once_and_the_rest_of_a_burst_together() -> None:
    clock = Clock()
    work = pending(clock)
    work.put("row", frozenset({1}), spacing=0.05)
    assert len(work.take(timeout=0, limit=10)) == 1
    for number in range(2, 12):
        work.put("row", frozenset({number}), spacing=0.05)
        clock.now += 0.001
        assert work.take(timeout=0, limit=10) == []
    clock.now += 0.05
    assert work.take(timeout=0, limit=10) == [("row", frozenset(range(2, 12)))]


def test_it_lets_one_key_wait_without_holding_up_another() -> None:
    clock = Clock()
    work = pending(clock)
    work.put("a", frozenset({1}), spacing=0.05)
    work.take(timeout=0, limit=10)
    work.put("a", frozenset({2}), spacing=0.05)
    work.put("b", frozenset({3}), spacing=0.05)
    assert work.take(timeout=0, limit=10) == [("b", frozenset({3}))]


def test_it_keeps_the_order_in_which_things_were_put() -> None:
    work = pending(Clock(), limit=100)
    for number in range(50):
        work.put(f"bubble {number}", frozenset({number}))
    keys = [key for key, _ in work.take(timeout=0, limit=20)]
    keys += [key for key, _ in work.take(timeout=0, limit=100)]
    assert keys == [f"bubble {number}" for number in range(50)]


def test_it_refuses_when_it_is_full_and_still_merges() -> None:
    work = pending(Clock(), limit=2)
    assert work.put("a", frozenset({1}))
    assert work.put("b", frozenset({1}))
    assert not work.put("c", frozenset({1}))
    assert work.put("a", frozenset({2}))
    work.clear()
    assert work.put("c", frozenset({1}))


def test_it_forgets_keys_that_have_been_quiet() -> None:
    clock = Clock()
    work = pending(clock, limit=5000)
    for number in range(1000):
        work.put(f"row {number}", frozenset({1}), spacing=0.05)
    work.take(timeout=0, limit=5000)
    clock.now += 60
    work.put("fresh", frozenset({1}), spacing=0.05)
    work.forget_before(clock.now - 10)
    assert list(work._last) == ["fresh"]
