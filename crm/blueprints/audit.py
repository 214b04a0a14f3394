"""The audit trail: who is asking, what was refused; its page, detail and export."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlencode

import structlog
from flask import (
    Blueprint,
    Response,
    g,
    has_request_context,
    render_template,
    request,
    stream_with_context,
    url_for,
)
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from flask_babel import get_locale, get_timezone
from flask_login import current_user

from crm.blueprints import errors
from crm.db import atomic, db
from crm.errors import Forbidden
from crm.permissions import current_scope, requires
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


@blueprint.get("/settings/audit")
@requires("audit.read")
def index() -> ResponseReturnValue:
    before = request.args.get("before", "")
    before_id = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    rows, more = audit.list_audit(wanted(), before_id=before_id)
    asked_thing = (request.args.get("entity"), number(request.args.get("entity_id")))
    names = audit.find_names([(row.entity_type, row.entity_id) for row, _user in rows])
    kept = {name: value for name, value in request.args.items() if value and name != "before"}
    older = {**kept, "before": rows[-1][0].id} if more else None
    return render_template(
        "audit/list.html",
        frame="settings/_page.html",
        area="settings",
        rows=rows,
        names=names,
        asked_name=names.get(asked_thing),
        asked=request.args,
        actions=audit.list_actions(),
        people=audit.list_authors(),
        older=f"{url_for('audit.index')}?{urlencode(older)}" if older else None,
        newest=f"{url_for('audit.index')}?{urlencode(kept)}" if before_id else None,
        export=f"{url_for('audit.export')}?{urlencode(kept)}",
        may_export=current_scope().can("audit.export"),
    )


@blueprint.get("/settings/audit/<int:audit_id>")
@requires("audit.read")
def detail(audit_id: int) -> ResponseReturnValue:
    row, user = audit.load_audit(audit_id)
    return render_template(
        "audit/detail.html",
        frame="settings/_page.html",
        area="settings",
        row=row,
        user=user,
        name=next(iter(audit.find_names([(row.entity_type, row.entity_id)]).values()), None),
    )


@blueprint.get("/settings/audit/export")
@requires("audit.export", "audit.read")
def export() -> ResponseReturnValue:
    """The filtered rows as CSV, `;` where the reader's language writes decimals with a comma."""
    asked = wanted()
    with atomic():
        audit.record("audit.export", meta={"filter": dict(request.args)})
    delimiter = ";" if str(get_locale()).startswith("es") else ","
    lines = audit.export_audit(asked, delimiter=delimiter)
    response = Response(stream_with_context(lines), mimetype="text/csv")
    response.headers["Content-Disposition"] = 'attachment; filename="audit.csv"'
    return response


def wanted() -> audit.AuditFilter:
    """What the address asks for; what it does not know is left out, not refused."""
    asked = request.args
    since, until = moment(asked.get("since")), moment(asked.get("until"))
    return audit.AuditFilter(
        user_id=number(asked.get("user")),
        entity_type=asked.get("entity", "").strip()[:50] or None,
        entity_id=number(asked.get("entity_id")),
        action=asked.get("action", "").strip()[:100] or None,
        address=asked.get("address", "").strip()[:50] or None,
        since=since,
        until=until + timedelta(days=1) if until else None,
        failed_only=asked.get("failed") == "1",
    )


def number(text: str | None) -> int | None:
    written = (text or "").strip()
    return int(written) if written.isascii() and written.isdigit() and len(written) < 10 else None


def moment(text: str | None) -> datetime | None:
    """The start of that day where the reader is."""
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        return None
    return datetime.combine(day, time.min, get_timezone()).astimezone(UTC)
