"""Real servers for every test: a Postgres and a Redis of this run's own, migrated once.

Set TEST_DATABASE_URL and TEST_REDIS_URL to use others (they are emptied!).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
from cryptography.fernet import Fernet
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from crm import create_app, embedded
from crm.config import Config
from crm.db import db, retrying
from crm.extensions import redis_client
from tests.audit_names import hold_names

# Seeded by the migrations; a test that changes one puts it back.
SEEDED = {"alembic_version", "roles", "permissions", "role_permissions", "users"}


class Visitor(FlaskClient):
    """Each request in an application context of its own, as in a server.

    Flask would reuse the one that the `app` fixture has pushed, and with it `g`, the person and
    the database session of the request before.
    """

    def open(self, *args: Any, **kwargs: Any) -> Any:
        with self.application.app_context():
            return super().open(*args, **kwargs)


@pytest.fixture(scope="session")
def servers() -> Iterator[embedded.Urls]:
    """The addresses of Postgres and Redis."""
    given = os.environ.get("TEST_DATABASE_URL"), os.environ.get("TEST_REDIS_URL")
    if all(given):
        yield embedded.Urls(given[0] or "", given[1] or "")
        return
    with (
        tempfile.TemporaryDirectory(prefix="charla-test-", ignore_cleanup_errors=True) as folder,
        embedded.servers(Path(folder) / "servers", durable=False) as urls,
    ):
        yield urls


@pytest.fixture(scope="session")
def environment(servers: embedded.Urls, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The settings of a whole test installation, as a child process would get them."""
    return {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        "SECRET_KEY": "test-secret-key-of-more-than-32-characters",
        "CRM_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "CRM_DATA_DIR": str(tmp_path_factory.mktemp("data")),
        "META_APP_SECRET": "test-app-secret,older-app-secret",
        "META_VERIFY_TOKEN": "test-verify-token",
        "META_GRAPH_URL": "http://127.0.0.1:9/v23.0",  # nobody listens: a test names its own
        "CRM_TESTING": "true",
    }


@pytest.fixture(scope="session")
def migrated_app(environment: dict[str, str]) -> Flask:
    """One application for the run, on a database brought up by the real migrations."""
    app = create_app(Config.from_env(environment))
    app.test_client_class = Visitor
    hold_names()
    with app.app_context():
        flask_migrate.upgrade()
    return app


@pytest.fixture
def app(migrated_app: Flask) -> Iterator[Flask]:
    """The application on empty tables and an empty Redis, its context pushed."""
    with migrated_app.app_context():
        # A web server that several tests share may still be writing down that a browser has left.
        retrying(empty_database)
        redis_client.flushdb()
        yield migrated_app
        db.session.rollback()
        db.session.remove()


@pytest.fixture
def database(app: Flask) -> Flask:
    """For tests that speak to services: the same as `app`, by the name of what they need."""
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def empty_database() -> None:
    """Empty every table but the seeded ones; of those, only the system's rows stay.

    By DELETE and only where rows are, children first: TRUNCATE of all tables makes a new file for
    each of them and of their indexes, which took longer than most tests.
    """
    names = [table.name for table in reversed(db.metadata.sorted_tables)]
    names = [name for name in names if name not in SEEDED]
    probe = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (TABLE {name})" for name in names)
    with db.engine.begin() as connection:
        filled = set(connection.execute(text(probe)).scalars())
        if "audit_logs" in filled:
            # Nobody may change the trail, tests included, without saying so.
            connection.execute(text("ALTER TABLE audit_logs DISABLE TRIGGER USER"))
            connection.execute(text("DELETE FROM audit_logs"))
            connection.execute(text("ALTER TABLE audit_logs ENABLE TRIGGER USER"))
        for name in names:
            if name in filled and name != "audit_logs":
                connection.execute(text(f"DELETE FROM {name}"))
        connection.execute(text("DELETE FROM users WHERE NOT is_system"))
        connection.execute(text("DELETE FROM roles WHERE NOT is_system"))
