"""Routing rules as an admin writes them. services/routing/rules.py is what applies them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from crm.db import db
from crm.errors import NotFound
from crm.lib.text import fold
from crm.models import (
    BotFlow,
    Campaign,
    CampaignAgent,
    Chat,
    Client,
    Direction,
    Message,
    Queue,
    RoutingRule,
    User,
)
from crm.permissions import Scope
from crm.services import audit
from crm.services.campaigns import visible_campaigns
from crm.services.kit import ListQuery, Page, WrongField, find_page
from crm.services.routing.facts import NO_WORDS

FIELDS = (
    "campaign_id", "name", "description", "priority", "is_active", "action", "target_queue_id",
    "target_user_id", "target_bot_flow_id", "target_campaign_id", "message", "set_priority",
)  # fmt: skip
# Conditions that are one plain value; all that are present must hold.
PLAIN = ("client_tag", "segment", "lead_status", "country", "keyword", "regex", "message_type",
         "hours", "number_id")  # fmt: skip
# How many messages the dry run offers.
MOST_MESSAGES = 12
KNOWN = {*PLAIN, "first_contact", "bot_variable"}


def load_rule(scope: Scope, rule_id: int, *, lock: bool = False) -> RoutingRule:
    """The rule, if its campaign is in reach; NotFound otherwise."""
    statement = (
        select(RoutingRule)
        .join(Campaign, Campaign.id == RoutingRule.campaign_id)
        .where(RoutingRule.id == rule_id, visible_campaigns(scope))
    )
    if lock:
        statement = statement.with_for_update(of=RoutingRule).execution_options(
            populate_existing=True
        )
    rule = db.session.scalar(statement)
    if rule is None:
        raise NotFound
    return rule


def _with_target() -> Select[RoutingRule, str, str]:
    """Rules with the names of their campaign and of where they send a chat."""
    other = Campaign.__table__.alias("other")
    target = func.coalesce(
        Queue.name, func.nullif(func.concat_ws(" ", User.first_name, User.last_name), ""),
        other.c.name, BotFlow.name,
    )  # fmt: skip
    return (
        select(RoutingRule, Campaign.name, target)
        .join(Campaign, Campaign.id == RoutingRule.campaign_id)
        .outerjoin(Queue, Queue.id == RoutingRule.target_queue_id)
        .outerjoin(User, User.id == RoutingRule.target_user_id)
        .outerjoin(other, other.c.id == RoutingRule.target_campaign_id)
        .outerjoin(BotFlow, BotFlow.id == RoutingRule.target_bot_flow_id)
    )


def list_in_order(campaign_id: int) -> list[tuple[RoutingRule, str | None]]:
    """A campaign's rules with their targets' names, in the order in which they are asked."""
    rows = db.session.execute(
        _with_target()
        .where(RoutingRule.campaign_id == campaign_id)
        .order_by(RoutingRule.priority.desc(), RoutingRule.id)
    )
    return [(rule, target) for rule, _campaign, target in rows]


def find_rules(scope: Scope, query: ListQuery) -> Page:
    """Rows of (rule, campaign, name of the target), in the order in which they are asked."""
    statement = _with_target().where(visible_campaigns(scope))
    if campaign := query.filters.get("campaign"):
        statement = statement.where(RoutingRule.campaign_id == int(campaign))
    return find_page(
        statement,
        query,
        search=(RoutingRule.name, Campaign.name),
        sorts={"name": func.lower(RoutingRule.name), "priority": RoutingRule.priority},
        default=(func.lower(Campaign.name), RoutingRule.priority.desc()),
        key=RoutingRule.id,
    )


def find_people(scope: Scope, campaign_id: int | None = None) -> list[tuple[int, str]]:
    """Who works in a campaign in reach, or in this one: candidates for a rule."""
    statement = (
        select(User.id, User.first_name, User.last_name)
        .join(CampaignAgent, CampaignAgent.user_id == User.id)
        .join(Campaign, Campaign.id == CampaignAgent.campaign_id)
        .where(visible_campaigns(scope), User.deleted_at.is_(None))
        .distinct()
        .order_by(User.first_name, User.last_name, User.id)
    )
    if campaign_id is not None:
        statement = statement.where(Campaign.id == campaign_id)
    rows = db.session.execute(statement)
    return [(row.id, f"{row.first_name} {row.last_name}") for row in rows]


def find_flows() -> list[tuple[int, str]]:
    rows = db.session.execute(
        select(BotFlow.id, BotFlow.name).where(BotFlow.deleted_at.is_(None)).order_by(BotFlow.name)
    )
    return [(row.id, row.name) for row in rows]


def state_of(rule: RoutingRule) -> dict[str, Any]:
    state = {name: getattr(rule, name) for name in FIELDS}
    state["action"] = str(rule.action)
    state["set_priority"] = str(rule.set_priority) if rule.set_priority else None
    state["required_skills"] = list(rule.required_skills or [])
    held = rule.conditions or {}
    state |= {name: held.get(name) for name in PLAIN}
    first = held.get("first_contact")
    state["first_contact"] = None if first is None else ("yes" if first else "no")
    variable = held.get("bot_variable") or {}
    state["variable_name"] = variable.get("name")
    state["variable_operator"] = variable.get("operator") or "="
    state["variable_value"] = variable.get("value")
    return state


def create_rule(values: Mapping[str, Any]) -> RoutingRule:
    rule = RoutingRule()
    _write(rule, values)
    db.session.add(rule)
    db.session.flush()
    return rule


def draft_rule(values: Mapping[str, Any], rule: RoutingRule | None = None) -> RoutingRule:
    """The rule as the form would have it, for trying: it is in no session and is never saved.

    WrongField for what saving would refuse as well.
    """
    held = {"id": rule.id, "conditions": rule.conditions} if rule else {}
    draft = RoutingRule(**held)
    _write(draft, values)
    return draft


def update_rule(rule: RoutingRule, values: Mapping[str, Any]) -> RoutingRule:
    """Write the form's values; the rule's campaign stays."""
    if values["campaign_id"] != rule.campaign_id:
        raise WrongField(
            "A rule stays in its campaign; make a new one there.", field_name="campaign_id"
        )
    _write(rule, values)
    db.session.flush()
    return rule


def order_of(campaign_id: int) -> list[str]:
    """The names of a campaign's rules in the order in which they are asked, for the audit."""
    rows = db.session.scalars(
        select(RoutingRule)
        .where(RoutingRule.campaign_id == campaign_id)
        .order_by(RoutingRule.priority.desc(), RoutingRule.id)
    )
    return [row.name if row.is_active else f"({row.name})" for row in rows]


