"""`flask --app wsgi worker` and `flask --app wsgi clock`, as the Procfile starts them."""

import click
from flask import Flask, current_app
from flask.cli import with_appcontext


def register(app: Flask) -> None:
    app.cli.add_command(worker)
    app.cli.add_command(clock)


@click.command()
@with_appcontext
def worker() -> None:
    """Do the background work: one process per queue, kept alive."""
    from crm.jobs.worker import run_workers

    run_workers(current_app._get_current_object())  # type: ignore[attr-defined]


@click.command()
@with_appcontext
def clock() -> None:
    """Look every few seconds for work that nobody does, and ring for it."""
    from crm.jobs.clock import run_clock

    run_clock(current_app._get_current_object())  # type: ignore[attr-defined]
