"""The web doors, one module and one Blueprint for each area."""

from flask import Flask

from crm.blueprints import agents, auth, health, inbox, webhooks


def register(app: Flask) -> None:
    """Put every area on the application."""
    for area in (agents, auth, health, inbox, webhooks):
        app.register_blueprint(area.blueprint)
