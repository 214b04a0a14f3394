"""The product's own gunicorn settings, without the hook that needs the product's application."""

from pathlib import Path

exec(Path("gunicorn.conf.py").read_text())
del post_worker_init  # noqa: F821 - it closes the browsers' sockets, which the floor has not
