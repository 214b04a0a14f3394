"""The extension objects, bare; `create_app` binds them."""

import os
from collections.abc import Callable
from typing import Any

import redis
from flask_babel import Babel
from flask_htmx import HTMX
from flask_login import LoginManager
from flask_migrate import Migrate
from flask_sock import Sock
from flask_wtf import CSRFProtect
from redis.backoff import NoBackoff
from redis.retry import Retry

from crm.lib.file_store import Store

babel = Babel()
csrf = CSRFProtect()
htmx = HTMX()
login_manager = LoginManager()
migrate = Migrate()
sock = Sock()


class RedisClient:
    """The application's Redis, bound at start and used through attributes (`redis_client.get`).

    A bare object that modules may import before any application exists.
    """

    def __init__(self) -> None:
        self._client: redis.Redis | None = None

    def bind(self, url: str) -> None:
        # A web request never waits long for Redis: it is a doorbell, not the truth.
        self._client = redis.Redis.from_url(
            url,
            socket_timeout=2,
            socket_connect_timeout=2,
            retry=Retry(NoBackoff(), 1),
            health_check_interval=30,
        )

    @property
    def client(self) -> redis.Redis:
        """The client itself, for libraries that want one."""
        if self._client is None:
            raise RuntimeError("Redis is used before create_app() has bound it")
        return self._client

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)


redis_client = RedisClient()


class FileStore:
    """Where files lie, bound at start and opened at the first use, in each process for itself."""

    def __init__(self) -> None:
        self._open: Callable[[], Store] | None = None
        self._opened: tuple[int, Store] | None = None

    def bind(self, opener: Callable[[], Store]) -> None:
        self._open, self._opened = opener, None

    @property
    def store(self) -> Store:
        if self._open is None:
            raise RuntimeError("the file store is used before create_app() has bound it")
        # A client with open connections must not be shared with a parent that has forked.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), self._open())
        return self._opened[1]


file_store = FileStore()
