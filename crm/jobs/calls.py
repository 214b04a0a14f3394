"""One claimed message in a thread of its own: its file, the call, and what became of it.

A yes is handed on, to be written down with others; every other outcome is recorded here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from typing import TypeVar

from flask import current_app
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from crm.db import atomic, db, retrying
from crm.jobs.media import media_client
from crm.jobs.outcomes import AGAIN_SECONDS, TRIES
from crm.providers.outbound import ProviderError, SendsMessages
from crm.providers.wppconnect.client import WppConnectChannel
from crm.services import files
from crm.services.media import uploading
from crm.services.messages import delivery, outcomes
from crm.services.messages.accepted import Accepted
from crm.services.messages.claims import Claim, Outgoing, Settings
from crm.services.messages.starting import Started

T = TypeVar("T")

# A message whose file travels with it (WPPConnect): the call's time and some more.
FILE_SECONDS = 180.0
FILE_LEASE_SECONDS = 200.0


def send_one(
    claim: Claim, start: Started | Exception, *, settings: Settings, client: SendsMessages
) -> Accepted | None:
    """Send one claimed message; no transaction is open meanwhile. None: there is nothing to add."""
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


def unit(work: Callable[[], T]) -> T:
    """`work` in a transaction of its own, again after a deadlock."""

    def once() -> T:
        with atomic():
            return work()

    return retrying(once)


def _begin(outgoing: Outgoing, *, settings: Settings) -> bool:
    """What a file kept waiting begins only now, and may be a call as long as the file."""
    if uploading.needs_upload(outgoing.message.content):
        lease = max(settings.lease_seconds, FILE_LEASE_SECONDS)
        settings = dataclasses.replace(settings, lease_seconds=lease)
    (is_ours,) = _in_turn(partial(delivery.mark_submitted, [outgoing.claim], settings=settings))
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
        return uploading.lend(outgoing, folder, settings=settings, unit=_in_turn)
    uploader = media_client(settings.graph_url)
    return uploading.attach(outgoing, uploader, settings=settings, unit=_in_turn, spool=spool)


def _call(outgoing: Outgoing, *, settings: Settings, client: SendsMessages) -> Accepted | None:
    claim = outgoing.claim
    try:
        result = client.send(outgoing.channel, outgoing.message)
    except ProviderError as error:
        if error.permanent and uploading.has_file(outgoing.message.content):
            # Perhaps it was the file's id that is no longer known: a person's retry uploads anew.
            _in_turn(partial(uploading.forget_upload, claim))
        # An `except` name ends with its block; the unit runs inside it.
        _record(partial(outcomes.record_error, claim, error, settings=settings))
        return None
    return Accepted(claim, result, counts=outgoing.counts)


def _record(work: Callable[[], object]) -> None:
    """Keep an outcome, with some patience: without it the message ends as uncertain."""
    for left in reversed(range(TRIES)):
        try:
            _in_turn(work)
            return
        except (DBAPIError, PoolTimeout):
            if not left:
                raise
            db.session.remove()
            time.sleep(AGAIN_SECONDS)


def _in_turn(work: Callable[[], T]) -> T:
    """A unit of one of the many threads. Hundreds may come at the same moment, when a provider
    refuses them all; they wait here for as long as it takes and not in the pool, which gives up
    after some seconds and serves the claims and the outcomes as well."""
    with _places(current_app.config["CRM"].database_pool_size):
        return unit(work)


@cache
def _places(pool_size: int) -> threading.Semaphore:
    """Half of the connections that the pool may open."""
    return threading.Semaphore(pool_size)
