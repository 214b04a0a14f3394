"""A pooled connection that has died is noticed before anybody works with it."""

from __future__ import annotations

import psycopg2
import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import InvalidatePoolError

from crm.lib import pooled


@pytest.fixture
def engine(app) -> Engine:
    made = create_engine(
        app.config["SQLALCHEMY_DATABASE_URI"],
        pool_size=2,
        pool_events=[(pooled.look_before_use, "checkout"), (pooled.note_return, "checkin")],
    )
    yield made
    made.dispose()


def plain_url(app) -> str:
    return app.config["SQLALCHEMY_DATABASE_URI"].replace("+psycopg2", "")


def backend_of(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(text("SELECT pg_backend_pid()"))


def end(app, pid: int) -> None:
    """End a backend, and wait until it is gone."""
    other = psycopg2.connect(plain_url(app))
    other.autocommit = True
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 20000)", (pid,))
        assert cursor.fetchone()[0]
    other.close()


def test_a_living_connection_is_used_again_without_a_question(engine):
    pid = backend_of(engine)
    asked = []
    event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    assert backend_of(engine) == pid
    assert asked == ["SELECT pg_backend_pid()"]


def test_a_connection_that_the_server_ended_is_replaced(app, engine):
    pid = backend_of(engine)
    end(app, pid)
    assert backend_of(engine) != pid


def test_after_a_long_rest_the_server_is_asked(app, engine, monkeypatch):
    monkeypatch.setattr(pooled, "REST_SECONDS", 0.0)
    pid = backend_of(engine)
    assert backend_of(engine) == pid
    monkeypatch.setattr(pooled, "_has_something_to_say", lambda descriptor: False)
    end(app, pid)
    assert backend_of(engine) != pid


def test_a_connection_without_a_socket_is_dead(app):
    connection = psycopg2.connect(plain_url(app))
    connection.close()

    class Record:
        info: dict[str, float] = {}

    with pytest.raises(InvalidatePoolError):
        pooled.look_before_use(connection, Record(), None)
