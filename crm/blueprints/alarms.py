"""Alarms: the bell of every page, what goes on, what is over, and marking them as seen."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from werkzeug.routing import BuildError

from crm.blueprints.htmx import go_to
from crm.db import atomic
from crm.models import Alarm
from crm.permissions import current_scope, requires
from crm.services import alarms
from crm.services.alarms import Bell, Spoken

blueprint = Blueprint("alarms", __name__)


@blueprint.app_template_global("alarm_bell")
def alarm_bell() -> Bell | None:
    """For the frame of every page; None for who may not read alarms."""
    scope = current_scope()
    return alarms.find_bell(scope) if scope.can("alarms.read") else None


@blueprint.app_template_filter("alarm_words")
def alarm_words(alarm: Alarm) -> Spoken:
    return alarms.speak_of(alarm, translate=_)


@blueprint.app_template_filter("alarm_severity")
def alarm_severity(alarm: Alarm) -> str:
    return alarms.words_of(alarm.kind).severity.value


@blueprint.app_template_filter("alarm_address")
def alarm_address(alarm: Alarm) -> str | None:
    """Where it is mended, if that page exists and this person may open it."""
    place = alarms.words_of(alarm.kind).place
    view = current_app.view_functions.get(place.endpoint) if place else None
    if place is None or view is None:
        return None
    access = getattr(view, "access", "public")
    if access != "public" and not all(map(current_scope().can, access)):
        return None
    facts: dict[str, Any] = {"number_id": alarm.whatsapp_number_id, **alarm.facts}
    arguments = {name: facts.get(fact) for name, fact in place.arguments.items()}
    if None in arguments.values():
        return None
    try:
        return url_for(place.endpoint, **arguments, **place.fixed)
    except BuildError:
        return None


@blueprint.get("/alarms/bell")
@requires("alarms.read")
def bell() -> ResponseReturnValue:
    """The bell and the note beside it, again: the page asks when it hears that something moved."""
    return render_template("alarms/_bell.html", bell=alarm_bell())


@blueprint.get("/settings/alarms")
@requires("alarms.read")
def index() -> ResponseReturnValue:
    scope = current_scope()
    before = request.args.get("before", "")
    before_id = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    past, more = alarms.list_past(scope, before_id=before_id)
    return render_template(
        "alarms/list.html",
        frame="settings/_page.html",
        area="alarms",
        open_alarms=[] if before_id else alarms.list_open(scope),
        past=past,
        first_page=before_id is None,
        older=url_for("alarms.index", before=past[-1].id) if more else None,
    )


@blueprint.post("/settings/alarms/<int:alarm_id>/acknowledge")
@requires("alarms.acknowledge", "alarms.read")
def acknowledge(alarm_id: int) -> ResponseReturnValue:
    scope = current_scope()
    with atomic():
        alarms.acknowledge(alarms.load_alarm(scope, alarm_id), by=scope.user_id)
    return go_to(url_for("alarms.index"))


@blueprint.post("/settings/alarms/acknowledge")
@requires("alarms.acknowledge", "alarms.read")
def acknowledge_all() -> ResponseReturnValue:
    scope = current_scope()
    with atomic():
        alarms.acknowledge_all(scope, by=scope.user_id)
    return go_to(url_for("alarms.index"))
