"""`flask --app wsgi ...`: commands for the operator, grouped by area."""

import click
from flask import Flask


def register(app: Flask) -> None:
    app.cli.add_command(doctor)


@click.command()
def doctor() -> None:
    """Say in plain words what is wrong with this installation."""
    from crm.services import doctor as examination

    findings = examination.examine()
    for finding in findings:
        click.echo(f"{'ok  ' if finding.fine else 'BAD '} {finding.subject}: {finding.words}")
    if not all(finding.fine for finding in findings):
        raise SystemExit(1)
