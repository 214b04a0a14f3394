"""Every error becomes a page, a fragment or JSON that says what to do; never a stack trace."""

from collections.abc import Mapping

import structlog
from flask import Flask, current_app, g, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError
from werkzeug.exceptions import HTTPException

from crm.db import db
from crm.errors import DomainError
from crm.extensions import htmx

log = structlog.get_logger(__name__)


def register(app: Flask) -> None:
    app.register_error_handler(DomainError, domain_error)
    app.register_error_handler(CSRFError, csrf_error)
    app.register_error_handler(HTTPException, http_error)
    for away in (OperationalError, InterfaceError, TimeoutError):
        app.register_error_handler(away, database_away)
    app.register_error_handler(Exception, unforeseen)


def domain_error(error: DomainError) -> ResponseReturnValue:
    return answer(error.http_status, _(error.message, **error.values), code=error.code)


def csrf_error(error: CSRFError) -> ResponseReturnValue:
    message = _("This page has been open for too long. Reload it and try again; nothing was saved.")
    return answer(400, message, code="stale_form")


def http_error(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None:
        return error.response
    return answer(error.code or 500, None, headers=dict(error.get_headers()))


def database_away(error: Exception) -> ResponseReturnValue:
    """The database does not answer, or all connections are taken: 503, so that callers retry."""
    log.error("database_away", path=request.path, error=type(error).__name__)
    return unforeseen_answer(503)


def unforeseen(error: Exception) -> ResponseReturnValue:
    log.exception("unforeseen_error", path=request.path, method=request.method)
    return unforeseen_answer(500)


def unforeseen_answer(status: int) -> ResponseReturnValue:
    """The page without the person: asking who it is may be what failed, and would fail again."""
    g._login_user = current_app.login_manager.anonymous_user()  # type: ignore[attr-defined]
    return answer(status, None)


def answer(
    status: int,
    message: str | None,
    *,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> ResponseReturnValue:
    """The error as what the caller reads: a fragment for htmx, JSON for machines, else a page."""
    # The session may hold a broken transaction; the error page asks for nothing it could spoil.
    db.session.rollback()
    given = headers or {}
    kept = {name: str(given[name]) for name in ("Allow", "Retry-After") if name in given}
    if request.path.startswith("/webhooks/"):
        body = {"error": code or str(status), "message": message or ""}
        return make_response(body, status, kept)
    template = "errors/_fragment.html" if htmx else "errors/page.html"
    page = render_template(template, status=status, message=message)
    return make_response(page, status, kept)
