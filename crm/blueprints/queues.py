"""Queues in the settings."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from crm.blueprints.areas import Area
from crm.blueprints.kit import list_query, show_list
from crm.forms.queues import OVERFLOW_WORDS, QueueForm
from crm.models import Queue
from crm.permissions import current_scope, requires
from crm.services import queues
from crm.services.campaigns import list_campaign_names

blueprint = Blueprint("queues", __name__, url_prefix="/settings/queues")


class Queues(Area[Queue]):
    kind, thing, form = "queues", "queue", QueueForm
    state_of = staticmethod(queues.state_of)
    remove = staticmethod(queues.delete_queue)

    def load(self, row_id: int, *, lock: bool = False) -> Queue:
        return queues.load_queue(current_scope(), row_id, lock=lock)

    def name_of(self, row: Queue) -> str:
        return row.name

    def make(self, values: dict[str, Any]) -> Queue:
        return queues.create_queue(values)

    def change(self, row: Queue, values: dict[str, Any]) -> Queue:
        # Many at once move no waiting chat: that is for the queue's own form, which says how many.
        values = {"move_waiting": False, **values}
        return queues.update_queue(row, values, by=current_scope().user_id)

    def save(self, row_id: int) -> ResponseReturnValue:
        queue = self.load(row_id)
        was_active, waiting = queue.is_active, queues.count_waiting(queue)
        answer = super().save(row_id)
        if was_active and not queue.is_active:
            flash(switched_off(waiting))
        return answer

    def prepared(self, form: QueueForm, row: Queue | None) -> QueueForm:
        scope = current_scope()
        form.campaign_id.offer(list_campaign_names(scope))
        others = [each for each in queues.list_queue_names(scope) if not row or each[0] != row.id]
        form.overflow_queue_id.offer(others)
        return form

    def around(self, row: Queue | None) -> dict[str, Any]:
        return {
            "waiting": queues.count_waiting(row) if row else 0,
            "references": queues.count_references(row) if row and not row.is_active else 0,
        }


area = Queues()
area.serve(blueprint)


@blueprint.get("")
@requires("queues.read")
def index() -> ResponseReturnValue:
    campaigns = {str(key): name for key, name in list_campaign_names(current_scope())}
    query = list_query(
        filters={"campaign": list(campaigns)}, sorts=("name", "campaign", "priority")
    )
    return show_list(
        "queues/list.html",
        query=query,
        page=queues.find_queues(current_scope(), query),
        deeds=area.deeds,
        campaigns=campaigns,
        words=OVERFLOW_WORDS,
    )


def switched_off(moved: int) -> str:
    if not moved:
        return _("The queue takes nothing new from now on.")
    return ngettext(
        "The queue takes nothing new from now on; %(num)d waiting chat moved to the next queue.",
        "The queue takes nothing new from now on; %(num)d waiting chats moved to the next queue.",
        moved,
    )
