"""Delivers webhooks at least once: signed, many at a time, again and again until answered 200.

As with Meta the order is not promised, and under load several updates share one POST. Rows live
in the journal until they are acknowledged, so that kill -9 of this process loses none.
"""

import dataclasses
import hashlib
import heapq
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Pool

from crm.simulator import webhooks, wire
from crm.simulator.faults import Faults
from crm.simulator.journal import Ledger
from crm.simulator.poster import Poster
from crm.simulator.world import Row, World, now

PARALLEL = 16
BATCH = 50  # Meta's own limit is 1,000 updates
GIVE_UP_SECONDS = 7 * 24 * 3600


@dataclass
class Parcel:
    """Rows that travel in one POST; a retry carries the same bytes."""

    ids: list[int]
    number_id: str
    field: str
    since: float = dataclasses.field(default_factory=now)
    tries: int = 0
    body: bytes = b""


class Outbox:
    """`put(row)` writes a webhook down and delivers it; `on_call` is told each attempt."""

    def __init__(
        self,
        world: World,
        *,
        poster: Poster,
        secret: str,
        faults: Faults,
        ledger: Ledger,
        retry_seconds: float,
        retry_cap_seconds: float,
    ) -> None:
        self.world, self.poster, self.secret = world, poster, secret
        self.faults, self.ledger = faults, ledger
        self.retry_seconds, self.retry_cap_seconds = retry_seconds, retry_cap_seconds
        self.on_call: Callable[[Row], None] = lambda row: None
        self.on_acked: Callable[[list[str]], None] = lambda wamids: None
        self._heap: list[tuple[float, int, Parcel]] = []
        self._order = itertools.count()
        self._changed = Event()
        self._pool = Pool(PARALLEL)
        for row in world.outbox.values():
            self._push(Parcel([row["id"]], row["number_id"], row["field"]), delay=0.0)
        gevent.spawn(self._run)

    def row(self, number_id: str, field: str, part: Row, *, wamid: str = "") -> Row:
        """A new outbox row, for a journal line of the caller's; `schedule` it afterwards."""
        return {
            "id": self.world.next_out_id(),
            "number_id": number_id,
            "field": field,
            "part": part,
            "wamid": wamid,
            "at": now(),
        }

    def schedule(self, row: Row, *, delay: float = 0.0) -> None:
        """Deliver a row that the journal holds."""
        self._push(Parcel([row["id"]], row["number_id"], row["field"]), delay=delay)

    @property
    def waiting(self) -> int:
        """How many updates were not acknowledged yet."""
        return len(self.world.outbox)

    def clear(self) -> None:
        self._heap.clear()

    def hurry(self) -> None:
        """Try everything that waits for its next turn now."""
        self._heap = [(0.0, order, parcel) for _, order, parcel in self._heap]
        heapq.heapify(self._heap)
        self._changed.set()

    # -- delivery -------------------------------------------------------------------------------

    def _push(self, parcel: Parcel, *, delay: float) -> None:
        heapq.heappush(self._heap, (time.monotonic() + delay, next(self._order), parcel))
        self._changed.set()

    def _run(self) -> None:
        while True:
            wait = self._heap[0][0] - time.monotonic() if self._heap else None
            if wait is None or wait > 0:
                self._changed.wait(wait)
                self._changed.clear()
                continue
            parcel = heapq.heappop(self._heap)[2]
            if not parcel.tries and len(self._heap) > PARALLEL:
                self._fill(parcel)
            self._pool.spawn(self._deliver, parcel)

    def _fill(self, parcel: Parcel) -> None:
        """Let due neighbours of the same number ride along."""
        put_back: list[tuple[float, int, Parcel]] = []
        deadline = time.monotonic()
        while self._heap and len(parcel.ids) < BATCH and len(put_back) < BATCH:
            if self._heap[0][0] > deadline:
                break
            entry = heapq.heappop(self._heap)
            other = entry[2]
            same = (other.number_id, other.field) == (parcel.number_id, "messages")
            if same and not other.tries and parcel.field == "messages":
                parcel.ids += other.ids
            else:
                put_back.append(entry)
        for entry in put_back:
            heapq.heappush(self._heap, entry)

    def _deliver(self, parcel: Parcel) -> None:
        rows = [self.world.outbox[row_id] for row_id in parcel.ids if row_id in self.world.outbox]
        number = self.world.numbers.get(parcel.number_id)
        if not rows or number is None:
            return  # a reset took them
        if self.faults.peek("webhook_held", parcel.number_id):
            self._push(parcel, delay=0.25)
            return
        if not parcel.body:
            part = webhooks.merge([row["part"] for row in rows])
            parcel.body = wire.meta_json(
                webhooks.envelope(number, parcel.field, part, at=rows[0]["at"])
            )
        fault = self.faults.take("webhook", parcel.number_id)
        if fault is not None and fault.kind == "webhook_shuffled" and not parcel.tries:
            parcel.tries = 1
            self._push(parcel, delay=fault.seconds * self.faults.random.random())
            return
        secret = self.secret
        if fault is not None and fault.kind == "webhook_bad_signature":
            secret += "-of-another-app"
        good = self._post(parcel, rows, secret)
        if good and fault is not None and fault.kind == "webhook_twice":
            self._post(parcel, rows, secret)

    def _post(self, parcel: Parcel, rows: list[Row], secret: str) -> bool:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "facebookexternalua",
            "X-Hub-Signature-256": wire.signature(secret, parcel.body),
        }
        started = time.monotonic()
        parcel.tries += 1
        status, answer = 0, b""
        try:
            status, answer = self.poster.post(parcel.body, headers)
        except OSError as error:
            answer = str(error).encode()
        good = status == 200
        self.on_call(
            {
                "kind": "webhook",
                "number_id": parcel.number_id,
                "status": status,
                "tries": parcel.tries,
                "milliseconds": round((time.monotonic() - started) * 1000, 1),
                "request": parcel.body,
                "answer": answer,
                "signature": headers["X-Hub-Signature-256"],
            }
        )
        if good:
            self._acknowledge(parcel, rows)
        elif now() - parcel.since < GIVE_UP_SECONDS:
            wait = min(self.retry_cap_seconds, self.retry_seconds * 2 ** min(parcel.tries - 1, 20))
            self._push(parcel, delay=wait * (0.75 + 0.5 * self.faults.random.random()))
        return good

    def _acknowledge(self, parcel: Parcel, rows: list[Row]) -> None:
        known = [row for row in rows if row["id"] in self.world.outbox]
        self.ledger.append(
            {
                "at": now(),
                "number_id": parcel.number_id,
                "field": parcel.field,
                "tries": parcel.tries,
                "again": len(known) < len(rows),
                "messages": _column(rows, "messages", lambda row: row["id"]),
                "statuses": _column(rows, "statuses", lambda row: [row["id"], row["status"]]),
                "body_sha256": hashlib.sha256(parcel.body).hexdigest(),
            }
        )
        self.ledger.soon()
        if known:
            self.world.record({"e": "acked", "ids": [row["id"] for row in known]})
            self.on_acked([row["wamid"] for row in known if row.get("wamid")])


def _column(rows: list[Row], key: str, pick: Callable[[Row], Any]) -> list[Any]:
    return [pick(item) for row in rows for item in row["part"].get(key, ())]
