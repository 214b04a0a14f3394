"""Static files: served by whitenoise under an address that changes with their content.

The version is one hash over the whole folder and stands as a folder in the path, so that the
relative imports between our ES modules keep it, and every file may be cached for ever.
"""

import functools
import hashlib
from pathlib import Path

from flask import Flask
from whitenoise import WhiteNoise

from crm.blueprints.headers import secure_static
from crm.blueprints.shipping import ship

STATIC = Path(__file__).parent.parent / "static"


@functools.cache
def version() -> str:
    """Ten hex digits that change when any static file does."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file() and path.suffix not in {".gz", ".br"}:
            digest.update(path.relative_to(STATIC).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:10]


def versioned_path() -> str:
    return f"/static/{version()}"


def serve(app: Flask) -> None:
    """Let whitenoise answer for the static folder before Flask sees the request."""
    whitenoise = WhiteNoise(
        app.wsgi_app,
        immutable_file_test=lambda path, url: True,
        add_headers_function=secure_static,
    )
    folder = app.config["CRM"].data_dir.resolve() / "static"
    shipped = ship(STATIC, into=folder, version=version())
    whitenoise.add_files(str(shipped), prefix=versioned_path().strip("/") + "/")
    app.wsgi_app = whitenoise  # type: ignore[method-assign]
