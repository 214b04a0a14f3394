"""Campaigns in the settings."""

from __future__ import annotations

from typing import Any

from babel.dates import get_day_names
from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_locale
from flask_babel import lazy_gettext as _l

from crm.blueprints.bulk import Deed, Rows, change_many
from crm.blueprints.kit import delete_row, list_query, save_form, show_form, show_list
from crm.forms.campaigns import STATUS_WORDS, STRATEGY_WORDS, CampaignForm, time_zones
from crm.forms.hours import WEEKDAYS
from crm.models import Campaign, CampaignStatus
from crm.permissions import current_scope, requires
from crm.services import campaigns
from crm.services.kit import find_last_changes

blueprint = Blueprint("campaigns", __name__, url_prefix="/settings/campaigns")

# What can be done to many at once; ending one is for its own form, with what stands against it.
DEEDS = {
    "resume": Deed(_l("Resume"), "status", CampaignStatus.ACTIVE.value),
    "pause": Deed(_l("Pause"), "status", CampaignStatus.PAUSED.value),
}


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
    return show_list("campaigns/list.html", query=query, page=page, changes=changes, deeds=DEEDS)


@blueprint.get("/new")
@requires("campaigns.create")
def new() -> ResponseReturnValue:
    return show_form("campaigns/form.html", prepared(CampaignForm()), **around(None))


@blueprint.post("/new")
@requires("campaigns.create")
def create() -> ResponseReturnValue:
    return save_form(
        "campaigns/form.html",
        prepared(CampaignForm()),
        kind="campaigns",
        state_of=campaigns.state_of,
        write=lambda _row, values: campaigns.create_campaign(
            values, created_by=current_scope().user_id
        ),
        address=lambda row: url_for("campaigns.edit", campaign_id=row.id),
        **around(None),
    )


@blueprint.get("/<int:campaign_id>")
@requires("campaigns.read")
def edit(campaign_id: int) -> ResponseReturnValue:
    campaign = campaigns.load_campaign(current_scope(), campaign_id)
    state = campaigns.state_of(campaign)
    form = prepared(CampaignForm(data=state))
    return show_form("campaigns/form.html", form, state=state, **around(campaign))


@blueprint.post("/<int:campaign_id>")
@requires("campaigns.update")
def save(campaign_id: int) -> ResponseReturnValue:
    scope = current_scope()
    campaign = campaigns.load_campaign(scope, campaign_id)
    return save_form(
        "campaigns/form.html",
        prepared(CampaignForm(data=campaigns.state_of(campaign))),
        kind="campaigns",
        load=lambda: campaigns.load_campaign(scope, campaign_id, lock=True),
        state_of=campaigns.state_of,
        write=campaigns.update_campaign,
        address=lambda row: url_for("campaigns.edit", campaign_id=row.id),
        **around(campaign),
    )


@blueprint.post("/<int:campaign_id>/delete")
@requires("campaigns.delete")
def delete(campaign_id: int) -> ResponseReturnValue:
    scope = current_scope()
    return delete_row(
        kind="campaigns",
        load=lambda: campaigns.load_campaign(scope, campaign_id, lock=True),
        state_of=campaigns.state_of,
        name_of=lambda campaign: campaign.name,
        delete=campaigns.delete_campaign,
        address=url_for("campaigns.index"),
    )


@blueprint.post("/bulk")
@requires("campaigns.update")
def bulk() -> ResponseReturnValue:
    scope = current_scope()
    rows = Rows(
        kind="campaigns",
        load=lambda campaign_id: campaigns.load_campaign(scope, campaign_id, lock=True),
        state_of=campaigns.state_of,
        write=campaigns.update_campaign,
        name_of=lambda row: row.name,
    )
    return change_many(rows, DEEDS, address=url_for("campaigns.index"))


def prepared(form: CampaignForm) -> CampaignForm:
    """The form with the people and numbers that may be chosen."""
    form.agents.options = campaigns.find_agent_options(current_scope())
    form.numbers.options = campaigns.find_number_options()
    form.primary_number.offer(list(form.numbers.options.items()))
    return form


def around(campaign: Campaign | None) -> dict[str, Any]:
    """What stands around the form."""
    changes = find_last_changes("campaigns", [campaign.id]) if campaign else {}
    names = get_day_names("wide", locale=get_locale())
    return {
        "campaign": campaign,
        "change": changes.get(campaign.id) if campaign else None,
        "weekdays": WEEKDAYS,
        "day_words": {day: names[index].capitalize() for index, day in enumerate(WEEKDAYS)},
        "zones": sorted(time_zones()),
    }
