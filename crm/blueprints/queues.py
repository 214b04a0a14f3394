"""Queues in the settings."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from crm.blueprints.bulk import SWITCHES, Rows, change_many
from crm.blueprints.kit import delete_row, list_query, save_form, show_form, show_list
from crm.forms.queues import OVERFLOW_WORDS, QueueForm
from crm.models import Queue
from crm.permissions import current_scope, requires
from crm.services import queues
from crm.services.campaigns import list_campaign_names
from crm.services.kit import find_last_changes

blueprint = Blueprint("queues", __name__, url_prefix="/settings/queues")


@blueprint.get("")
@requires("queues.read")
def index() -> ResponseReturnValue:
    campaigns = {str(key): name for key, name in list_campaign_names(current_scope())}
    query = list_query(
        filters={"campaign": list(campaigns)}, sorts=("name", "campaign", "priority")
    )
    page = queues.find_queues(current_scope(), query)
    return show_list(
        "queues/list.html",
        query=query,
        page=page,
        deeds=SWITCHES,
        campaigns=campaigns,
        words=OVERFLOW_WORDS,
    )


@blueprint.get("/new")
@requires("queues.create")
def new() -> ResponseReturnValue:
    return show_form("queues/form.html", prepared(QueueForm(), None), **around(None))


@blueprint.post("/new")
@requires("queues.create")
def create() -> ResponseReturnValue:
    return save_form(
        "queues/form.html",
        prepared(QueueForm(), None),
        kind="queues",
        state_of=queues.state_of,
        write=lambda _row, values: queues.create_queue(values),
        address=address,
        **around(None),
    )


@blueprint.get("/<int:queue_id>")
@requires("queues.read")
def edit(queue_id: int) -> ResponseReturnValue:
    queue = queues.load_queue(current_scope(), queue_id)
    state = queues.state_of(queue)
    form = prepared(QueueForm(data=state), queue)
    return show_form("queues/form.html", form, state=state, **around(queue))


@blueprint.post("/<int:queue_id>")
@requires("queues.update")
def save(queue_id: int) -> ResponseReturnValue:
    scope = current_scope()
    queue = queues.load_queue(scope, queue_id)
    was_active, waiting = queue.is_active, queues.count_waiting(queue)

    def saved(row: Queue) -> str:
        if was_active and not row.is_active:
            flash(switched_off(waiting))
        return address(row)

    return save_form(
        "queues/form.html",
        prepared(QueueForm(data=queues.state_of(queue)), queue),
        kind="queues",
        load=lambda: queues.load_queue(scope, queue_id, lock=True),
        state_of=queues.state_of,
        write=lambda row, values: queues.update_queue(row, values, by=scope.user_id),
        address=saved,
        **around(queue),
    )


@blueprint.post("/<int:queue_id>/delete")
@requires("queues.delete")
def delete(queue_id: int) -> ResponseReturnValue:
    scope = current_scope()
    return delete_row(
        kind="queues",
        load=lambda: queues.load_queue(scope, queue_id, lock=True),
        state_of=queues.state_of,
        name_of=lambda queue: queue.name,
        delete=queues.delete_queue,
        address=url_for("queues.index"),
    )


@blueprint.post("/bulk")
@requires("queues.update")
def bulk() -> ResponseReturnValue:
    """Chats that wait are moved in the queue's own form alone, where one sees how many."""
    scope = current_scope()
    rows = Rows(
        kind="queues",
        load=lambda queue_id: queues.load_queue(scope, queue_id, lock=True),
        state_of=queues.state_of,
        write=lambda row, values: queues.update_queue(
            row, {**values, "move_waiting": False}, by=scope.user_id
        ),
        name_of=lambda row: row.name,
    )
    return change_many(rows, SWITCHES, address=url_for("queues.index"))


def switched_off(moved: int) -> str:
    if not moved:
        return _("The queue takes nothing new from now on.")
    return ngettext(
        "The queue takes nothing new from now on; %(num)d waiting chat moved to the next queue.",
        "The queue takes nothing new from now on; %(num)d waiting chats moved to the next queue.",
        moved,
    )


def address(queue: Queue) -> str:
    return url_for("queues.edit", queue_id=queue.id)


def prepared(form: QueueForm, queue: Queue | None) -> QueueForm:
    scope = current_scope()
    form.campaign_id.offer(list_campaign_names(scope))
    others = [(key, name) for key, name in queues.list_queue_names(scope)]
    form.overflow_queue_id.offer([each for each in others if not queue or each[0] != queue.id])
    return form


def around(queue: Queue | None) -> dict[str, Any]:
    changes = find_last_changes("queues", [queue.id]) if queue else {}
    return {
        "queue": queue,
        "waiting": queues.count_waiting(queue) if queue else 0,
        "references": queues.count_references(queue) if queue and not queue.is_active else 0,
        "change": changes.get(queue.id) if queue else None,
    }
