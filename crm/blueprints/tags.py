"""The catalogue of tags in the settings."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from crm.blueprints.bulk import SWITCHES, Rows, change_many
from crm.blueprints.kit import delete_row, list_query, save_form, show_form, show_list
from crm.forms.tags import COLOURS, TagForm
from crm.models import Tag
from crm.permissions import current_scope, requires
from crm.services import tags
from crm.services.kit import find_last_changes

blueprint = Blueprint("tags", __name__, url_prefix="/settings/tags")


@blueprint.get("")
@requires("tags.manage")
def index() -> ResponseReturnValue:
    query = list_query(filters={"status": ("on", "off")}, sorts=("name", "created"))
    page = tags.find_tags(query)
    return show_list(
        "tags/list.html", query=query, page=page, deeds=SWITCHES, colours=dict(COLOURS)
    )


@blueprint.get("/new")
@requires("tags.manage")
def new() -> ResponseReturnValue:
    return show_form("tags/form.html", TagForm(), **around(None))


@blueprint.post("/new")
@requires("tags.manage")
def create() -> ResponseReturnValue:
    return save_form(
        "tags/form.html",
        TagForm(),
        kind="tags",
        state_of=tags.state_of,
        write=lambda _row, values: tags.create_tag(values, created_by=current_scope().user_id),
        address=lambda _row: url_for("tags.index"),
        **around(None),
    )


@blueprint.get("/<int:tag_id>")
@requires("tags.manage")
def edit(tag_id: int) -> ResponseReturnValue:
    tag = tags.load_tag(tag_id)
    state = tags.state_of(tag)
    return show_form("tags/form.html", TagForm(data=state), state=state, **around(tag))


@blueprint.post("/<int:tag_id>")
@requires("tags.manage")
def save(tag_id: int) -> ResponseReturnValue:
    tag = tags.load_tag(tag_id)
    return save_form(
        "tags/form.html",
        TagForm(data=tags.state_of(tag)),
        kind="tags",
        load=lambda: tags.load_tag(tag_id, lock=True),
        state_of=tags.state_of,
        write=tags.update_tag,
        address=lambda _row: url_for("tags.index"),
        **around(tag),
    )


@blueprint.post("/<int:tag_id>/delete")
@requires("tags.manage")
def delete(tag_id: int) -> ResponseReturnValue:
    return delete_row(
        kind="tags",
        load=lambda: tags.load_tag(tag_id, lock=True),
        state_of=tags.state_of,
        name_of=lambda tag: tag.label,
        delete=tags.delete_tag,
        address=url_for("tags.index"),
    )


@blueprint.post("/bulk")
@requires("tags.manage")
def bulk() -> ResponseReturnValue:
    rows = Rows(
        kind="tags",
        load=lambda tag_id: tags.load_tag(tag_id, lock=True),
        state_of=tags.state_of,
        write=tags.update_tag,
        name_of=lambda row: row.label,
    )
    return change_many(rows, SWITCHES, address=url_for("tags.index"))


def around(tag: Tag | None) -> dict[str, Any]:
    changes = find_last_changes("tags", [tag.id]) if tag else {}
    return {"tag": tag, "change": changes.get(tag.id) if tag else None}
