"""The extension objects, bare; `create_app` binds them."""

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
