"""Trying rules without touching anything: a dry run of one message, a replay of a whole day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from crm.db import database_now, db
from crm.models import (
    BotFlow,
    Campaign,
    Chat,
    ChatEvent,
    Client,
    ClientTag,
    Message,
    Queue,
    RoutingRule,
    User,
)
from crm.services.routing.assign import explain_chat
from crm.services.routing.conditions import ChatFacts
from crm.services.routing.facts import read_facts_of
from crm.services.routing.rules import Book, Decision, Line, Rule, decide, read_book, rule_of

# A day has more chats in a large house than anybody reads; the differences of the first are shown.
MOST_CHATS = 2_000
MOST_SHOWN = 100
# So near to now that states and loads are read as they stand.
NOW_SECONDS = 60


@dataclass(frozen=True)
class Trial:
    """What would happen to one message: the decision, in words, and who would get the chat."""

    decision: Decision
    campaign: str
    destination: str
    receipt: dict[str, Any] | None
    at: datetime
    # now, past or future: what is assumed about who was, is or will be at work.
    when: str


@dataclass(frozen=True)
class Difference:
    """A chat that would go elsewhere."""

    chat_id: int
    case_number: str
    at: datetime
    words: str
    before: str
    after: str
    rule_before: str | None
    rule_after: str | None


@dataclass(frozen=True)
class Replay:
    """A day's chats against a changed set of rules.

    `matched`: (rule or "", how many chats it decides now, how many with the change), the busiest
    first. `moves`: (from where, to where, how many), the most first.
    """

    total: int
    changed: int
    differences: tuple[Difference, ...]
    matched: tuple[tuple[str, int, int], ...]
    moves: tuple[tuple[str, str, int], ...]
    cut: bool


def try_message(
    *,
    campaign_id: int,
    at: datetime,
    text: str,
    kind: str,
    number_id: int | None = None,
    client: Client | None = None,
    variables: dict[str, Any] | None = None,
) -> Trial:
    """Which rule a made-up message meets, and who would get its chat at that moment."""
    facts = _facts_of_message(at, text, kind, number_id, client, variables)
    return _try(campaign_id, facts, client.id if client else 0)


def try_again(message: Message, *, campaign_id: int, at: datetime | None = None) -> Trial:
    """The same of a message that has come in: with its kind, number and customer, at its moment.

    `at`: as if it had come then.
    """
    chat = db.session.get_one(Chat, message.chat_id)
    known = read_facts_of([chat], moments={chat.id: message.created_at})[chat.id]
    facts = replace(
        known,
        at=at or message.created_at,
        texts=(message.content,) if message.content else (),
        kinds=(str(message.message_type),),
    )
    return _try(campaign_id, facts, chat.client_id)


def _try(campaign_id: int, facts: ChatFacts, client_id: int) -> Trial:
    book = read_book({campaign_id})
    now = database_now()
    apart = (facts.at - now).total_seconds()
    when = "now" if abs(apart) < NOW_SECONDS else ("past" if apart < 0 else "future")
    decision = decide(book, campaign_id, facts)
    names = _Names(book)
    receipt = None
    if decision.action in ("assign_queue", "assign_agent"):
        # A chat as it would stand, never added to the session.
        chat = Chat(
            campaign_id=decision.campaign_id,
            client_id=client_id,
            queue_id=decision.queue_id,
            required_skills=list(decision.required_skills) or None,
        )
        wishes = {chat.id: decision.user_id} if decision.user_id else {}
        receipt = explain_chat(chat, wishes=wishes, at=None if when == "now" else facts.at)
    campaign = book.lines[decision.campaign_id].name
    return Trial(decision, campaign, names.of(decision), receipt, facts.at, when)


def _facts_of_message(
    at: datetime,
    text: str,
    kind: str,
    number_id: int | None,
    client: Client | None,
    variables: dict[str, Any] | None,
) -> ChatFacts:
    facts = ChatFacts(
        at=at,
        number_id=number_id,
        texts=(text,) if text else (),
        kinds=(kind,),
        first_contact=True,
        variables=variables,
    )
    if client is None:
        return facts
    tags = db.session.scalars(select(ClientTag.tag).where(ClientTag.client_id == client.id))
    spoke = db.session.scalar(
        select(func.count())
        .select_from(Chat)
        .where(Chat.client_id == client.id, Chat.deleted_at.is_(None))
    )
    return replace(
        facts,
        tags=frozenset(tags),
        segment=client.segment,
        lead_status=str(client.lead_status),
        country=client.country,
        first_contact=not spoke,
    )


def replay_day(campaign: Campaign, day: datetime, changed: Sequence[Rule]) -> Replay:
    """The chats that opened in this campaign on `day` (its zone), by the rules and by `changed`.

    Both are asked with what was known when each chat was routed; the client's tags and segment are
    today's. `changed` are the campaign's rules as they would be, in any order.
    """
    chats = _chats_of(campaign, day)
    cut = len(chats) > MOST_CHATS
    chats = chats[:MOST_CHATS]
    moments = _routed_at(chats)
    facts = read_facts_of(chats, moments=moments)
    now, then = read_book({campaign.id}), read_book({campaign.id})
    then = _with_rules(then, campaign.id, changed)
    names = _Names(now)
    differences: list[Difference] = []
    matched_before, matched_after = Counter[int | None](), Counter[int | None]()
    moves = Counter[tuple[str, str]]()
    titles: dict[int | None, str] = {None: ""}
    for chat in chats:
        before = decide(now, campaign.id, facts[chat.id])
        after = decide(then, campaign.id, facts[chat.id])
        for decision, counts in ((before, matched_before), (after, matched_after)):
            rule_id = decision.rule.id if decision.rule else None
            counts[rule_id] += 1
            # A rule that has another name with the change is shown by that one.
            titles[rule_id] = decision.rule.name if decision.rule else ""
        if _same(before, after):
            continue
        moves[names.of(before), names.of(after)] += 1
        if len(differences) < MOST_SHOWN:
            differences.append(_difference(chat, facts[chat.id], before, after, names))
    rows = [
        (titles[rule_id], matched_before[rule_id], matched_after[rule_id])
        for rule_id in matched_before | matched_after
    ]
    return Replay(
        total=len(chats),
        changed=moves.total(),
        differences=tuple(differences),
        matched=tuple(sorted(rows, key=lambda row: (-max(row[1:]), row[0]))),
        moves=tuple((*move, count) for move, count in moves.most_common()),
        cut=cut,
    )


def rules_of(campaign_id: int) -> list[RoutingRule]:
    """All rules of a campaign, switched-off ones too, in the order in which they are asked."""
    return list(
        db.session.scalars(
            select(RoutingRule)
            .where(RoutingRule.campaign_id == campaign_id)
            .order_by(RoutingRule.priority.desc(), RoutingRule.id)
        )
    )


def reordered(rows: Sequence[RoutingRule], *, order: Sequence[int], on: set[int]) -> list[Rule]:
    """These rules in another order and with others in force: `order` are ids, `on` who counts."""
    place = {rule_id: len(order) - n for n, rule_id in enumerate(order)}
    return [
        replace(rule_of(row), priority=place.get(row.id, -row.id)) for row in rows if row.id in on
    ]


def with_draft(rows: Sequence[RoutingRule], draft: RoutingRule) -> list[Rule]:
    """The rules in force with one as somebody is writing it, new or in its own place."""
    kept = [row for row in rows if row.is_active and row.id != draft.id]
    return [rule_of(row) for row in (*kept, draft) if row.is_active]


def _with_rules(book: Book, campaign_id: int, changed: Sequence[Rule]) -> Book:
    line: Line = replace(book.lines[campaign_id], rules=tuple(changed))
    return Book({**book.lines, campaign_id: line}, book.flow_ids)


def _chats_of(campaign: Campaign, day: datetime) -> list[Chat]:
    zone = ZoneInfo(campaign.timezone)
    start = day.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return list(
        db.session.scalars(
            select(Chat)
            .where(
                Chat.campaign_id == campaign.id,
                Chat.created_at >= start,
                Chat.created_at < start + timedelta(days=1),
                Chat.deleted_at.is_(None),
                func.coalesce(Chat.close_reason, "").not_in(("silent", "history")),
            )
            .order_by(Chat.id)
            .limit(MOST_CHATS + 1)
        )
    )


def _routed_at(chats: Sequence[Chat]) -> dict[int, datetime]:
    """When each chat was first decided about; for one that never was, two seconds after opening."""
    rows = db.session.execute(
        select(ChatEvent.chat_id, func.min(ChatEvent.created_at))
        .where(
            ChatEvent.chat_id.in_([chat.id for chat in chats]),
            ChatEvent.kind.in_(("queued", "bot_started", "closed", "assigned")),
        )
        .group_by(ChatEvent.chat_id)
    )
    decided = {chat_id: at for chat_id, at in rows}  # noqa: C416 - a Row is no pair to dict()
    return {chat.id: decided.get(chat.id, chat.created_at + timedelta(seconds=2)) for chat in chats}


def _same(one: Decision, other: Decision) -> bool:
    def what(decision: Decision) -> tuple[Any, ...]:
        return (
            decision.campaign_id,
            decision.action,
            decision.queue_id,
            decision.user_id,
            decision.flow_id,
            decision.set_priority,
            decision.required_skills,
        )

    return what(one) == what(other)


def _difference(
    chat: Chat, facts: ChatFacts, before: Decision, after: Decision, names: _Names
) -> Difference:
    return Difference(
        chat_id=chat.id,
        case_number=chat.case_number,
        at=chat.created_at,
        words=" / ".join(facts.texts)[:120],
        before=names.of(before),
        after=names.of(after),
        rule_before=before.rule.name if before.rule else None,
        rule_after=after.rule.name if after.rule else None,
    )


class _Names:
    """What a decision's destination is called; read once for all."""

    def __init__(self, book: Book) -> None:
        self.campaigns = {line.id: line.name for line in book.lines.values()}
        self.queues = {row.id: row.name for row in db.session.execute(select(Queue.id, Queue.name))}
        self.flows = {
            row.id: row.name for row in db.session.execute(select(BotFlow.id, BotFlow.name))
        }

    def of(self, decision: Decision) -> str:
        parts = [self.campaigns.get(decision.campaign_id, "")]
        if decision.action == "assign_bot":
            parts.append(self.flows.get(decision.flow_id or 0, ""))
        elif decision.action == "reject":
            parts.append("✕")
        elif decision.queue_id is not None:
            parts.append(self.queues.get(decision.queue_id, ""))
        if decision.user_id is not None:
            user = db.session.get(User, decision.user_id)
            parts.append(user.full_name if user else "")
        return " · ".join(part for part in parts if part)
