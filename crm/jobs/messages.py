"""The delivery job: drains what is due, many chats at once, in short transactions of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar
from uuid import uuid4

import structlog
from flask import Flask, current_app
from sqlalchemy.exc import DBAPIError

from crm.config import Config
from crm.db import atomic, db, retrying
from crm.doorbell import job, ring
from crm.jobs import shutdown
from crm.jobs.books import Books
from crm.jobs.media import media_client
from crm.jobs.outcomes import AGAIN_SECONDS, TRIES, Outcomes
from crm.jobs.schedule import scheduled
from crm.lib.addresses import PublicOnly
from crm.lib.timed_http import TimedHttp
from crm.providers.clients import ProviderClients
from crm.providers.meta.client import MetaClient
from crm.providers.outbound import ProviderError, SendsMessages
from crm.providers.wppconnect.client import WppConnectChannel, WppConnectClient
from crm.services import files
from crm.services.media import uploading
from crm.services.messages import delivery, outcomes, receipts, replay, stuck
from crm.services.messages.accepted import Accepted
from crm.services.messages.backoff import Backoff
from crm.services.messages.claims import Claim, Outgoing, Settings
from crm.services.messages.starting import Started

log = structlog.get_logger(__name__)
T = TypeVar("T")

# Under the job's time-out with room for the longest call (20 s).
SECONDS = 60
# Meta answers in 100 to 400 ms: 80 a second of one number are some 24 calls under way. No number
# gets more, so one whose provider hangs leaves threads for the others: there are ten at most.
THREADS_PER_NUMBER = 24
THREADS = 10 * THREADS_PER_NUMBER
# With nothing to send, how far ahead it waits for a row or for a number's pace, and how often it
# looks. Longer waits are left to the clock's sweep.
LINGER_SECONDS = 3.0
LOOK_EVERY = 0.05
# While rows are claimed, how long another number may go unnoticed.
LOOK_AGAIN = 0.1
# While most threads are busy, how long a claim waits for more of them.
GATHER_SECONDS = 0.02
# As many times the threads may wait for their outcomes to be written before more are claimed.
MOST_OPEN = 2
# How often a long drain looks for the leases of workers that are gone.
TIDY_EVERY = 2.0
# A message whose file travels with it (WPPConnect): the call's time and some more.
FILE_SECONDS = 180.0
FILE_LEASE_SECONDS = 200.0

_threads: tuple[int, ThreadPoolExecutor] | None = None


@job("messages.deliver")
def deliver(number_id: int) -> None:
    """There is something to send. The number that rang goes first, but all are drained.

    One worker serves every number, so a drain that looked at one alone would keep the others
    waiting for up to a minute.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    config: Config = app.config["CRM"]
    client = client_for(config.provider_seconds, config.trusted_hosts)
    drain = Drain(app, settings_of(config), client)
    if drain.run(first=int(number_id), seconds=SECONDS):
        ring("messages.deliver", number_id)


@functools.cache
def client_for(total_seconds: float, trusted_hosts: tuple[str, ...] = ()) -> ProviderClients:
    """One client for the life of the process: its connections stay open between jobs.

    Meta's address is the operator's own; a WPPConnect server's comes from a form.
    """
    guard = PublicOnly(trusted_hosts)
    return ProviderClients(
        MetaClient(TimedHttp(total_seconds=total_seconds)),
        WppConnectClient(
            TimedHttp(total_seconds=total_seconds, guard=guard),
            files=TimedHttp(total_seconds=FILE_SECONDS, guard=guard),
        ),
    )


def settings_of(config: Config) -> Settings:
    return Settings(
        graph_url=config.meta_graph_url,
        encryption_keys=config.encryption_keys,
        zone=config.default_time_zone,
        lease_seconds=config.lease_seconds,
        uncertain_hold_seconds=config.uncertain_hold_seconds,
        backoff=Backoff(config.retry_base_seconds),
    )


