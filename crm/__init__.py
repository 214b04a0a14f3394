"""Charla: a self-hosted WhatsApp contact centre and CRM.

Importing the package does nothing: the simulator and the guard of the embedded servers live in it
too and must not load an application. `crm.application` puts the house together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from crm.config import Config


def create_app(config: Config | None = None) -> Flask:
    """See `crm.application.create_app`."""
    from crm.application import create_app as build

    return build(config)
