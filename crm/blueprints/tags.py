"""The catalogue of tags in the settings."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from crm.blueprints.areas import Area
from crm.blueprints.kit import list_query, show_list
from crm.forms.tags import COLOURS, TagForm
from crm.models import Tag
from crm.permissions import current_scope, requires
from crm.services import tags

blueprint = Blueprint("tags", __name__, url_prefix="/settings/tags")


class Tags(Area[Tag]):
    kind, thing, form = "tags", "tag", TagForm
    rights = dict.fromkeys(("read", "create", "update", "delete"), "tags.manage")
    state_of = staticmethod(tags.state_of)
    change = staticmethod(tags.update_tag)
    remove = staticmethod(tags.delete_tag)

    def load(self, row_id: int, *, lock: bool = False) -> Tag:
        return tags.load_tag(row_id, lock=lock)

    def name_of(self, row: Tag) -> str:
        return row.label

    def make(self, values: dict[str, Any]) -> Tag:
        return tags.create_tag(values, created_by=current_scope().user_id)

    def address(self, row: Tag) -> str:
        return url_for("tags.index")


area = Tags()
area.serve(blueprint)


@blueprint.get("")
@requires("tags.manage")
def index() -> ResponseReturnValue:
    query = list_query(filters={"status": ("on", "off")}, sorts=("name", "created"))
    page = tags.find_tags(query)
    return show_list(
        "tags/list.html", query=query, page=page, deeds=area.deeds, colours=dict(COLOURS)
    )
