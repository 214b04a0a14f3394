"""`flask --app wsgi ...`: commands for the operator, grouped by area."""

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from crm.services import doctor as examination


def register(app: Flask) -> None:
    app.cli.add_command(doctor)


@click.command()
@with_appcontext
def doctor() -> None:
    """Say in plain words what is wrong with this installation."""
    findings = examination.examine(current_app.config["CRM"])
    for finding in findings:
        click.echo(f"{'ok  ' if finding.fine else 'BAD '} {finding.subject}: {finding.words}")
    if not all(finding.fine for finding in findings):
        raise SystemExit(1)
