"""The delivery job: drains what is due, many chats at once, in short transactions of its own."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Mapping
from functools import partial
from uuid import uuid4

import structlog
from flask import Flask, current_app

from crm.config import Config
from crm.db import db
from crm.doorbell import job, ring
from crm.jobs import shutdown
from crm.jobs.books import Books
from crm.jobs.calls import FILE_SECONDS, send_one, unit
from crm.jobs.outcomes import Outcomes
from crm.jobs.schedule import scheduled
from crm.jobs.under_way import under_way
from crm.lib.addresses import PublicOnly
from crm.lib.timed_http import TimedHttp
from crm.providers.clients import ProviderClients
from crm.providers.meta.client import MetaClient
from crm.providers.outbound import SendsMessages
from crm.providers.wppconnect.client import WppConnectClient
from crm.services.messages import delivery, outcomes, receipts, replay, stuck, words
from crm.services.messages.backoff import Backoff
from crm.services.messages.claims import Claim, Settings
from crm.services.messages.starting import Started

log = structlog.get_logger(__name__)
# Well under the job's time-out.
SECONDS = 60
# With nothing to send, how far ahead it waits for a row or for a number's pace, and how often it
# looks. Longer waits are left to the clock's sweep.
LINGER_SECONDS = 3.0
LOOK_EVERY = 0.05
# While rows are claimed, how long another number may go unnoticed.
LOOK_AGAIN = 0.1
# How often a long drain looks for the leases of workers that are gone.
TIDY_EVERY = 2.0
# How often it looks for rows that may end their worker, and how long these wait for the others to
# be done: the longest call.
SUSPECTS_EVERY = 15.0
SUSPECT_PATIENCE = 20.0


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
        self.calls = under_way()
        self.outcomes = Outcomes(
            self.books.end, lambda written: self.calls.note_written(len(written))
        )
        self.owner = uuid4()
        self._suspected_at = -math.inf

    def run(self, *, first: int, seconds: float) -> bool:
        """Send until nothing is due; True if time ran out before that.

        Calls may be under way then: a provider that hangs keeps nobody waiting for this job's end.
        """
        end = time.monotonic() + seconds
        numbers: list[int] = []
        started = 0
        tidied: dict[int, float] = {}
        looked_at = -math.inf
        idle_since: float | None = None
        while time.monotonic() < end and not shutdown.is_asked():
            # Asked before looking: a message that ends meanwhile may let another one go, which
            # a look that came too early did not see.
            was_quiet = self.calls.is_quiet()
            now = time.monotonic()
            if not started or now - looked_at > LOOK_AGAIN:
                numbers, looked_at = self._find_numbers(first), now
            long_ago = now - TIDY_EVERY
            if untidy := [n for n in numbers if tidied.get(n, -math.inf) < long_ago]:
                self._tidy(untidy)
                if now - self._suspected_at > SUSPECTS_EVERY:
                    self._send_suspects(numbers, end=end)
                    self._suspected_at = time.monotonic()
                tidied |= dict.fromkeys(untidy, time.monotonic())
            started, wait = self._start(self.calls.rooms(numbers))
            if started or not was_quiet:
                idle_since = None
                self.calls.wait_for_an_end(LOOK_EVERY)
                continue
            idle_since = idle_since or time.monotonic()
            if not self._worth_waiting(wait, idle_since):
                # Receipts that came in the very instant in which their message was recorded.
                unit(receipts.apply_early_receipts)
                return False
            time.sleep(LOOK_EVERY)
        if shutdown.is_asked():
            self.calls.wait_until_quiet()
            return False
        return True

    def _find_numbers(self, first: int) -> list[int]:
        due = unit(
            partial(delivery.find_due_numbers, unresolved_seconds=self.settings.unresolved_seconds)
        )
        return sorted(due, key=lambda number_id: number_id != first)

    def _tidy(self, numbers: list[int]) -> None:
        """Leases of workers that are gone, open outcomes, receipts that missed their message."""
        unit(partial(outcomes.expire_leases, numbers))
        unit(partial(outcomes.flag_unresolved, numbers, settings=self.settings))
        unit(receipts.apply_early_receipts)

    def _send_suspects(self, numbers: list[int], *, end: float) -> None:
        """Rows that were there when workers ended go one by one, while nothing else is under way:
        the one that ends this worker as well takes no other along."""
        for number_id in unit(partial(delivery.find_suspects, numbers)):
            while not shutdown.is_asked() and time.monotonic() < end:
                if not self.calls.wait_until_quiet(SUSPECT_PATIENCE):
                    return
                started, _ = self._start({number_id: 1}, suspects=True)
                if not started:
                    break

    def _start(
        self, rooms: Mapping[int, int], *, suspects: bool = False
    ) -> tuple[int, float | None]:
        """Claim and hand over; how many, and the shortest wait for a number's pace."""
        if not rooms:
            return 0, None
        claimed = unit(
            partial(
                delivery.claim_due,
                rooms,
                owner=self.owner,
                settings=self.settings,
                suspects=suspects,
            )
        )
        if claimed.claims:
            started = self.books.start(claimed.claims)
            self.calls.begin(
                (claim.number_id, partial(self._send, claim, start))
                for claim, start in zip(claimed.claims, started, strict=True)
            )
        return len(claimed.claims), claimed.wait_seconds or None

    def _worth_waiting(self, pace_wait: float | None, idle_since: float) -> bool:
        if time.monotonic() - idle_since > LINGER_SECONDS:
            return False
        next_due = unit(delivery.find_next_due_seconds)
        waits = [wait for wait in (pace_wait, next_due) if wait is not None]
        return bool(waits) and min(waits) <= LINGER_SECONDS

    def _send(self, claim: Claim, start: Started | Exception) -> bool:
        """In a thread of its own; True if there is an outcome to be written."""
        try:
            with self.app.app_context():
                accepted = send_one(claim, start, settings=self.settings, client=self.client)
        except Exception:
            # The row keeps its lease; when that ends it waits again or becomes uncertain.
            log.exception("delivery_broke", message_id=claim.message_id)
            return False
        if accepted is None:
            return False
        self.outcomes.put(accepted)
        return True


@job("messages.import_history")
def import_history(key: str) -> None:
    """Read the bodies that hold a number's past, one transaction for each."""
    while ids := replay.find_received():
        for webhook_event_id in ids:
            unit(partial(replay.replay, webhook_event_id))
            db.session.remove()
            if shutdown.is_asked():
                return


@job("messages.read_words")
def read_words(key: str) -> None:
    """Keep the search's words up with the messages; after an upgrade, all that there are."""
    end = time.monotonic() + SECONDS
    while unit(words.read_some):
        if time.monotonic() > end or shutdown.is_asked():
            ring("messages.read_words", key)
            return


@job("messages.watch")
@scheduled("messages.watch")
def watch() -> None:
    """Is anything lying forgotten?"""
    unit(stuck.watch)
    unit(receipts.apply_early_receipts)
