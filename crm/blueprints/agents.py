"""The agent's own status switch, and handing over before a break or the end of the shift."""

from __future__ import annotations

from urllib.parse import quote

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_login import current_user

from crm.blueprints.htmx import wants_fragment
from crm.db import atomic, db, retrying
from crm.errors import DomainError, Invalid
from crm.extensions import htmx
from crm.forms.agents import HandOverForm, OwnStatusForm, targets_of
from crm.permissions import current_scope, load_chat, requires
from crm.services import agents
from crm.services.chats import person
from crm.services.routing import handover
from crm.services.settings import read_setting

blueprint = Blueprint("agents", __name__, url_prefix="/agents")


@blueprint.app_template_global("pause_reasons")
def pause_reasons() -> list[str]:
    """The admin's list; the switch stands on every page of the desk."""
    return read_setting("agents.pause_reasons")


@blueprint.app_template_filter("pause_word")
def pause_word(reason: str | None) -> str:
    """A reason as people read it: their own words, or why it happened by itself."""
    words = {
        agents.NO_CONNECTION: _("no connection"),
        agents.NO_ANSWER: _("no answer"),
        agents.FULL_LOAD: _("every place is taken"),
    }
    return words.get(reason or "", reason or "")


@blueprint.get("/status")
@requires("agents.set_own_status")
def own_status() -> ResponseReturnValue:
    """The switch as it stands now: the page asks when another tab, or the clock, has turned it."""
    return render_template("agents/_status.html")


@blueprint.post("/status")
@requires("agents.set_own_status")
def set_own_status() -> ResponseReturnValue:
    switch(read_status())
    if not htmx:
        return redirect(url_for("inbox.page"))
    return render_template("agents/_status.html")


@blueprint.get("/hand-over")
@requires("agents.set_own_status")
def ask_hand_over() -> ResponseReturnValue:
    """Before a break: the open chats, their next step, and who could go on; nothing if none is."""
    held = handover.list_held(
        current_user.id, phones_visible=current_scope().can("clients.view_phone")
    )
    if not held and wants_fragment():
        return "", 204
    return render_template(
        "agents/hand_over.html",
        frame="chats/_dialog.html" if wants_fragment() else "chats/_page.html",
        form=HandOverForm(),
        held=held,
        status=request.args.get("status", "paused"),
        then=request.args.get("then", ""),
        area="inbox",
    )


@blueprint.post("/hand-over")
@requires("agents.set_own_status")
def hand_over() -> ResponseReturnValue:
    """Move what was chosen, each chat by itself, and then turn the switch."""
    status = read_status()
    form = HandOverForm()
    if not form.validate_on_submit():
        raise Invalid(str(next(iter(form.errors.values()))[0]))
    moved, failed = 0, 0
    for chat_id, target in sorted(targets_of(request.form.to_dict()).items()):
        try:
            moved += hand_over_one(chat_id, target, form.note.data)
        except DomainError:
            # Somebody was faster, or the colleague has gone: it stays, and is said.
            db.session.rollback()
            failed += 1
    switch(status)
    said = ngettext("%(num)d chat handed over.", "%(num)d chats handed over.", moved)
    if failed:
        stayed = ngettext("%(num)d could not be moved.", "%(num)d could not be moved.", failed)
        said = f"{said} {stayed}"
    if not htmx:
        flash(said)
        return redirect(url_for("inbox.page"))
    return make_response("", 204, {"X-Said": quote(said)} if moved or failed else {})


def hand_over_one(chat_id: int, target: str, note: str | None) -> bool:
    def unit() -> bool:
        with atomic():
            chat = load_chat(current_scope(), chat_id)
            return handover.hand_over_chat(chat, target, actor=person(current_user.id), note=note)

    return retrying(unit)


def read_status() -> OwnStatusForm:
    form = OwnStatusForm()
    form.reasons = pause_reasons()
    if not form.validate_on_submit():
        raise Invalid("There is no such status.")
    return form


def switch(form: OwnStatusForm) -> None:
    def unit() -> None:
        with atomic():
            agents.set_agent_status(
                current_user, form.wanted, reason=form.reason, actor=person(current_user.id)
            )

    retrying(unit)
