"""Routing in the settings: the installation's, the order of rules, a dry run, a replay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, flash, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from crm.blueprints.htmx import go_to
from crm.blueprints.kit import save_form, show_form
from crm.db import atomic, retrying
from crm.errors import Invalid
from crm.extensions import htmx
from crm.forms.routing import RoutingForm, TrialForm
from crm.forms.rules import ACTION_WORDS
from crm.lib.text import clean
from crm.models import Campaign, Client, Message, RoutingRule
from crm.permissions import current_scope, requires, visible_chats
from crm.services import rule_drafts, rules
from crm.services.campaigns import list_campaign_names, load_campaign
from crm.services.numbers import list_number_names
from crm.services.routing import preview
from crm.services.settings import read_settings, write_settings

blueprint = Blueprint("routing", __name__, url_prefix="/settings/routing")
ROW = ("settings", 0)
NAMES = {
    "offer_seconds": "routing.offer_seconds",
    "lapse_minutes": "routing.lapse_minutes",
    "lapses_to_pause": "routing.lapses_to_pause",
    "busy_when_full": "routing.busy_when_full",
    "vip_segments": "routing.vip_segments",
    "pause_reasons": "agents.pause_reasons",
}


@blueprint.get("")
@requires("settings.read")
def edit() -> ResponseReturnValue:
    state = state_of(ROW)
    return show_form("routing/form.html", RoutingForm(data=state), state=state)


@blueprint.post("")
@requires("settings.update")
def save() -> ResponseReturnValue:
    return save_form(
        "routing/form.html",
        RoutingForm(data=state_of(ROW)),
        kind="settings",
        load=lambda: ROW,
        state_of=state_of,
        write=write,
        address=lambda _row: url_for("routing.edit"),
    )


def state_of(_row: Any) -> dict[str, Any]:
    held = read_settings(*NAMES.values())
    return {field: held[name] for field, name in NAMES.items()}


def write(row: Any, values: dict[str, Any]) -> Any:
    write_settings({name: values[field] or empty(values[field]) for field, name in NAMES.items()})
    return row


def empty(value: Any) -> Any:
    return [] if value is None else value


# The order in which rules are asked


@blueprint.get("/order/<int:campaign_id>")
@requires("rules.read")
def order(campaign_id: int) -> ResponseReturnValue:
    """The campaign's rules to be drawn into another order, and that order tried on a day."""
    campaign = load_campaign(current_scope(), campaign_id)
    return order_page(campaign, rules.list_in_order(campaign_id))


@blueprint.post("/order/<int:campaign_id>")
@requires("rules.update")
def save_order(campaign_id: int) -> ResponseReturnValue:
    """Number the rules anew by the order that was sent; all of them, so that none is lost."""
    scope = current_scope()
    wanted, on = sent_order()

    def unit() -> None:
        with atomic():
            campaign = load_campaign(scope, campaign_id, lock=True)
            rules.set_order(campaign, wanted, on=on)

    retrying(unit)
    flash(_("Saved."))
    return go_to(url_for("routing.order", campaign_id=campaign_id))


@blueprint.post("/replay/<int:campaign_id>")
@requires("rules.read")
def replay(campaign_id: int) -> ResponseReturnValue:
    """A day's chats by the rules in force and by the order that was sent; nothing is changed."""
    campaign = load_campaign(current_scope(), campaign_id)
    rows = rules.list_in_order(campaign_id)
    wanted, on = sent_order()
    day = read_day(ZoneInfo(campaign.timezone))
    changed = preview.reordered([rule for rule, _target in rows], order=wanted, on=on)
    found = preview.replay_day(campaign, day, changed)
    place = {rule_id: n for n, rule_id in enumerate(wanted)}
    rows.sort(key=lambda row: place.get(row[0].id, len(place)))
    return order_page(campaign, rows, on=on, replay=found, day=day)


def order_page(
    campaign: Campaign, rows: list[tuple[RoutingRule, str | None]], **values: Any
) -> str:
    scope = current_scope()
    return page(
        "routing/order.html",
        campaign=campaign,
        rows=rows,
        campaigns=list_campaign_names(scope),
        drafted=rule_drafts.count_changes(scope.user_id, campaign),
        words=ACTION_WORDS,
        numbers=dict(list_number_names(scope)),
        **values,
    )


def sent_order() -> tuple[list[int], set[int]]:
    def ids(name: str) -> list[int]:
        sent = request.form.getlist(name)
        return [int(text) for text in sent if text.isascii() and text.isdigit() and len(text) < 10]

    return ids("rule"), set(ids("on"))


def read_day(zone: ZoneInfo) -> datetime:
    """The day that was asked for, else yesterday, at noon in the campaign's zone."""
    try:
        day = datetime.fromisoformat(clean(request.form.get("day", "")))
    except ValueError:
        day = datetime.now(zone) - timedelta(days=1)
    if not 2000 <= day.year <= 2100:
        raise Invalid("Choose a day.")
    return day.replace(hour=12, minute=0, tzinfo=zone)


# A dry run


@blueprint.get("/try")
@requires("rules.read")
def ask_trial() -> ResponseReturnValue:
    """Empty, with the messages of the first campaign in reach to choose from on demand."""
    return page("routing/try.html", form=prepared(TrialForm()), trial=None)


@blueprint.post("/try")
@requires("rules.read")
def run_trial() -> ResponseReturnValue:
    """Which rule fires, and who would get it; nothing is touched."""
    form = prepared(TrialForm())
    client = rules.find_client(form.client.data) if form.client.data else None
    # The list stays as it was asked for, so that another of it can be tried.
    messages: list[Message] = []
    if form.show.data or form.message_id.data is not None:
        messages = rules.list_messages(
            visible_chats(current_scope()), client=client, campaign_id=form.campaign_id.data
        )
        form.message_id.offer([(each.id, "") for each in messages])
    if form.client.data and client is None:
        form.client.errors = [_("Nobody has this number or case.")]
        return page("routing/try.html", form=form, trial=None), 422
    if not form.validate_on_submit():
        return page("routing/try.html", form=form, trial=None, messages=messages), 422
    trial = None if form.show.data == "1" else try_form(form, client, messages)
    return page("routing/try.html", form=form, trial=trial, messages=messages)


def try_form(form: TrialForm, client: Client | None, messages: list[Message]) -> preview.Trial:
    campaign = load_campaign(current_scope(), form.campaign_id.data)
    at = read_moment(form.at.data, ZoneInfo(campaign.timezone))
    chosen = next((each for each in messages if each.id == form.message_id.data), None)
    if chosen is not None:
        return preview.try_again(chosen, campaign_id=campaign.id, at=at)
    return preview.try_message(
        campaign_id=campaign.id,
        at=at or datetime.now(UTC),
        text=form.text.data or "",
        kind=form.kind.data,
        number_id=form.number_id.data,
        client=client,
    )


def prepared(form: TrialForm) -> TrialForm:
    form.campaign_id.offer(list_campaign_names(current_scope()))
    form.number_id.offer(list_number_names(current_scope()))
    form.message_id.offer([])
    return form


def read_moment(text: str | None, zone: ZoneInfo) -> datetime | None:
    """The moment that was written, in that zone; None for nothing, or for none that there is."""
    try:
        return datetime.fromisoformat(clean(text or "")).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def page(template: str, **values: Any) -> str:
    frame = "settings/_part.html" if htmx else "settings/_page.html"
    return render_template(template, frame=frame, area="settings", **values)
