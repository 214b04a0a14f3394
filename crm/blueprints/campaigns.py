"""Campaigns in the settings."""

from __future__ import annotations

from typing import Any

from babel.dates import get_day_names
from flask import Blueprint
from flask.typing import ResponseReturnValue
from flask_babel import get_locale
from flask_babel import lazy_gettext as _l

from crm.blueprints.areas import Area
from crm.blueprints.bulk import Deed
from crm.blueprints.kit import list_query, show_list
from crm.blueprints.numbers import number_state_words
from crm.forms.campaigns import STATUS_WORDS, STRATEGY_WORDS, CampaignForm, time_zones
from crm.forms.hours import WEEKDAYS
from crm.models import Campaign, CampaignStatus
from crm.permissions import current_scope, requires
from crm.services import campaigns, number_states
from crm.services.kit import find_last_changes
from crm.services.number_states import Verdict

blueprint = Blueprint("campaigns", __name__, url_prefix="/settings/campaigns")


class Campaigns(Area[Campaign]):
    kind, thing, form = "campaigns", "campaign", CampaignForm
    # Ending one is for its own form, with what stands against it.
    deeds = {
        "resume": Deed(_l("Resume"), {"status": CampaignStatus.ACTIVE.value}),
        "pause": Deed(_l("Pause"), {"status": CampaignStatus.PAUSED.value}),
    }
    state_of = staticmethod(campaigns.state_of)
    change = staticmethod(campaigns.update_campaign)
    remove = staticmethod(campaigns.delete_campaign)

    def load(self, row_id: int, *, lock: bool = False) -> Campaign:
        return campaigns.load_campaign(current_scope(), row_id, lock=lock)

    def name_of(self, row: Campaign) -> str:
        return row.name

    def make(self, values: dict[str, Any]) -> Campaign:
        return campaigns.create_campaign(values, created_by=current_scope().user_id)

    def prepared(self, form: CampaignForm, row: Campaign | None) -> CampaignForm:
        """The form with the people and numbers that may be chosen."""
        form.agents.options = campaigns.find_agent_options(current_scope())
        form.numbers.options = campaigns.find_number_options()
        form.numbers.notes = {
            number_id: number_state_words(state)
            for number_id, state in number_states.find_states(form.numbers.options).items()
            if state.verdict is not Verdict.ACTIVE
        }
        form.primary_number.offer(list(form.numbers.options.items()))
        return form

    def around(self, row: Campaign | None) -> dict[str, Any]:
        names = get_day_names("wide", locale=get_locale())
        return {
            "weekdays": WEEKDAYS,
            "day_words": {day: names[index].capitalize() for index, day in enumerate(WEEKDAYS)},
            "zones": sorted(time_zones()),
        }


area = Campaigns()
area.serve(blueprint)


@blueprint.app_context_processor
def campaign_words() -> dict[str, object]:
    return {"campaign_status_words": STATUS_WORDS, "strategy_words": STRATEGY_WORDS}


@blueprint.get("")
@requires("campaigns.read")
def index() -> ResponseReturnValue:
    query = list_query(
        filters={"status": [status.value for status in CampaignStatus]},
        sorts=("name", "code", "priority", "updated"),
    )
    page = campaigns.find_campaigns(current_scope(), query)
    changes = find_last_changes("campaigns", [row[0].id for row in page.rows])
    return show_list(
        "campaigns/list.html", query=query, page=page, changes=changes, deeds=area.deeds
    )