def set_order(
    campaign: Campaign, order: Sequence[int], *, on: set[int], before: Sequence[str] | None = None
) -> None:
    """Number the rules by `order`, ten apart; `on` are those in force. The trail has it by name:
    `before` is how it was (`order_of`), where rules have come or gone in the same step.

    One that somebody added meanwhile keeps its place behind the others; ids of other campaigns are
    left aside.
    """
    before = order_of(campaign.id) if before is None else before
    rows = {
        row.id: row
        for row in db.session.scalars(
            select(RoutingRule).where(RoutingRule.campaign_id == campaign.id).with_for_update()
        )
    }
    known = [rule_id for rule_id in dict.fromkeys(order) if rule_id in rows]
    for place, rule_id in enumerate(reversed(known), start=1):
        rows[rule_id].priority = place * 10
        rows[rule_id].is_active = rule_id in on
    for rule_id, row in rows.items():
        if rule_id not in known:
            row.priority = min(row.priority, 0)
    db.session.flush()
    after = {"order": order_of(campaign.id)}
    audit.record("rules.order", campaign, before={"order": list(before)}, after=after)


def find_client(text: str) -> Client | None:
    """By phone number (as written or in digits) or by the number of a case; None if nobody has it.

    Whoever may write rules may try them on any customer: nothing of the customer is shown.
    """
    digits = "".join(char for char in text if char.isdigit())
    by_case = db.session.scalar(
        select(Client)
        .join(Chat, Chat.client_id == Client.id)
        .where(Chat.case_number == text.strip().upper())
        .limit(1)
    )
    if by_case is not None or len(digits) < 7:
        return by_case
    return db.session.scalar(
        select(Client)
        .where(Client.phone_number.in_((f"+{digits}", digits)), Client.deleted_at.is_(None))
        .limit(1)
    )


def list_messages(
    visible: ColumnElement[bool], *, client: Client | None, campaign_id: int | None
) -> list[Message]:
    """What can be tried again: a customer's newest messages, or the campaign's, newest first.

    Only of chats that the person may see (`visible`), for their words are shown.
    """
    statement = (
        select(Message)
        .join(Chat, Chat.id == Message.chat_id)
        .where(
            visible,
            Message.direction == Direction.INBOUND,
            Message.message_type.not_in(NO_WORDS),
        )
        .order_by(Message.id.desc())
        .limit(MOST_MESSAGES)
    )
    if client is not None:
        statement = statement.where(Chat.client_id == client.id)
    elif campaign_id is not None:
        statement = statement.where(Chat.campaign_id == campaign_id)
    return list(db.session.scalars(statement))


def delete_rule(rule: RoutingRule) -> None:
    db.session.delete(rule)


def _write(rule: RoutingRule, values: Mapping[str, Any]) -> None:
    if values["target_queue_id"] is not None:
        with db.session.no_autoflush:
            queue = db.session.get(Queue, values["target_queue_id"])
        if queue is None or queue.campaign_id != values["campaign_id"]:
            raise WrongField("Choose a queue of the same campaign.", field_name="target_queue_id")
    for name in FIELDS:
        setattr(rule, name, values[name])
    rule.required_skills = values["required_skills"] or None
    # Conditions that this form does not know stay: another release may have written them.
    kept = {name: value for name, value in (rule.conditions or {}).items() if name not in KNOWN}
    rule.conditions = {**kept, **conditions_of(values)} or None


def conditions_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """A form's fields as a rule keeps them."""
    found = {name: values[name] for name in PLAIN if values[name] is not None}
    if "client_tag" in found:
        found["client_tag"] = fold(found["client_tag"])
    if values["first_contact"] is not None:
        found["first_contact"] = values["first_contact"] == "yes"
    if values["variable_name"]:
        found["bot_variable"] = {
            "name": values["variable_name"],
            "operator": values["variable_operator"],
            "value": values["variable_value"],
        }
    return found
