"""The agent's own status switch."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from crm.db import atomic, retrying
from crm.errors import Invalid
from crm.extensions import htmx
from crm.forms.agents import PAUSE_REASONS, OwnStatusForm
from crm.permissions import requires
from crm.services import agents
from crm.services.chats import person

blueprint = Blueprint("agents", __name__, url_prefix="/agents")


@blueprint.app_context_processor
def pause_reasons() -> dict[str, object]:
    """The switch stands on every page; its words come from here."""
    return {"pause_reasons": PAUSE_REASONS}


@blueprint.get("/status")
@requires("agents.set_own_status")
def own_status() -> ResponseReturnValue:
    """The switch as it stands now: the page asks when another tab, or the clock, has turned it."""
    return render_template("agents/_status.html")


@blueprint.post("/status")
@requires("agents.set_own_status")
def set_own_status() -> ResponseReturnValue:
    form = OwnStatusForm()
    if not form.validate_on_submit():
        raise Invalid("There is no such status.")

    def unit() -> None:
        with atomic():
            agents.set_agent_status(
                current_user, form.wanted, reason=form.reason, actor=person(current_user.id)
            )

    retrying(unit)
    if not htmx:
        return redirect(url_for("inbox.page"))
    return render_template("agents/_status.html")
