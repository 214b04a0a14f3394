"""What the local stack does to its database before anybody comes: migrations and demo data."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

import flask_migrate
import psycopg2
import redis
from flask import Flask
from redis.backoff import NoBackoff
from redis.retry import Retry

from crm.config import postgres_url
from crm.db import MIGRATIONS, atomic, db
from crm.services import demo


class NotReady(Exception):
    """A server or the database's content stands in the way; the text is one line for people."""


@dataclass(frozen=True)
class DemoAccounts:
    """Who may sign in, for the welcome block. Without demo data there is nobody to name."""

    people: tuple[demo.Account, ...] = ()
    password: str | None = None

    def lines(self) -> list[str]:
        if not self.people:
            return ["No demo accounts: this database was in use before Charla could fill it."]
        if self.password is None:
            first = "Password      changed since the demo data was loaded"
        else:
            first = f"Password      {self.password}   (the same for all)"
        wide = max(len(account.email) for account in self.people)
        rows = [f"{account.email:<{wide}}   {account.role}" for account in self.people]
        return [f"Sign in as    {rows[0]}", *(f"{'':14}{row}" for row in rows[1:]), first]


def check_servers(environment: Mapping[str, str]) -> None:
    """For servers that are not ours: a clear word before anything is started."""
    try:
        psycopg2.connect(_libpq_url(environment), connect_timeout=5).close()
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
    newest = max(path.stem for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    try:
        connection = psycopg2.connect(_libpq_url(environment), connect_timeout=5)
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


def migrate(app: Flask) -> None:
    with app.app_context():
        try:
            flask_migrate.upgrade()
        except SystemExit:
            # Flask-Migrate has said why and ends the process; the stack must end in good order.
            raise NotReady("the migrations did not run; the lines above say why") from None
        finally:
            db.engine.dispose()


def load_demo(
    app: Flask, environment: Mapping[str, str], kept: MutableMapping[str, str]
) -> DemoAccounts:
    """Fill an empty database with the demo data, and say who may sign in with which password.

    `kept` are the secrets that stay: a password from the environment that was used stays too, for
    the welcome of later starts.
    """
    given = environment["CRM_DEMO_PASSWORD"]
    with app.app_context():
        try:
            if demo.is_empty():
                with atomic():
                    people = demo.load_demo(
                        given,
                        encryption_keys=app.config["CRM"].encryption_keys,
                        access_token=environment.get("SIMULATOR_TOKEN"),
                    )
                kept["CRM_DEMO_PASSWORD"] = given
                return DemoAccounts(tuple(people), given)
            accounts = tuple(demo.find_accounts())
            passwords = dict.fromkeys((kept["CRM_DEMO_PASSWORD"], given))
            opening = (word for word in passwords if accounts and demo.opens_all(word))
            return DemoAccounts(accounts, next(opening, None))
        finally:
            db.session.remove()
            db.engine.dispose()


def _libpq_url(environment: Mapping[str, str]) -> str:
    return postgres_url(environment).replace("postgresql+psycopg2://", "postgresql://", 1)
