"""What the local stack does to its database before anybody comes: migrations and demo data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import flask_migrate
from flask import Flask

from crm.db import atomic, db
from crm.services import demo


@dataclass(frozen=True)
class DemoAccounts:
    """Who may sign in, for the welcome block. Without demo data there is nobody to name."""

    people: tuple[tuple[str, str], ...]
    password: str | None

    def lines(self) -> list[str]:
        if not self.people:
            return ["No demo data: the database was not empty when Charla first started here."]
        wide = max(len(email) for email, _ in self.people)
        rows = [f"{email:<{wide}}  {role}" for email, role in self.people]
        # Since the first start somebody has set another password, here or in the screens.
        password = self.password or "the one they were given (CRM_DEMO_PASSWORD is another now)"
        return [f"Password      {password}", *rows]


def migrate(app: Flask) -> None:
    with app.app_context():
        flask_migrate.upgrade()
        db.engine.dispose()


def load_demo(app: Flask, environment: Mapping[str, str]) -> DemoAccounts:
    """Fill an empty database with the demo data, and say who may sign in."""
    password = environment["CRM_DEMO_PASSWORD"]
    with app.app_context():
        with atomic():
            if demo.is_empty():
                demo.load_demo(
                    password,
                    encryption_keys=app.config["CRM"].encryption_keys,
                    access_token=environment.get("SIMULATOR_TOKEN"),
                )
            accounts = demo.find_accounts()
            fits = demo.opens_all(password)
        db.engine.dispose()
    people = tuple((account.email, account.role) for account in accounts)
    return DemoAccounts(people, password if fits else None)
