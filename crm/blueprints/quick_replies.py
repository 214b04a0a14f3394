"""Quick replies in the settings."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from crm.blueprints.bulk import SWITCHES, Rows, change_many
from crm.blueprints.kit import delete_row, list_query, save_form, show_form, show_list
from crm.forms.quick_replies import REACH_WORDS, QuickReplyForm
from crm.models import QuickReply
from crm.permissions import current_scope, requires
from crm.services import quick_replies
from crm.services.campaigns import list_campaign_names
from crm.services.kit import find_last_changes

blueprint = Blueprint("quick_replies", __name__, url_prefix="/settings/quick-replies")


@blueprint.get("")
@requires("quick_replies.use")
def index() -> ResponseReturnValue:
    query = list_query(filters={"reach": list(REACH_WORDS)}, sorts=("shortcut", "title", "used"))
    page = quick_replies.find_replies(current_scope(), query)
    return show_list(
        "quick_replies/list.html",
        query=query,
        page=page,
        deeds=SWITCHES,
        words=REACH_WORDS,
        reach_of=quick_replies.reach_of,
    )


@blueprint.get("/new")
@requires("quick_replies.manage_own")
def new() -> ResponseReturnValue:
    form = prepared(QuickReplyForm(), None)
    return show_form("quick_replies/form.html", form, **around(None))


@blueprint.post("/new")
@requires("quick_replies.manage_own")
def create() -> ResponseReturnValue:
    scope = current_scope()
    return save_form(
        "quick_replies/form.html",
        prepared(QuickReplyForm(), None),
        kind="quick_replies",
        state_of=quick_replies.state_of,
        write=lambda _row, values: quick_replies.create_reply(values, scope=scope),
        address=lambda _row: url_for("quick_replies.index"),
        **around(None),
    )


@blueprint.get("/<int:reply_id>")
@requires("quick_replies.use")
def edit(reply_id: int) -> ResponseReturnValue:
    reply = quick_replies.load_reply(current_scope(), reply_id)
    state = quick_replies.state_of(reply)
    form = prepared(QuickReplyForm(data=state), reply)
    return show_form("quick_replies/form.html", form, state=state, **around(reply))


@blueprint.post("/<int:reply_id>")
@requires("quick_replies.manage_own")
def save(reply_id: int) -> ResponseReturnValue:
    scope = current_scope()
    reply = quick_replies.load_to_change(scope, reply_id)
    return save_form(
        "quick_replies/form.html",
        prepared(QuickReplyForm(data=quick_replies.state_of(reply)), reply),
        kind="quick_replies",
        load=lambda: quick_replies.load_reply(scope, reply_id, lock=True),
        state_of=quick_replies.state_of,
        write=lambda row, values: quick_replies.update_reply(row, values, scope=scope),
        address=lambda _row: url_for("quick_replies.index"),
        **around(reply),
    )


@blueprint.post("/<int:reply_id>/delete")
@requires("quick_replies.manage_own")
def delete(reply_id: int) -> ResponseReturnValue:
    scope = current_scope()
    return delete_row(
        kind="quick_replies",
        load=lambda: quick_replies.load_to_change(scope, reply_id, lock=True),
        state_of=quick_replies.state_of,
        name_of=lambda reply: reply.shortcut,
        delete=lambda reply: quick_replies.delete_reply(reply, scope=scope),
        address=url_for("quick_replies.index"),
    )


@blueprint.post("/bulk")
@requires("quick_replies.manage_own")
def bulk() -> ResponseReturnValue:
    scope = current_scope()
    rows = Rows(
        kind="quick_replies",
        load=lambda reply_id: quick_replies.load_to_change(scope, reply_id, lock=True),
        state_of=quick_replies.state_of,
        write=lambda row, values: quick_replies.update_reply(row, values, scope=scope),
        name_of=lambda row: row.shortcut,
    )
    return change_many(rows, SWITCHES, address=url_for("quick_replies.index"))


def prepared(form: QuickReplyForm, reply: QuickReply | None) -> QuickReplyForm:
    """Only the reaches that this person may write for, and the one it has."""
    scope = current_scope()
    allowed = quick_replies.reaches_of(scope)
    if reply is not None:
        allowed = [*allowed, quick_replies.reach_of(reply)]
    form.reach.choices = [(code, words) for code, words in REACH_WORDS.items() if code in allowed]
    form.campaign_id.offer(list_campaign_names(scope))
    return form


def around(reply: QuickReply | None) -> dict[str, Any]:
    changes = find_last_changes("quick_replies", [reply.id]) if reply else {}
    return {
        "reply": reply,
        "may_edit": reply is None or quick_replies.may_change(current_scope(), reply),
        "change": changes.get(reply.id) if reply else None,
    }