class Drain:
    """Claims rows as threads get free and hands each to one of them.

    Only this one thread claims, so that a row is claimed at the moment of sending and never waits
    in a line of its own; the others only send and record.
    """

    def __init__(self, app: Flask, settings: Settings, client: SendsMessages) -> None:
        self.app = app
        self.settings = settings
        self.client = client
        self.books = Books(app, settings)
        self.outcomes = Outcomes(self.books.end, self._note_written)
        self.owner = uuid4()
        # Threads at work per number, and messages whose outcome is not written yet.
        self._busy: Counter[int] = Counter()
        self._open = 0
        self._enough = 0
        self._free = threading.Condition()

    def run(self, *, first: int, seconds: float) -> bool:
        """Send until nothing is due; True if time ran out before that."""
        end = time.monotonic() + seconds
        numbers: list[int] = []
        started = 0
        tidied: dict[int, float] = {}
        looked_at = -math.inf
        idle_since: float | None = None
        try:
            while time.monotonic() < end and not shutdown.is_asked():
                # Asked before looking: a message that ends meanwhile may let another one go, which
                # a look that came too early did not see.
                was_quiet = self._is_quiet()
                now = time.monotonic()
                if not started or now - looked_at > LOOK_AGAIN:
                    numbers, looked_at = self._find_numbers(first), now
                long_ago = now - TIDY_EVERY
                if untidy := [n for n in numbers if tidied.get(n, -math.inf) < long_ago]:
                    self._tidy(untidy)
                    tidied |= dict.fromkeys(untidy, time.monotonic())
                started, wait = self._start(numbers)
                if started or not was_quiet:
                    idle_since = None
                    self._wait_for_an_end()
                    continue
                idle_since = idle_since or time.monotonic()
                if not self._worth_waiting(wait, idle_since):
                    # Receipts that came in the very instant in which their message was recorded.
                    _unit(receipts.apply_early_receipts)
                    return False
                time.sleep(LOOK_EVERY)
            return not shutdown.is_asked()
        finally:
            self._wait_for_all()

    def _find_numbers(self, first: int) -> list[int]:
        due = _unit(
            partial(delivery.find_due_numbers, unresolved_seconds=self.settings.unresolved_seconds)
        )
        return sorted(due, key=lambda number_id: number_id != first)

    def _tidy(self, numbers: list[int]) -> None:
        """Leases of workers that are gone, open outcomes, receipts that missed their message."""
        _unit(partial(outcomes.expire_leases, numbers))
        _unit(partial(outcomes.flag_unresolved, numbers, settings=self.settings))
        _unit(receipts.apply_early_receipts)

    def _start(self, numbers: list[int]) -> tuple[int, float | None]:
        """Claim and hand over; how many, and the shortest wait for a number's pace."""
        rooms = self._rooms(numbers)
        if not rooms:
            return 0, None
        claimed = _unit(
            partial(delivery.claim_due, rooms, owner=self.owner, settings=self.settings)
        )
        if not claimed.claims:
            return 0, claimed.wait_seconds or None
        started = self.books.start(claimed.claims)
        with self._free:
            self._busy.update(claim.number_id for claim in claimed.claims)
            self._open += len(claimed.claims)
        for claim, start in zip(claimed.claims, started, strict=True):
            _pool().submit(self._send_and_let_go, claim, start)
        return len(claimed.claims), claimed.wait_seconds or None

    def _rooms(self, numbers: list[int]) -> dict[int, int]:
        """How many threads each number may take now: what is free in equal parts, one at least."""
        with self._free:
            free = min(THREADS - self._busy.total(), MOST_OPEN * THREADS - self._open)
            rooms: dict[int, int] = {}
            for n, number_id in enumerate(numbers):
                share = -(-free // (len(numbers) - n))
                room = min(share, THREADS_PER_NUMBER - self._busy[number_id])
                if room > 0:
                    rooms[number_id] = room
                    free -= room
        return rooms

    def _worth_waiting(self, pace_wait: float | None, idle_since: float) -> bool:
        if time.monotonic() - idle_since > LINGER_SECONDS:
            return False
        next_due = _unit(delivery.find_next_due_seconds)
        waits = [wait for wait in (pace_wait, next_due) if wait is not None]
        return bool(waits) and min(waits) <= LINGER_SECONDS

    def _is_quiet(self) -> bool:
        with self._free:
            return not self._open

    def _wait_for_an_end(self) -> None:
        """Wait until a message under way ends, or a moment; while most threads are busy, until
        some are free together: a claim costs the same for one row and for ten."""
        with self._free:
            if not self._open:
                return
            many = THREADS * 2 // 3
            self._enough = many if self._busy.total() > many else THREADS
            self._free.wait(LOOK_EVERY if self._enough == THREADS else GATHER_SECONDS)

    def _wait_for_all(self) -> None:
        with self._free:
            self._enough = 0
            self._free.wait_for(lambda: not self._busy.total())
        self.outcomes.close()

    def _send_and_let_go(self, claim: Claim, start: Started | Exception) -> None:
        accepted = None
        try:
            with self.app.app_context():
                accepted = send_one(claim, start, settings=self.settings, client=self.client)
        except Exception:
            # The row keeps its lease; when that ends it waits again or becomes uncertain.
            log.exception("delivery_broke", message_id=claim.message_id)
        finally:
            if accepted is not None:
                # Before the thread counts as free: the drain ends when all are.
                self.outcomes.put(accepted)
            with self._free:
                self._busy[claim.number_id] -= 1
                self._open -= accepted is None
                if self._busy.total() <= self._enough:
                    self._free.notify()

    def _note_written(self, written: Sequence[Accepted]) -> None:
        with self._free:
            self._open -= len(written)
            self._free.notify()


def send_one(
    claim: Claim, start: Started | Exception, *, settings: Settings, client: SendsMessages
) -> Accepted | None:
    """Send one claimed message; no transaction is open meanwhile.

    A yes is returned, to be written down with others; every other outcome is recorded here.
    """
    with contextlib.ExitStack() as borrowed:
        try:
            if start is None:
                return None  # somebody took over, or a receipt told that it did arrive
            if isinstance(start, Exception):
                raise start
            is_begun = not uploading.needs_upload(start.message.content)
            outgoing = start if is_begun else _with_file(start, borrowed, settings=settings)
        except ProviderError as error:
            _record(partial(outcomes.record_error, claim, error, settings=settings, called=False))
            return None
        if is_begun or _begin(outgoing, settings=settings):
            return _call(outgoing, settings=settings, client=client)
        return None


def _begin(outgoing: Outgoing, *, settings: Settings) -> bool:
    """What a file kept waiting begins only now, and may be a call as long as the file."""
    if uploading.needs_upload(outgoing.message.content):
        lease = max(settings.lease_seconds, FILE_LEASE_SECONDS)
        settings = dataclasses.replace(settings, lease_seconds=lease)
    (is_ours,) = _unit(partial(delivery.mark_submitted, [outgoing.claim], settings=settings))
    db.session.remove()
    return is_ours


def _with_file(
    outgoing: Outgoing, borrowed: contextlib.ExitStack, *, settings: Settings
) -> Outgoing:
    """Meta gets the file before the message and gives an id for it; a server that takes the bytes
    with the message gets them from a file that we lend it."""
    spool = partial(files.spool, current_app.config["CRM"].data_dir)
    if isinstance(outgoing.channel, WppConnectChannel):
        folder = borrowed.enter_context(spool())
        return uploading.lend(outgoing, folder, settings=settings, unit=_unit)
    uploader = media_client(settings.graph_url)
    return uploading.attach(outgoing, uploader, settings=settings, unit=_unit, spool=spool)


def _call(outgoing: Outgoing, *, settings: Settings, client: SendsMessages) -> Accepted | None:
    claim = outgoing.claim
    try:
        result = client.send(outgoing.channel, outgoing.message)
    except ProviderError as error:
        if error.permanent and uploading.has_file(outgoing.message.content):
            # Perhaps it was the file's id that is no longer known: a person's retry uploads anew.
            _unit(partial(uploading.forget_upload, claim))
        # An `except` name ends with its block; the unit runs inside it.
        _record(partial(outcomes.record_error, claim, error, settings=settings))
        return None
    return Accepted(claim, result, counts=outgoing.counts)


def _unit(work: Callable[[], T]) -> T:
    """`work` in a transaction of its own, again after a deadlock."""

    def once() -> T:
        with atomic():
            return work()

    return retrying(once)


def _record(work: Callable[[], object]) -> None:
    """Keep an outcome, with some patience: without it the message ends as uncertain."""
    for left in reversed(range(TRIES)):
        try:
            _unit(work)
            return
        except DBAPIError:
            if not left:
                raise
            db.session.remove()
            time.sleep(AGAIN_SECONDS)


def _pool() -> ThreadPoolExecutor:
    """This process's threads, kept between jobs: their connections to the provider stay open."""
    global _threads
    if _threads is None or _threads[0] != os.getpid():
        _threads = (os.getpid(), ThreadPoolExecutor(THREADS, thread_name_prefix="delivery"))
    return _threads[1]


@job("messages.import_history")
def import_history(key: str) -> None:
    """Read the bodies that hold a number's past, one transaction for each."""
    while ids := replay.find_received():
        for webhook_event_id in ids:

            def unit(webhook_event_id: int = webhook_event_id) -> None:
                with atomic():
                    replay.replay(webhook_event_id)

            retrying(unit)
            db.session.remove()
            if shutdown.is_asked():
                return


@job("messages.watch")
@scheduled("messages.watch")
def watch() -> None:
    """Is anything lying forgotten?"""
    with atomic():
        stuck.watch()
    _unit(receipts.apply_early_receipts)
