"""The web doors, one module and one Blueprint for each area."""

import importlib
import pkgutil

from flask import Blueprint, Flask


def register(app: Flask) -> None:
    """Register the `blueprint` of every module of this folder; a new area costs one file."""
    for module in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
        blueprint = getattr(importlib.import_module(module.name), "blueprint", None)
        if isinstance(blueprint, Blueprint):
            app.register_blueprint(blueprint)
