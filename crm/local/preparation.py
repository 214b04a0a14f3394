"""What the local stack does to its database before anybody comes: migrations and demo data."""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping
from pathlib import Path

import flask_migrate
from flask import Flask

from crm.db import atomic, db
from crm.local.servers import NotReady
from crm.services import demo


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


def load_demo(app: Flask, environment: Mapping[str, str], kept: MutableMapping[str, str]) -> None:
    """Fill an empty database with the demo data; another one stays as it is.

    `kept` are the secrets that stay: a password from the environment that was used stays too, for
    the welcome of later starts.
    """
    given = environment["CRM_DEMO_PASSWORD"]
    with app.app_context():
        try:
            if not demo.is_empty():
                return
            db.session.rollback()
            props = demo.make_props(app.config["CRM"].data_dir)
            with atomic():
                demo.load_demo(
                    given,
                    encryption_keys=app.config["CRM"].encryption_keys,
                    access_token=environment.get("SIMULATOR_TOKEN"),
                    gateway_url=f"http://127.0.0.1:{environment['SIMULATOR_PORT']}",
                    props=props,
                )
            kept["CRM_DEMO_PASSWORD"] = given
            lay_history(Path(environment["SIMULATOR_HISTORY"]))
        finally:
            db.session.remove()
            db.engine.dispose()
