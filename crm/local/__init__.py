"""`flask --app wsgi local ...`: the whole of Charla on one machine, for trying and developing.

The commands make the settings that an application needs, so they come without one; and they need
not wait for it to be loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

OPTIONS_WITH_VALUE = {"--app", "-A", "--env-file", "-e"}


def is_asked_for(argv: Sequence[str]) -> bool:
    """Whether this process is `flask ... local ...`."""
    program = Path(argv[0]) if argv else Path()
    if "flask" not in (program.name, program.parent.name):
        return False
    rest = iter(argv[1:])
    for word in rest:
        if word in OPTIONS_WITH_VALUE:
            next(rest, None)
        elif not word.startswith("-"):
            return word == "local"
    return False


def command_line() -> Flask:
    """An application with nothing but these commands."""
    from flask import Flask

    from crm.local.commands import local

    app = Flask("charla")
    app.cli.add_command(local)
    return app
