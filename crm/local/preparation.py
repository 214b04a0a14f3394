"""What the local stack does to its database before anybody comes: migrations and demo data."""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

import flask_migrate
from flask import Flask

from crm.db import atomic, db
from crm.local.servers import NotReady
from crm.services import demo


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


def migrate(app: Flask) -> None:
    with app.app_context():
        try:
            flask_migrate.upgrade()
        except SystemExit:
            # Flask-Migrate has said why and ends the process; the stack must end in good order.
            raise NotReady("the migrations did not run; the lines above say why") from None
        finally:
            db.engine.dispose()


def lay_history(file: Path) -> None:
    """The demo's conversations, for simulated phones that start with nothing of their own."""
    file.write_text(json.dumps(demo.describe_phones()), encoding="utf-8")


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
                db.session.rollback()
                props = demo.make_props(app.config["CRM"].data_dir)
                with atomic():
                    people = demo.load_demo(
                        given,
                        encryption_keys=app.config["CRM"].encryption_keys,
                        access_token=environment.get("SIMULATOR_TOKEN"),
                        gateway_url=f"http://127.0.0.1:{environment['SIMULATOR_PORT']}",
                        props=props,
                    )
                kept["CRM_DEMO_PASSWORD"] = given
                lay_history(Path(environment["SIMULATOR_HISTORY"]))
                return DemoAccounts(tuple(people), given)
            accounts = tuple(demo.find_accounts())
            passwords = dict.fromkeys((kept["CRM_DEMO_PASSWORD"], given))
            opening = (word for word in passwords if accounts and demo.opens_all(word))
            return DemoAccounts(accounts, next(opening, None))
        finally:
            db.session.remove()
            db.engine.dispose()
