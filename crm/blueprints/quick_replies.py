"""Quick replies in the settings."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from crm.blueprints.areas import Area
from crm.blueprints.kit import list_query, show_list
from crm.forms.quick_replies import REACH_WORDS, QuickReplyForm
from crm.models import QuickReply
from crm.permissions import current_scope, requires
from crm.services import quick_replies
from crm.services.campaigns import list_campaign_names

blueprint = Blueprint("quick_replies", __name__, url_prefix="/settings/quick-replies")


class QuickReplies(Area[QuickReply]):
    kind, thing, form = "quick_replies", "reply", QuickReplyForm
    rights = {
        "read": "quick_replies.use",
        **dict.fromkeys(("create", "update", "delete"), "quick_replies.manage_own"),
    }
    state_of = staticmethod(quick_replies.state_of)

    def load(self, row_id: int, *, lock: bool = False) -> QuickReply:
        return quick_replies.load_reply(current_scope(), row_id, lock=lock)

    def load_to_change(self, row_id: int) -> QuickReply:
        return quick_replies.load_to_change(current_scope(), row_id, lock=True)

    def name_of(self, row: QuickReply) -> str:
        return row.shortcut

    def make(self, values: dict[str, Any]) -> QuickReply:
        return quick_replies.create_reply(values, scope=current_scope())

    def change(self, row: QuickReply, values: dict[str, Any]) -> QuickReply:
        return quick_replies.update_reply(row, values, scope=current_scope())

    def remove(self, row: QuickReply) -> None:
        quick_replies.delete_reply(row, scope=current_scope())

    def prepared(self, form: QuickReplyForm, row: QuickReply | None) -> QuickReplyForm:
        """Only the reaches that this person may write for, and the one it has."""
        scope = current_scope()
        allowed = quick_replies.reaches_of(scope)
        if row is not None:
            allowed = [*allowed, quick_replies.reach_of(row)]
        words = REACH_WORDS.items()
        form.reach.choices = [(code, word) for code, word in words if code in allowed]
        form.campaign_id.offer(list_campaign_names(scope))
        return form

    def may_change(self, row: QuickReply) -> bool:
        return quick_replies.may_change(current_scope(), row)

    def address(self, row: QuickReply) -> str:
        return url_for("quick_replies.index")


area = QuickReplies()
area.serve(blueprint)


@blueprint.get("")
@requires("quick_replies.use")
def index() -> ResponseReturnValue:
    query = list_query(filters={"reach": list(REACH_WORDS)}, sorts=("shortcut", "title", "used"))
    return show_list(
        "quick_replies/list.html",
        query=query,
        page=quick_replies.find_replies(current_scope(), query),
        deeds=area.deeds,
        words=REACH_WORDS,
        reach_of=quick_replies.reach_of,
    )
