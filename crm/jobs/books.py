"""The database's side of the delivery: what many threads write at the same step, in sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog
from flask import Flask
from sqlalchemy.exc import DBAPIError

from crm.db import atomic, postpone_callbacks, retrying
from crm.lib.batching import GroupCommit
from crm.services.messages import accepted, delivery, loading
from crm.services.messages.accepted import Accepted
from crm.services.messages.delivery import Claim, Settings
from crm.services.messages.loading import Loaded

log = structlog.get_logger(__name__)

# While many leave, a step waits this long at most for as many as it last took together.
PATIENCE_SECONDS = 0.005


class Books:
    """The database's side of many sends at once: one transaction for all threads that are at the
    same step. A set that is refused is done again one by one, so that one harms no other.
    """

    def __init__(self, app: Flask, settings: Settings, *, most: int) -> None:
        self.app = app
        self.settings = settings
        many: dict[str, Any] = {"most": most, "patience": PATIENCE_SECONDS}
        self.starts: GroupCommit[Claim, bool] = GroupCommit(
            partial(self._run, partial(delivery.mark_submitted, settings=settings)), **many
        )
        self.ends: GroupCommit[Accepted, bool] = GroupCommit(
            partial(self._run, partial(accepted.record_sent, zone=settings.zone)), **many
        )

    def load(self, claims: Sequence[Claim]) -> Sequence[Loaded]:
        """What the claimed rows say."""
        loads, _ = self._run(partial(loading.load_outgoing, settings=self.settings), claims)
        return loads

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
