"""A draft of a campaign's rules: several changes prepared, tried, and put in force at once.

Every button of the page sends the whole of it: order and switches are kept whatever it does.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, flash, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from crm.blueprints.htmx import go_to
from crm.blueprints.kit import mark_wrong, show_form
from crm.blueprints.routing import page, read_day
from crm.db import atomic, retrying
from crm.errors import Conflict, Forbidden
from crm.extensions import htmx
from crm.forms.rules import ACTION_WORDS, RuleForm
from crm.models import Campaign
from crm.permissions import current_scope, requires
from crm.services import queues, rule_drafts, rules
from crm.services.campaigns import list_campaign_names, load_campaign
from crm.services.kit import WrongField
from crm.services.numbers import list_number_names
from crm.services.routing import preview
from crm.services.rule_drafts import Draft, Entry

blueprint = Blueprint("rule_drafts", __name__, url_prefix="/settings/routing/draft")


@blueprint.get("/<int:campaign_id>")
@requires("rules.update")
def show(campaign_id: int) -> ResponseReturnValue:
    """The rules as they would be; without a draft, as they are."""
    return draft_page(load_campaign(current_scope(), campaign_id))


@blueprint.post("/<int:campaign_id>")
@requires("rules.update")
def act(campaign_id: int) -> ResponseReturnValue:
    """Keep order and switches, and do what the button says: `do` is `what` or `what:key`."""
    what, _colon, key = request.form.get("do", "try").partition(":")
    here = url_for("rule_drafts.show", campaign_id=campaign_id)
    if what == "save":
        return save(campaign_id)
    if what == "drop":
        change(campaign_id, rule_drafts.drop_draft)
        flash(_("The draft is dropped; the rules in force are as they were."))
        return go_to(url_for("routing.order", campaign_id=campaign_id))
    change(campaign_id, lambda draft: arrange(draft, what, key))
    if what in ("new", "edit"):
        return go_to(url_for("rule_drafts.edit", campaign_id=campaign_id, key=key or None))
    if what == "try":
        return try_on_a_day(load_campaign(current_scope(), campaign_id))
    return go_to(here)


def arrange(draft: Draft, what: str = "", key: str = "") -> None:
    if "rule" in request.form:
        draft.arrange(request.form.getlist("rule"), set(request.form.getlist("on")))
    if what == "remove":
        if draft.find(key).rule is not None and not current_scope().can("rules.delete"):
            raise Forbidden
        draft.remove(key)
    elif what == "restore":
        draft.restore(key)
    elif what == "go_on":
        draft.go_on()
    draft.store(current_scope().user_id)


def change(campaign_id: int, work: Any) -> None:
    """`work(draft)` in a transaction, the draft held."""
    scope = current_scope()

    def unit() -> None:
        with atomic():
            campaign = load_campaign(scope, campaign_id)
            work(rule_drafts.load_draft(scope.user_id, campaign, lock=True))

    retrying(unit)


def save(campaign_id: int) -> ResponseReturnValue:
    """All or nothing; what is in the way is said on the page, and the draft stays."""
    scope = current_scope()
    change(campaign_id, arrange)

    def unit() -> int:
        with atomic():
            campaign = load_campaign(scope, campaign_id, lock=True)
            draft = rule_drafts.load_draft(scope.user_id, campaign, lock=True)
            may_save(draft)
            return rule_drafts.save_draft(draft, campaign)

    campaign = load_campaign(scope, campaign_id)
    troubles = find_troubles(campaign, rule_drafts.load_draft(scope.user_id, campaign))
    if troubles:
        return draft_page(campaign, troubles=troubles), 422
    try:
        count = retrying(unit)
    except Conflict:
        return draft_page(load_campaign(scope, campaign_id)), 409
    flash(
        ngettext("%(num)d change is in force.", "%(num)d changes are in force.", count)
        if count
        else _("Nothing was changed.")
    )
    return go_to(url_for("routing.order", campaign_id=campaign_id))


def may_save(draft: Draft) -> None:
    """Rights may have gone since the draft was begun."""
    scope = current_scope()
    if any(entry.rule is None for entry in draft.entries) and not scope.can("rules.create"):
        raise Forbidden
    if any(entry.removed for entry in draft.entries) and not scope.can("rules.delete"):
        raise Forbidden


def try_on_a_day(campaign: Campaign) -> ResponseReturnValue:
    draft = rule_drafts.load_draft(current_scope().user_id, campaign)
    day = read_day(ZoneInfo(campaign.timezone))
    troubles = find_troubles(campaign, draft)
    if troubles:
        return draft_page(campaign, day=day, troubles=troubles), 422
    replay = preview.replay_day(campaign, day, draft.rules())
    return draft_page(campaign, day=day, replay=replay)


def find_troubles(campaign: Campaign, draft: Draft) -> list[tuple[str, str, str, str]]:
    """(key, rule, field, error) of what cannot be saved any more: a queue that is gone since."""
    found = []
    for entry in draft.entries:
        if entry.removed or not (entry.edited or entry.rule is None):
            continue
        form = prepared(RuleForm(formdata=None, data=entry.state, meta={"csrf": False}), campaign)
        form.validate()
        found += [
            (entry.key, entry.name, str(field.label.text), str(field.errors[0]))
            for field in form.wrong_fields()
        ]
    return found


def draft_page(
    campaign: Campaign,
    *,
    day: datetime | None = None,
    replay: preview.Replay | None = None,
    troubles: list[tuple[str, str, str, str]] | None = None,
) -> str:
    scope = current_scope()
    draft = rule_drafts.load_draft(scope.user_id, campaign)
    targets = names_of_targets(campaign)
    lines = {
        entry.key: (rules.conditions_of(entry.state), targets(entry)) for entry in draft.entries
    }
    return page(
        "routing/draft.html",
        campaign=campaign,
        draft=draft,
        stale=draft.meanwhile(),
        troubles=troubles,
        lines=lines,
        campaigns=list_campaign_names(scope),
        words=ACTION_WORDS,
        numbers=dict(list_number_names(scope)),
        day=day,
        replay=replay,
    )


def names_of_targets(campaign: Campaign) -> Any:
    """A function that names where a rule of the draft sends its chats."""
    scope = current_scope()
    names = {
        "target_queue_id": dict(queues.list_queue_names(scope, campaign.id)),
        "target_user_id": dict(rules.find_people(scope, campaign.id)),
        "target_bot_flow_id": dict(rules.find_flows()),
        "target_campaign_id": dict(list_campaign_names(scope)),
    }

    def name(entry: Entry) -> str | None:
        for field, known in names.items():
            if entry.state[field] is not None:
                return known.get(entry.state[field], "?")
        return None

    return name


# One rule of the draft


@blueprint.get("/<int:campaign_id>/rule")
@requires("rules.update")
def edit(campaign_id: int) -> ResponseReturnValue:
    """The form of one rule as it would be (`?key=`), or of a new one."""
    campaign, entry = load_entry(campaign_id)
    state = entry.state if entry else {"campaign_id": campaign.id, "is_active": True}
    form = prepared(RuleForm(data=state), campaign)
    return show_form("routing/draft_rule.html", form, **around(campaign, entry))


@blueprint.post("/<int:campaign_id>/rule")
@requires("rules.update")
def keep(campaign_id: int) -> ResponseReturnValue:
    """Keep the form in the draft; wrong input comes back with all that was typed."""
    campaign, entry = load_entry(campaign_id)
    form = prepared(RuleForm(data=entry.state if entry else None), campaign)
    if form.validate_on_submit():
        try:
            change(campaign_id, lambda draft: put(draft, entry.key if entry else None, form))
        except WrongField as error:
            mark_wrong(form, error)
        else:
            flash(_("Kept in the draft; not in force yet."))
            return go_to(url_for("rule_drafts.show", campaign_id=campaign_id))
    frame = "settings/_part.html" if htmx else "settings/_page.html"
    return render_template(
        "routing/draft_rule.html",
        form=form,
        clash=None,
        frame=frame,
        area="settings",
        **around(campaign, entry),
    ), 422


def put(draft: Draft, key: str | None, form: RuleForm) -> None:
    draft.keep(key, form.values())
    draft.store(current_scope().user_id)


def load_entry(campaign_id: int) -> tuple[Campaign, Entry | None]:
    scope = current_scope()
    campaign = load_campaign(scope, campaign_id)
    key = request.args.get("key")
    if not key:
        if not scope.can("rules.create"):
            raise Forbidden
        return campaign, None
    return campaign, rule_drafts.load_draft(scope.user_id, campaign).find(key)


def around(campaign: Campaign, entry: Entry | None) -> dict[str, Any]:
    home = url_for("rule_drafts.show", campaign_id=campaign.id)
    key = entry.key if entry else None
    return {
        "rule": entry,
        "in_draft": True,
        "listed": _("Draft of the rules"),
        "home": home,
        "action": url_for("rule_drafts.keep", campaign_id=campaign.id, key=key),
        "save_words": _("Keep in the draft"),
        "may_edit": True,
    }


def prepared(form: RuleForm, campaign: Campaign) -> RuleForm:
    """With what is in the person's reach, of this campaign."""
    scope = current_scope()
    campaigns = list_campaign_names(scope)
    form.campaign_id.offer([(campaign.id, campaign.name)])
    form.target_campaign_id.offer(campaigns)
    form.target_queue_id.offer(queues.list_queue_names(scope, campaign.id))
    form.target_user_id.offer(rules.find_people(scope, campaign.id))
    form.target_bot_flow_id.offer(rules.find_flows())
    form.number_id.offer(list_number_names(scope))
    return form
