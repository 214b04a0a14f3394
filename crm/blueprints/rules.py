"""Routing rules in the settings."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from crm.blueprints.areas import Area
from crm.blueprints.kit import list_query, mark_wrong, show_form, show_list
from crm.blueprints.routing import read_day
from crm.forms.rules import ACTION_WORDS, RuleForm
from crm.models import RoutingRule
from crm.permissions import current_scope, requires
from crm.services import queues, rules
from crm.services.campaigns import list_campaign_names, load_campaign
from crm.services.kit import WrongField
from crm.services.numbers import list_number_names
from crm.services.routing import preview

blueprint = Blueprint("rules", __name__, url_prefix="/settings/rules")


class Rules(Area[RoutingRule]):
    kind, thing, form = "rules", "rule", RuleForm
    state_of = staticmethod(rules.state_of)
    make = staticmethod(rules.create_rule)
    change = staticmethod(rules.update_rule)
    remove = staticmethod(rules.delete_rule)

    def load(self, row_id: int, *, lock: bool = False) -> RoutingRule:
        return rules.load_rule(current_scope(), row_id, lock=lock)

    def name_of(self, row: RoutingRule) -> str:
        return row.name

    def new(self) -> ResponseReturnValue:
        """Empty; `?campaign=` proposes one."""
        form = self.prepared(RuleForm(), None)
        wanted = request.args.get("campaign", "")
        if wanted in {str(key) for key, _name in form.campaign_id.choices}:
            form.campaign_id.data = int(wanted)
        return show_form(self.template, form, **self.context(None))

    def prepared(self, form: RuleForm, row: RoutingRule | None) -> RuleForm:
        """With what is in the person's reach, and for a rule that exists in its campaign's."""
        scope = current_scope()
        home = row.campaign_id if row else None
        campaigns = list_campaign_names(scope)
        form.campaign_id.offer(campaigns)
        form.target_campaign_id.offer(campaigns)
        form.target_queue_id.offer(queues.list_queue_names(scope, home))
        form.target_user_id.offer(rules.find_people(scope, home))
        form.target_bot_flow_id.offer(rules.find_flows())
        form.number_id.offer(list_number_names(scope))
        return form


area = Rules()
area.serve(blueprint)


@blueprint.get("")
@requires("rules.read")
def index() -> ResponseReturnValue:
    campaigns = {str(key): name for key, name in list_campaign_names(current_scope())}
    query = list_query(filters={"campaign": list(campaigns)}, sorts=("name", "priority"))
    return show_list(
        "rules/list.html",
        query=query,
        page=rules.find_rules(current_scope(), query),
        deeds=area.deeds,
        campaigns=campaigns,
        words=ACTION_WORDS,
        numbers=dict(list_number_names(current_scope())),
        order_of=query.filters.get("campaign") or next(iter(campaigns), None),
    )


@blueprint.post("/replay")
@requires("rules.read")
def replay() -> ResponseReturnValue:
    """A day's chats by the rules in force, and with this one as it stands in the form, unsaved."""
    scope = current_scope()
    sent = request.form.get("rule_id", "")
    known = sent.isascii() and sent.isdigit() and len(sent) < 10
    rule = rules.load_rule(scope, int(sent)) if known else None
    form = area.prepared(RuleForm(), rule)
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
