"""Group commit: callers that come at the same time share one run of an expensive unit of work.

`GroupCommit(run).submit(item)` blocks until a run that held the item is over, and returns its
result or raises its error. A lone caller runs at once; those who come while runs are busy gather,
and leave together as soon as one is free. With `patience`, a batch that follows a larger one waits
that long at most for as many callers as the last one had: callers who take turns would otherwise
split into a batch of one and a batch of the rest, and each batch has its price.

There is no thread of its own, which a fork would lose: the first caller runs the batch itself, and
hands the next one to the first of those who wait. Locks and events come from `threading`, so that
it works with threads as with gevent's greenlets.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class BatchInterrupted(Exception):
    """The caller that ran the batch was stopped half-way; nobody knows how far it got."""


class _Caller(Generic[Item, Result]):
    """One caller: its item, and what became of it."""

    __slots__ = ("error", "item", "leads", "result", "woken")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.leads = False
        # A lock taken at birth is the cheapest thing to sleep on: whoever is done releases it.
        self.woken = threading.Lock()
        self.woken.acquire()


Afterwards = Callable[[], None]


class GroupCommit(Generic[Item, Result]):
    """Gathers items for `run(items) -> results, afterwards`.

    One result (or exception) for each item, in order. If `run` itself raises, every caller of that
    batch gets the error. `afterwards`, where there is one, is called when the others have their
    answers and the next batch may begin. `lanes` batches may run at the same time; `most` is the
    largest batch. `patience` is in seconds.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], tuple[Sequence[Result | Exception], Afterwards | None]],
        *,
        most: int = 100,
        lanes: int = 1,
        patience: float = 0.0,
    ) -> None:
        self._run = run
        self._most = most
        self._free_lanes = lanes
        self._patience = patience
        self._last_size = 1
        self._gathering: threading.Lock | None = None
        self._lock = threading.Lock()
        self._waiting: deque[_Caller[Item, Result]] = deque()

    def submit(self, item: Item) -> Result:
        """Run `item` with whoever else is there; its result, or its error raised."""
        mine: _Caller[Item, Result] = _Caller(item)
        with self._lock:
            if self._free_lanes > 0 and self._gathering is None:
                self._free_lanes -= 1
                mine.leads = True
            else:
                self._waiting.append(mine)
                if self._gathering is not None and self._is_complete():
                    self._gathering.release()
                    self._gathering = None
        if not mine.leads:
            mine.woken.acquire()
        # Woken either because our batch is over, or to lead one, which always holds our own item.
        if mine.leads:
            self._lead(mine)
        if mine.error is not None:
            raise mine.error
        return mine.result  # type: ignore[return-value]

    def _lead(self, mine: _Caller[Item, Result]) -> None:
        """Run one batch, then hand the lane to the first who waits, or give it back."""
        afterwards = None
        try:
            afterwards = self._settle(self._gather(mine))
        finally:
            with self._lock:
                # Whoever gathers company just now takes those who wait along.
                if self._waiting and self._gathering is None:
                    successor = self._waiting.popleft()
                    successor.leads = True
                    successor.woken.release()
                else:
                    self._free_lanes += 1
        if afterwards is not None:
            afterwards()

    def _gather(self, mine: _Caller[Item, Result]) -> list[_Caller[Item, Result]]:
        """The next batch: ours and whoever waits, after a moment's patience where that pays."""
        enough = self._expect_company()
        if enough is not None:
            try:
                enough.acquire(timeout=self._patience)
            finally:
                with self._lock:
                    if self._gathering is enough:
                        self._gathering = None
        with self._lock:
            company = min(len(self._waiting), self._most - 1)
            self._last_size = company + 1
            return [mine, *(self._waiting.popleft() for _ in range(company))]

    def _expect_company(self) -> threading.Lock | None:
        """A lock that is released when as many wait as the last batch had; None: do not wait."""
        with self._lock:
            if not self._patience or self._gathering is not None or self._is_complete():
                return None
            self._gathering = threading.Lock()
            self._gathering.acquire()
            return self._gathering

    def _is_complete(self) -> bool:
        return len(self._waiting) >= self._last_size - 1

    def _settle(self, batch: list[_Caller[Item, Result]]) -> Afterwards | None:
        results: Sequence[Result | Exception] = [BatchInterrupted()] * len(batch)
        afterwards = None
        try:
            results, afterwards = self._run([caller.item for caller in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"{len(results)} results for {len(batch)} items")
        except Exception as error:
            results = [error] * len(batch)
        finally:
            for caller, result in zip(batch, results, strict=True):
                if isinstance(result, Exception):
                    caller.error = result
                else:
                    caller.result = result
                if not caller.leads:
                    caller.woken.release()
        return afterwards
