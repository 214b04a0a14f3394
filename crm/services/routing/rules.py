"""Where a chat goes: the campaign's rules in their order, else its bot, else its first queue.

`decide` is pure over a book of rules, so the same code serves a chat that has just come in, a dry
run with a made-up message, and a replay of yesterday against rules that nobody has saved yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from crm.db import db
from crm.models import BotFlow, Campaign, CampaignStatus, Queue, RoutingRule, RuleAction
from crm.services.routing.conditions import ChatFacts, Hours, find_failing

MOST_HOPS = 3
# How many rules that did not match a receipt names.
RECEIPT_RULES = 20


@dataclass(frozen=True, slots=True)
class Rule:
    """A routing rule as plain values. `priority` higher first, then the lower id."""

    id: int | None
    name: str
    campaign_id: int
    priority: int
    conditions: Mapping[str, Any] | None
    action: str
    target_queue_id: int | None = None
    target_user_id: int | None = None
    target_campaign_id: int | None = None
    target_bot_flow_id: int | None = None
    message: str | None = None
    set_priority: str | None = None
    required_skills: tuple[str, ...] = ()

    @property
    def order(self) -> tuple[int, float]:
        return (-self.priority, self.id if self.id is not None else float("inf"))


@dataclass(frozen=True, slots=True)
class Line:
    """A campaign as the rules see it: where its chats can go. `flow_id`: a bot that may talk."""

    id: int
    name: str
    hours: Hours
    rules: tuple[Rule, ...]
    queue_ids: tuple[int, ...]
    flow_id: int | None


@dataclass(frozen=True, slots=True)
class Book:
    """The rules of every campaign that a chat could come to, and the flows that may talk."""

    lines: Mapping[int, Line]
    flow_ids: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """One rule that was asked; `failed` names the condition (or the trouble), None = it matched."""

    rule_id: int | None
    name: str
    campaign_id: int
    failed: str | None


@dataclass(slots=True)
class Decision:
    """Where the chat goes: `action` is a rule's action; `rule` None means that none matched.

    `queue_id` is always set where the campaign has an active queue: who cannot have the agent or
    the bot waits there. `hops` names the campaigns that it came through.
    """

    campaign_id: int
    action: str = "assign_queue"
    queue_id: int | None = None
    user_id: int | None = None
    flow_id: int | None = None
    message: str | None = None
    rule: Rule | None = None
    set_priority: str | None = None
    required_skills: tuple[str, ...] = ()
    steps: list[Step] = field(default_factory=list)
    hops: list[str] = field(default_factory=list)
    too_many_hops: bool = False

    def receipt(self) -> dict[str, Any]:
        """Plain JSON for `chat_events.data`."""
        missed = [step for step in self.steps if step.failed is not None]
        return {
            "rule_id": self.rule.id if self.rule else None,
            "rule": self.rule.name if self.rule else None,
            "action": self.action,
            "queue_id": self.queue_id,
            "missed": [{"rule": s.name, "failed": s.failed} for s in missed[:RECEIPT_RULES]],
            "missed_count": len(missed),
            "hops": self.hops,
            "too_many_hops": self.too_many_hops,
        }


def decide(
    book: Book, campaign_id: int, facts: ChatFacts, *, had_flow: int | None = None
) -> Decision:
    """Ask the rules, the first whose conditions all hold wins; at most three hand-ons.

    `had_flow` is the bot that has just handed the chat over: neither it nor the campaign's own bot
    begins again.
    """
    decision = Decision(campaign_id)
    while True:
        line = book.lines[decision.campaign_id]
        decision.queue_id = line.queue_ids[0] if line.queue_ids else None
        rule = _first_match(line, facts, decision)
        if rule is None:
            decision.action, decision.rule = "assign_queue", None
            if facts.variables is None and line.flow_id is not None:
                decision.action, decision.flow_id = RuleAction.ASSIGN_BOT.value, line.flow_id
            return decision
        decision.rule = rule
        decision.set_priority = rule.set_priority or decision.set_priority
        decision.required_skills = rule.required_skills or decision.required_skills
        if rule.action == RuleAction.TRANSFER_CAMPAIGN:
            if _hop(book, rule, decision):
                continue
            return decision
        _apply(book, line, rule, decision, had_flow)
        return decision


def _first_match(line: Line, facts: ChatFacts, decision: Decision) -> Rule | None:
    for rule in sorted(line.rules, key=lambda rule: rule.order):
        failed = find_failing(rule.conditions, facts, line.hours)
        decision.steps.append(Step(rule.id, rule.name, line.id, failed))
        if failed is None:
            return rule
    return None


def _hop(book: Book, rule: Rule, decision: Decision) -> bool:
    """Go to the other campaign; False where that cannot be: the chat stays in its first queue."""
    decision.action = "assign_queue"
    target = rule.target_campaign_id
    if target is None or target not in book.lines:
        _fail_last(decision, "target_gone")
        decision.rule = None
        return False
    if len(decision.hops) >= MOST_HOPS:
        decision.too_many_hops = True
        decision.rule = None
        return False
    decision.hops.append(book.lines[decision.campaign_id].name)
    decision.campaign_id = target
    return True


def _apply(book: Book, line: Line, rule: Rule, decision: Decision, had_flow: int | None) -> None:
    """The other four actions; one whose target is gone leaves the chat to the first queue."""
    decision.action = rule.action
    if rule.target_queue_id in line.queue_ids:
        decision.queue_id = rule.target_queue_id
    elif rule.action == RuleAction.ASSIGN_QUEUE:
        _fail_last(decision, "target_gone")
    if rule.action == RuleAction.ASSIGN_AGENT:
        decision.user_id = rule.target_user_id
    if rule.action == RuleAction.ASSIGN_BOT:
        flow = rule.target_bot_flow_id
        if flow in book.flow_ids and flow != had_flow:
            decision.flow_id = flow
        else:
            decision.action = "assign_queue"
            _fail_last(decision, "target_gone" if flow != had_flow else "bot_had_it")
    if rule.action == RuleAction.REJECT:
        decision.message = rule.message


def _fail_last(decision: Decision, why: str) -> None:
    last = decision.steps[-1]
    decision.steps[-1] = Step(last.rule_id, last.name, last.campaign_id, why)


def read_book(campaign_ids: Iterable[int] | None = None) -> Book:
    """Every active campaign with its rules, queues and bot; four small queries.

    `campaign_ids` are read whatever their status (a paused campaign still routes into its queues);
    others can be reached only while they are active.
    """
    wanted = set(campaign_ids or ())
    campaigns = [
        campaign
        for campaign in db.session.scalars(select(Campaign).where(Campaign.deleted_at.is_(None)))
        if campaign.id in wanted or campaign.status == CampaignStatus.ACTIVE
    ]
    flow_ids = frozenset(
        db.session.scalars(
            select(BotFlow.id).where(
                BotFlow.is_published.is_(True),
                BotFlow.is_active.is_(True),
                BotFlow.deleted_at.is_(None),
            )
        )
    )
    rules: dict[int, list[Rule]] = {}
    for row in db.session.scalars(select(RoutingRule).where(RoutingRule.is_active.is_(True))):
        rules.setdefault(row.campaign_id, []).append(rule_of(row))
    queues: dict[int, list[int]] = {}
    for queue_id, campaign_id in db.session.execute(
        select(Queue.id, Queue.campaign_id)
        .where(Queue.is_active.is_(True))
        .order_by(Queue.priority.desc(), Queue.id)
    ):
        queues.setdefault(campaign_id, []).append(queue_id)
    lines = {
        campaign.id: Line(
            id=campaign.id,
            name=campaign.name,
            hours=Hours(campaign.business_hours, campaign.timezone),
            rules=tuple(rules.get(campaign.id, ())),
            queue_ids=tuple(queues.get(campaign.id, ())),
            flow_id=_flow_of(campaign, flow_ids),
        )
        for campaign in campaigns
    }
    return Book(lines, flow_ids)


def rule_of(row: RoutingRule) -> Rule:
    """The stored rule as plain values."""
    return Rule(
        id=row.id,
        name=row.name,
        campaign_id=row.campaign_id,
        priority=row.priority,
        conditions=row.conditions,
        action=str(row.action),
        target_queue_id=row.target_queue_id,
        target_user_id=row.target_user_id,
        target_campaign_id=row.target_campaign_id,
        target_bot_flow_id=row.target_bot_flow_id,
        message=row.message,
        set_priority=str(row.set_priority) if row.set_priority else None,
        required_skills=tuple(row.required_skills or ()),
    )


def _flow_of(campaign: Campaign, flow_ids: frozenset[int]) -> int | None:
    flow_id = campaign.bot_flow_id
    return flow_id if campaign.bot_enabled and flow_id in flow_ids else None
