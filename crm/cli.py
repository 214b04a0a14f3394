"""`flask --app wsgi ...`: commands for the operator, grouped by area."""

import secrets

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from crm.db import atomic
from crm.services import demo as demo_data
from crm.services import doctor as examination


def register(app: Flask) -> None:
    app.cli.add_command(doctor)
    app.cli.add_command(demo)


@click.command()
@with_appcontext
def doctor() -> None:
    """Say in plain words what is wrong with this installation."""
    findings = examination.examine(current_app.config["CRM"])
    for finding in findings:
        click.echo(f"{'ok  ' if finding.fine else 'BAD '} {finding.subject}: {finding.words}")
    if not all(finding.fine for finding in findings):
        raise SystemExit(1)


@click.group()
def demo() -> None:
    """The demo company: people, numbers of the simulated WhatsApp, some days of conversations."""


@demo.command("load")
@with_appcontext
def load_demo() -> None:
    """Fill an empty database with it; refuses one that is in use."""
    config = current_app.config["CRM"]
    password = config.demo_password or secrets.token_urlsafe(12)
    try:
        with atomic():
            accounts = demo_data.load_demo(password, encryption_keys=config.encryption_keys)
    except demo_data.NotEmpty as error:
        raise SystemExit(str(error)) from None
    for account in accounts:
        click.echo(f"{account.email}  {account.role}")
    click.echo(f"Password: {password}")
