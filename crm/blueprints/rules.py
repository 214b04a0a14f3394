"""Routing rules in the settings."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from crm.blueprints.bulk import SWITCHES, Rows, change_many
from crm.blueprints.kit import (
    delete_row,
    list_query,
    mark_wrong,
    save_form,
    show_form,
    show_list,
)
from crm.blueprints.routing import read_day
from crm.forms.rules import ACTION_WORDS, RuleForm
from crm.models import RoutingRule
from crm.permissions import current_scope, requires
from crm.services import queues, rules
from crm.services.campaigns import list_campaign_names, load_campaign
from crm.services.kit import WrongField, find_last_changes
from crm.services.numbers import list_number_names
from crm.services.routing import preview

blueprint = Blueprint("rules", __name__, url_prefix="/settings/rules")


@blueprint.get("")
@requires("rules.read")
def index() -> ResponseReturnValue:
    campaigns = {str(key): name for key, name in list_campaign_names(current_scope())}
    query = list_query(filters={"campaign": list(campaigns)}, sorts=("name", "priority"))
    page = rules.find_rules(current_scope(), query)
    return show_list(
        "rules/list.html",
        query=query,
        page=page,
        deeds=SWITCHES,
        campaigns=campaigns,
        words=ACTION_WORDS,
        numbers=dict(list_number_names(current_scope())),
        order_of=query.filters.get("campaign") or next(iter(campaigns), None),
    )


@blueprint.get("/new")
@requires("rules.create")
def new() -> ResponseReturnValue:
    """Empty; `?campaign=` proposes one."""
    form = prepared(RuleForm())
    wanted = request.args.get("campaign", "")
    if wanted in {str(key) for key, _name in form.campaign_id.choices}:
        form.campaign_id.data = int(wanted)
    return show_form("rules/form.html", form, **around(None))


@blueprint.post("/new")
@requires("rules.create")
def create() -> ResponseReturnValue:
    return save_form(
        "rules/form.html",
        prepared(RuleForm()),
        kind="rules",
        state_of=rules.state_of,
        write=lambda _row, values: rules.create_rule(values),
        address=address,
        **around(None),
    )


@blueprint.get("/<int:rule_id>")
@requires("rules.read")
def edit(rule_id: int) -> ResponseReturnValue:
    rule = rules.load_rule(current_scope(), rule_id)
    state = rules.state_of(rule)
    form = prepared(RuleForm(data=state), rule)
    return show_form("rules/form.html", form, state=state, **around(rule))


@blueprint.post("/<int:rule_id>")
@requires("rules.update")
def save(rule_id: int) -> ResponseReturnValue:
    scope = current_scope()
    rule = rules.load_rule(scope, rule_id)
    return save_form(
        "rules/form.html",
        prepared(RuleForm(data=rules.state_of(rule)), rule),
        kind="rules",
        load=lambda: rules.load_rule(scope, rule_id, lock=True),
        state_of=rules.state_of,
        write=rules.update_rule,
        address=address,
        **around(rule),
    )


@blueprint.post("/replay")
@requires("rules.read")
def replay() -> ResponseReturnValue:
    """A day's chats by the rules in force, and with this one as it stands in the form, unsaved."""
    scope = current_scope()
    sent = request.form.get("rule_id", "")
    known = sent.isascii() and sent.isdigit() and len(sent) < 10
    rule = rules.load_rule(scope, int(sent)) if known else None
    form = prepared(RuleForm(), rule)
    draft = None
    if form.validate_on_submit():
        try:
            draft = rules.draft_rule(form.values(), rule)
        except WrongField as error:
            mark_wrong(form, error)
    if draft is None:
        # 200: it is the answer to a question, and htmx puts it where the answer belongs.
        return render_template("rules/_replay.html", form=form, replay=None)
    campaign = load_campaign(scope, draft.campaign_id)
    day = read_day(ZoneInfo(campaign.timezone))
    changed = preview.with_draft(preview.rules_of(campaign.id), draft)
    found = preview.replay_day(campaign, day, changed)
    return render_template("rules/_replay.html", form=form, replay=found, day=day)


@blueprint.post("/<int:rule_id>/delete")
@requires("rules.delete")
def delete(rule_id: int) -> ResponseReturnValue:
    scope = current_scope()
    return delete_row(
        kind="rules",
        load=lambda: rules.load_rule(scope, rule_id, lock=True),
        state_of=rules.state_of,
        name_of=lambda rule: rule.name,
        delete=rules.delete_rule,
        address=url_for("rules.index"),
    )


@blueprint.post("/bulk")
@requires("rules.update")
def bulk() -> ResponseReturnValue:
    scope = current_scope()
    rows = Rows(
        kind="rules",
        load=lambda rule_id: rules.load_rule(scope, rule_id, lock=True),
        state_of=rules.state_of,
        write=rules.update_rule,
        name_of=lambda row: row.name,
    )
    return change_many(rows, SWITCHES, address=url_for("rules.index"))


def address(rule: RoutingRule) -> str:
    return url_for("rules.edit", rule_id=rule.id)


def prepared(form: RuleForm, rule: RoutingRule | None = None) -> RuleForm:
    """The form with what is in the person's reach, and for a rule that exists in its campaign's."""
    scope = current_scope()
    home = rule.campaign_id if rule else None
    campaigns = list_campaign_names(scope)
    form.campaign_id.offer(campaigns)
    form.target_campaign_id.offer(campaigns)
    form.target_queue_id.offer(queues.list_queue_names(scope, home))
    form.target_user_id.offer(rules.find_people(scope, home))
    form.target_bot_flow_id.offer(rules.find_flows())
    form.number_id.offer(list_number_names(scope))
    return form


def around(rule: RoutingRule | None) -> dict[str, Any]:
    changes = find_last_changes("routing_rules", [rule.id]) if rule else {}
    return {"rule": rule, "change": changes.get(rule.id) if rule else None}
