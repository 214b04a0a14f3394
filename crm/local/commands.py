"""The commands themselves."""

from __future__ import annotations

import os

import click

from crm.config import ConfigError
from crm.embedded import EmbeddedError
from crm.local import settings


@click.group()
def local() -> None:
    """Run all of Charla on this machine (what `make run` does)."""


@local.command()
def run() -> None:
    """Start everything, say where it is, and stay until Ctrl-C."""
    from crm.local.servers import NotReady
    from crm.local.stack import Stack, StackError

    try:
        Stack(settings.load(os.environ)).run()
    except (ConfigError, EmbeddedError, NotReady, StackError) as error:
        raise SystemExit(f"Charla cannot start: {error}") from None


@local.command()
def env() -> None:
    """Print the settings of the running stack as KEY=value lines."""
    from crm.local.stack import find_environment

    values = find_environment(settings.data_folder(os.environ))
    if values is None:
        raise SystemExit("Charla does not run from this folder; start it with: make run")
    for name, value in values.items():
        click.echo(f"{name}={value}")
