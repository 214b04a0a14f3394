"""The only place that knows htmx's headers.

flask-htmx 0.4 reads the names of htmx 2; under htmx 4 only its `bool(htmx)` is right, so what else
we need is read here.
"""

from __future__ import annotations

from flask import Response, make_response, redirect, request
from flask.typing import ResponseReturnValue

from crm.extensions import htmx


def wants_fragment() -> bool:
    """A part of the page is asked for, not the whole: htmx 4 says which."""
    return bool(htmx) and request.headers.get("HX-Request-Type", "partial") == "partial"


def go_to(address: str) -> ResponseReturnValue:
    """Send the browser to another page, from a fragment or from a form."""
    if not htmx:
        return redirect(address)
    response = Response(status=204)
    response.headers["HX-Redirect"] = address
    return response


def with_address(html: str, address: str) -> Response:
    """A fragment that changes the browser's address."""
    response = make_response(html)
    response.headers["HX-Push-Url"] = address
    return response
