"""Routes whose body is a file: they say how long it may be, and everything else keeps to 3 MB.

The limit has to be known before the CSRF check, which is the first to look at the body. Such a
route takes the bare file as its body (`files.receive(request.stream, ...)`), never a form: a form
is read into memory or a temporary file before the view sees it, and carries no progress.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, current_app, request

View = TypeVar("View", bound=Callable[..., Any])


def takes_file(most_bytes: int) -> Callable[[View], View]:
    """Stand below `@requires`: this route's body may have so many bytes."""

    def mark(view: View) -> View:
        view.most_bytes = most_bytes  # type: ignore[attr-defined]
        return view

    return mark


def register(app: Flask) -> None:
    """Before any other hook: whoever asks for the body first would else refuse it."""
    app.before_request_funcs.setdefault(None, []).insert(0, widen)


def widen() -> None:
    view = current_app.view_functions.get(request.endpoint or "")
    most = getattr(view, "most_bytes", None)
    if most is not None:
        # One more: the view refuses with words what the server would refuse with a number.
        request.max_content_length = most + 1024 * 1024
