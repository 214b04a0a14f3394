"""The process's one subscription to the live events in Redis.

`on_event` is called for each event, `on_lost` once when the subscription breaks, `on_back` whenever
one stands, the first included: what was published before is gone, so the pages fetch anew.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import redis
import structlog
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from crm.events import CHANNEL, Audience, Event, decode

log = structlog.get_logger(__name__)

# A Redis that accepts but never answers is noticed by a ping of our own within twice this time.
PING_SECONDS = 4.0
RETRY_SECONDS = 1.0


class Silence(RedisError):
    """Redis has not answered our ping."""


class Feed:
    """Reads the channel until `stop()`; meant to be the body of one thread."""

    def __init__(
        self,
        url: str,
        *,
        on_event: Callable[[Event, Audience], None],
        on_lost: Callable[[], None],
        on_back: Callable[[], None],
    ) -> None:
        self._url = url
        self._on_event = on_event
        self._on_lost = on_lost
        self._on_back = on_back
        self._stopped = threading.Event()
        self.lost = False
        self.heard = False

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        while not self._stopped.is_set():
            # No silent reconnection: redis-py would subscribe again and say nothing of the gap.
            client = redis.Redis.from_url(
                self._url,
                socket_timeout=5,
                socket_connect_timeout=2,
                retry=Retry(NoBackoff(), 0),
            )
            try:
                self._read(client)
            except (RedisError, OSError) as error:
                self._note_lost(error)
                self._stopped.wait(RETRY_SECONDS * (0.5 + random.random()))
            finally:
                client.close()

    def _read(self, client: redis.Redis) -> None:
        pubsub = client.pubsub()
        try:
            pubsub.subscribe(CHANNEL)
            heard = pinged = time.monotonic()
            while not self._stopped.is_set():
                message = pubsub.get_message(timeout=1.0)
                now = time.monotonic()
                if message is not None:
                    heard = now
                    self._take(message)
                elif now - heard > 2 * PING_SECONDS:
                    raise Silence("no answer to a ping")
                if now - heard > PING_SECONDS and now - pinged > PING_SECONDS:
                    pinged = now
                    pubsub.ping()
        finally:
            pubsub.close()

    def _take(self, message: dict[str, object]) -> None:
        kind = message["type"]
        if kind == "subscribe":
            self._note_back()
        elif kind == "message":
            try:
                events = decode(message["data"])  # type: ignore[arg-type]
            except ValueError as error:
                log.warning("event_not_understood", error=str(error))
                return
            for event, audience in events:
                self._on_event(event, audience)

    def _note_back(self) -> None:
        if self.lost:
            log.info("live_events_back")
        self.lost = False
        self.heard = True
        self._on_back()

    def _note_lost(self, error: Exception) -> None:
        if not self.lost and not self._stopped.is_set():
            self.lost = True
            log.warning("live_events_lost", error=type(error).__name__)
            self._on_lost()
