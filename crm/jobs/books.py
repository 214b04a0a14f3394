"""The database's side of the delivery: what many threads write at the same step, in sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog
from flask import Flask
from sqlalchemy.exc import DBAPIError

from crm.db import atomic, postpone_callbacks, retrying
from crm.services.messages import accepted, starting
from crm.services.messages.accepted import Accepted
from crm.services.messages.claims import Claim, Settings
from crm.services.messages.starting import Started

log = structlog.get_logger(__name__)


class Books:
    """The database's side of many sends at once: one transaction for all that are at the same
    step. A set that is refused is done again one by one, so that one harms no other.
    """

    def __init__(self, app: Flask, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    def start(self, claims: Sequence[Claim]) -> Sequence[Started | Exception]:
        """What the claimed rows say, and the note that their calls begin (see starting.start)."""
        started, _ = self._run(partial(starting.start, settings=self.settings), claims)
        return started

    def end(self, sent: Sequence[Accepted]) -> Sequence[bool | Exception]:
        """The provider's yes to each, written down (see accepted.record_sent)."""
        ended, afterwards = self._run(partial(accepted.record_sent, zone=self.settings.zone), sent)
        afterwards()
        return ended

    def _run(
        self, work: Callable[[Sequence[Any]], Sequence[Any]], items: Sequence[Any]
    ) -> tuple[Sequence[Any], Callable[[], None]]:
        """One step for all `items`; browsers and doorbells are told when the threads go on."""

        def unit(some: Sequence[Any]) -> tuple[Sequence[Any], Callable[[], None]]:
            def once() -> tuple[Sequence[Any], Callable[[], None]]:
                with atomic():
                    return work(some), postpone_callbacks()

            return retrying(once)

        # A session of its own, which the step takes along when it ends.
        with self.app.app_context():
            try:
                return unit(items)
            except DBAPIError as error:
                if len(items) == 1 or is_away(error):
                    raise
                log.warning("delivery_set_refused", error=type(error).__name__)
            results: list[Any] = []
            callbacks: list[Callable[[], None]] = []
            for item in items:
                try:
                    (result,), callback = unit([item])
                except DBAPIError as error:
                    results.append(error)
                else:
                    results.append(result)
                    callbacks.append(callback)
            return results, partial(_call_all, callbacks)


def _call_all(callbacks: list[Callable[[], None]]) -> None:
    for callback in callbacks:
        callback()


def is_away(error: DBAPIError) -> bool:
    """There is no database at this moment: one by one would be no better."""
    return error.connection_invalidated or getattr(error.orig, "pgcode", None) is None
