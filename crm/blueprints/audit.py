"""The audit trail: who is asking, what was refused."""

from __future__ import annotations

import structlog
from flask import Blueprint, g, has_request_context, request
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from flask_login import current_user

from crm.blueprints import errors
from crm.db import atomic, db
from crm.errors import Forbidden
from crm.services import audit

log = structlog.get_logger(__name__)
blueprint = Blueprint("audit", __name__)


@blueprint.record_once
def bind_trail(state: BlueprintSetupState) -> None:
    audit.bind(key=state.app.config["CRM"].audit_key, origin=read_origin)


def read_origin() -> audit.Origin:
    """Who is behind this request; nobody in a job or a command."""
    if not has_request_context():
        return audit.Origin()
    live = g.get("live_session")
    # A path with a token in it opens something: the route is written instead.
    secret = any("token" in name or "secret" in name for name in request.view_args or ())
    path = request.url_rule.rule if secret and request.url_rule else request.path
    return audit.Origin(
        user_id=current_user.id if current_user.is_authenticated else None,
        address=request.remote_addr,
        agent=request.user_agent.string,
        method=request.method,
        url=path,
        session_id=live.id if live else None,
    )


@blueprint.app_errorhandler(Forbidden)
def note_refusal(error: Forbidden) -> ResponseReturnValue:
    """A refused attempt is a deed too. That it cannot be written must not let anybody in."""
    db.session.rollback()
    try:
        if current_user.is_authenticated:
            with atomic():
                audit.record("access.denied", success=False, error=error.code)
    except Exception as failure:
        log.error("refusal_not_recorded", error=type(failure).__name__)
    return errors.domain_error(error)
