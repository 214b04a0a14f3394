"""Fetches the files of messages that came in; counts and tidies what lies in the store."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from crm.config import Config
from crm.db import atomic, db, retrying
from crm.doorbell import job, ring
from crm.extensions import file_store
from crm.jobs import shutdown
from crm.jobs.schedule import scheduled
from crm.providers.meta.client import MetaChannel
from crm.providers.meta.media import TRANSFER_SECONDS, FetchFault, MetaMedia
from crm.services import files
from crm.services.files.receiving import ABANDONED_SECONDS, StoreFull, clear_spool
from crm.services.files.storing import remove_bytes
from crm.services.media import claims, fetching
from crm.services.media.claims import Fetch
from crm.services.wppconnect.arrivals import clear_arrivals
from crm.services.wppconnect.gateways import LARGEST_FILE, gateway_for
from crm.services.wppconnect.media import ServerMedia

log = structlog.get_logger(__name__)
T = TypeVar("T")

# How long a job begins new work; what it began it also ends.
SECONDS = 240
# A worker that is asked to stop leaves its downloads this long to end, then to the next worker.
LAST_SECONDS = 3.0
# How soon it notices that it was asked.
LOOK_SECONDS = 0.5
# Downloads wait for the network; looking at the files has a process of its own for each.
AT_ONCE = 4


@job("media.fetch")
def fetch(number_id: int) -> None:
    """Files are due. All numbers are served, whichever rang.

    Each file that is done makes room for the next, so that a slow one delays nobody but itself.
    Meanwhile the leases of all are renewed from here: they end with this process, and at once where
    it is asked to stop.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    config: Config = app.config["CRM"]
    end = time.monotonic() + SECONDS
    leases = Leases(number_id, config.lease_seconds)
    running: dict[Future[None], Fetch] = {}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="media") as pool:
        while True:
            may_begin = time.monotonic() < end and not shutdown.is_asked()
            if may_begin and len(running) < AT_ONCE:
                for claim in _claim(config, limit=AT_ONCE - len(running)):
                    running[pool.submit(_fetch_one, app, claim)] = claim
            if not running:
                break
            for done in wait(running, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED).done:
                del running[done]
            leases.look_after(list(running.values()))
    if not may_begin:
        ring("media.fetch", number_id)


def _claim(config: Config, *, limit: int) -> list[Fetch]:
    claimed = _unit(
        partial(
            claims.claim_fetches,
            limit=limit,
            lease_seconds=config.lease_seconds,
            graph_url=config.meta_graph_url,
            keys=config.encryption_keys,
        )
    )
    db.session.remove()
    return claimed


class Leases:
    """Renewed in time while files are fetched; given back once this worker is asked to stop."""

    def __init__(self, number_id: int, lease_seconds: float) -> None:
        self.number_id = number_id
        self.lease_seconds = lease_seconds
        self.due = time.monotonic() + lease_seconds / claims.RENEWALS
        self.last: float | None = None

    def look_after(self, running: list[Fetch]) -> None:
        now = time.monotonic()
        if self.last is None and shutdown.is_asked():
            self.last = now + LAST_SECONDS
        if self.last is not None and now >= self.last:
            self._give_back([fetch for fetch in running if not fetch.is_lost.is_set()])
        elif now >= self.due:
            self.due = now + self.lease_seconds / claims.RENEWALS
            self._try(partial(claims.renew_leases, running, lease_seconds=self.lease_seconds))

    def _give_back(self, running: list[Fetch]) -> None:
        if running and self._try(partial(claims.give_back, running)):
            for fetch in running:
                fetch.is_lost.set()
            # A silent line may hold this process for some seconds more.
            ring("media.fetch", self.number_id)

    def _try(self, work: Callable[[], None]) -> bool:
        try:
            _unit(work)
        except SQLAlchemyError as error:
            # The next time is soon; without any, somebody else takes the files once their leases
            # end, and ours write nothing.
            log.warning("leases_not_renewed", error=type(error).__name__)
            return False
        finally:
            db.session.remove()
        return True


@functools.cache
def media_client(graph_url: str) -> MetaMedia:
    """One for the life of the process: its connections stay open between jobs."""
    return MetaMedia(graph_url)


def source_of(claim: Fetch, config: Config) -> fetching.Source:
    """Where the file of this message lies."""
    if isinstance(claim.channel, MetaChannel):
        return media_client(claim.channel.graph_url)
    gateway = gateway_for(
        config.trusted_hosts, total_seconds=TRANSFER_SECONDS, largest=LARGEST_FILE
    )
    return ServerMedia(gateway, config.arrivals_dir, claim.media.get("spool"))


def _fetch_one(app: Flask, claim: Fetch) -> None:
    with app.app_context():
        try:
            config: Config = app.config["CRM"]
            fetch_one(claim, source_of(claim, config), data_dir=config.data_dir)
        except Exception:
            # The lease ends by itself, and somebody else tries.
            log.exception("media_fetch_broke", message_id=claim.message_id)


def fetch_one(claim: Fetch, source: fetching.Source, *, data_dir: Path) -> None:
    """Fetch, check, keep, and hang it on its message; or note why not."""
    try:
        with files.spool(data_dir) as folder:
            stored = fetching.fetch_file(claim, source, folder)
    except fetching.Superseded:
        log.info("media_superseded", message_id=claim.message_id, attempt=claim.attempt)
        return
    except FetchFault as fault:
        code = fault.code
    except StoreFull:
        code = "no_room"
    except files.StoreUnavailable:
        code = "store"
    else:
        if _unit(partial(fetching.record_file, claim, stored)) is None:
            files.drop_stored(stored)
        else:
            source.release()
        return
    _unit(partial(fetching.record_fault, claim, code))


@job("media.count")
@scheduled("media.count")
def count() -> None:
    """Write how often files were opened."""
    with atomic():
        files.flush_access()


@job("media.tidy")
@scheduled("media.tidy")
def tidy() -> None:
    """Remove bytes that had their time, and what killed processes left behind."""
    config: Config = current_app.config["CRM"]
    clear_spool(config.data_dir)
    file_store.store.clear_unfinished(older_than=ABANDONED_SECONDS)
    clear_arrivals(config.arrivals_dir)
    while True:
        with atomic():
            gone = files.tidy()
        for file in gone:
            remove_bytes(file)
        if not gone:
            return


def _unit(work: Callable[[], T]) -> T:
    """`work` in a transaction of its own, again after a deadlock."""

    def once() -> T:
        with atomic():
            return work()

    return retrying(once)
