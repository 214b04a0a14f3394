"""Many chats moved at once by who may assign."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from crm.blueprints.chats import frame, me
from crm.blueprints.inbox import asked_list
from crm.db import atomic, db, retrying
from crm.errors import DomainError
from crm.extensions import htmx
from crm.forms.chats import ReassignForm
from crm.permissions import current_scope, load_chat, requires
from crm.services.routing import handover

blueprint = Blueprint("reassigning", __name__, url_prefix="/inbox")
MOST = 200


@blueprint.get("/reassign")
@requires("chats.assign")
def ask_reassign() -> ResponseReturnValue:
    """The open chats of the list as its address filters it."""
    return show(ReassignForm())


@blueprint.post("/reassign")
@requires("chats.assign")
def reassign() -> ResponseReturnValue:
    """Each chat by itself: one that somebody else moved meanwhile stops no other."""
    form = ReassignForm()
    offer(form)
    chosen = sorted({int(text) for text in request.form.getlist("chats") if is_id(text)})[:MOST]
    if not form.validate_on_submit():
        return show(form, chosen=chosen, status=422)
    if not chosen:
        return show(form, error=_("Mark the chats that are to move."), status=422)
    moved = sum(move_one(chat_id, form.target.data, form.note.data) for chat_id in chosen)
    failed = len(chosen) - moved
    said = ngettext("%(num)d chat reassigned.", "%(num)d chats reassigned.", moved)
    if failed:
        said += " " + ngettext("%(num)d could not be moved.", "%(num)d could not be moved.", failed)
    if not htmx:
        flash(said)
        return redirect(url_for("inbox.page"))
    return make_response("", 204, {"X-Said": quote(said)})


def move_one(chat_id: int, target: str, note: str | None) -> bool:
    def unit() -> None:
        with atomic():
            chat = load_chat(current_scope(), chat_id)
            handover.move_chat_to(chat, target, actor=me(), note=note)

    try:
        retrying(unit)
    except DomainError:
        db.session.rollback()
        return False
    return True


def show(
    form: ReassignForm,
    *,
    chosen: list[int] | None = None,
    error: str | None = None,
    status: int = 200,
) -> ResponseReturnValue:
    offer(form)
    page, query = asked_list(limit=MOST)
    rows = [row for row in page.rows if row.status.is_open]
    values: dict[str, Any] = {"rows": rows, "query": query, "chosen": chosen or [], "error": error}
    return make_response(
        render_template("chats/reassign.html", frame=frame(), form=form, area="inbox", **values),
        status,
    )


def offer(form: ReassignForm) -> None:
    people, queues = handover.list_targets(current_scope().campaign_ids, all_of_them=reaches_all())
    form.target.choices = [
        ("spread", _("Spread: whoever is next")),
        *((f"person:{each.id}", each.name) for each in people),
        *((f"queue:{each.id}", _("Queue %(name)s", name=each.name)) for each in queues),
    ]
    form.target.data = form.target.data or "spread"


def reaches_all() -> bool:
    return current_scope().sees_everything


def is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
