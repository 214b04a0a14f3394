"""Sessions in the settings: who is signed in, from where, and ending it."""

from __future__ import annotations

import re

from flask import Blueprint, current_app, flash, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from crm.db import atomic, db
from crm.errors import Forbidden, NotFound
from crm.models import UserSession
from crm.permissions import current_scope, requires, signed_in
from crm.services import audit, sessions, users

blueprint = Blueprint("sessions", __name__)

# The first that fits counts: each browser names those it descends from too.
BROWSERS = (
    ("Edg", "Edge"), ("OPR", "Opera"), ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"), ("curl", "curl"),
)  # fmt: skip
SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"),
    ("Mac OS", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip


@blueprint.app_template_filter("device")
def device_words(agent: str | None) -> str:
    """'Mozilla/5.0 (Windows NT 10.0; ...) Chrome/126...' -> 'Chrome, Windows'."""
    browser = next((name for mark, name in BROWSERS if mark in (agent or "")), "")
    system = next((name for mark, name in SYSTEMS if mark in (agent or "")), "")
    known = ", ".join(filter(None, (browser, system)))
    return known or re.sub(r"[^\w ./-]", "", agent or "")[:40] or _("Unknown device")


@blueprint.get("/settings/sessions")
@requires("sessions.read")
def index() -> ResponseReturnValue:
    """Everybody's, most recent use first."""
    scope = current_scope()
    return render_template(
        "sessions/list.html",
        frame="settings/_page.html",
        area="settings",
        rows=sessions.list_live_sessions(idle_seconds=idle_seconds()),
        may_end=scope.can("sessions.revoke"),
        own_id=g.live_session.id,
    )


@blueprint.post("/settings/sessions/<int:session_id>/end")
@requires("sessions.revoke")
def end(session_id: int) -> ResponseReturnValue:
    """Of somebody whom one may manage, or one's own."""
    with atomic():
        row = db.session.get(UserSession, session_id)
        if row is None:
            raise NotFound
        person = users.load_user(row.user_id)
        if person.id != current_user.id and not users.may_manage(current_scope(), person):
            raise Forbidden
        revoke(person.id, only=session_id)
    flash(_("The session was ended."))
    return redirect(url_for("sessions.index"))


@blueprint.post("/profile/sessions/<int:session_id>/end")
@signed_in
def end_own(session_id: int) -> ResponseReturnValue:
    with atomic():
        if not revoke(current_user.id, only=session_id):
            raise NotFound
    flash(_("The session was ended."))
    return redirect(url_for("profile.page"))


@blueprint.post("/profile/sessions/end-others")
@signed_in
def end_others() -> ResponseReturnValue:
    with atomic():
        revoke(current_user.id, except_id=g.live_session.id)
    flash(_("All other sessions were ended."))
    return redirect(url_for("profile.page"))


def revoke(user_id: int, *, only: int | None = None, except_id: int | None = None) -> list[int]:
    ended = sessions.revoke_sessions(user_id, only=only, except_id=except_id)
    if ended:
        audit.record("sessions.revoke", ("users", user_id), meta={"sessions": ended})
    return ended


def idle_seconds() -> int:
    return current_app.config["CRM"].session_idle_seconds
