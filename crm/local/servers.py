"""Asks the servers before anything is loaded: whether they answer, and whether they are current.

Apart from the rest for a quick start: the models and Alembic take a second to import.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import psycopg2
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from crm.config import postgres_url

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations" / "versions"


class NotReady(Exception):
    """A server or the database's content stands in the way; the text is one line for people."""


def check_servers(environment: Mapping[str, str]) -> None:
    """For servers that are not ours: a clear word before anything is started."""
    try:
        psycopg2.connect(libpq_url(environment), connect_timeout=5).close()
    except psycopg2.Error as error:
        reason = str(error).strip().splitlines()[-1]
        raise NotReady(f"the Postgres of DATABASE_URL does not answer: {reason}") from None
    try:
        redis.Redis.from_url(
            environment["REDIS_URL"],
            socket_timeout=5,
            socket_connect_timeout=5,
            retry=Retry(NoBackoff(), 0),
        ).ping()
    except (redis.RedisError, ValueError) as error:
        raise NotReady(f"the Redis of REDIS_URL does not answer: {error}") from None


def is_current(environment: Mapping[str, str]) -> bool:
    """Whether every migration has run. Asked without loading the application, for a quick start."""
    newest = max(path.stem for path in MIGRATIONS.glob("[0-9]*.py"))
    try:
        connection = psycopg2.connect(libpq_url(environment), connect_timeout=5)
    except psycopg2.OperationalError:
        return False
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT version_num FROM alembic_version")
            return cursor.fetchall() == [(newest,)]
    except psycopg2.Error:
        return False
    finally:
        connection.close()


def libpq_url(environment: Mapping[str, str]) -> str:
    """The database's address as psycopg2 takes it."""
    return postgres_url(environment).replace("postgresql+psycopg2://", "postgresql://", 1)
