"""A chat comes in, comes back, or is handed over: which way it goes, before anybody gets it.

Order on opening: blocked, rules, bot, hours, queue. The client's row is locked first and the chat
after it, because the customer may be told something on the way.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import exists, select

from crm.db import database_now, db
from crm.lib.text import fold
from crm.models import (
    ActorKind,
    AgentStatus,
    BotFlow,
    BotNode,
    BotSession,
    Campaign,
    CampaignAgent,
    Chat,
    ChatEvent,
    ChatOwner,
    ChatPriority,
    ChatStatus,
    Client,
    NodeType,
    PendingReason,
    RuleAction,
    User,
)
from crm.services import hours
from crm.services.agents import holds
from crm.services.chats import (
    BOT,
    CLIENT,
    SYSTEM,
    Actor,
    change_campaign,
    close_chat,
    lock_agent,
    lock_chat,
    move_chat,
    places_of,
    requeue_chat,
)
from crm.services.chats.bots import start_bot
from crm.services.routing import rules
from crm.services.routing.facts import read_facts
from crm.services.routing.overflow import enter_queue
from crm.services.routing.texts import answer, lock_client, say_offline
from crm.services.settings import read_setting

MAY_ANSWER = "chats.reply"


def receive(chat: Chat) -> int | None:
    """Send a locked chat on its way; returns the agent whom a rule wants for it, if any.

    New: rules, bot, hours, queue. Pending: the customer has written. Queued: it may have been
    reopened by the customer, whose agent comes first. Anything else stays as it is.
    """
    if chat.status == ChatStatus.NEW:
        return _place_new(chat)
    if chat.status == ChatStatus.PENDING:
        bring_back(chat)
    elif chat.status == ChatStatus.QUEUED:
        _return_reopened(chat)
    return None


def hand_over(
    chat: Chat, *, variables: dict[str, Any], reason: str = "bot_done", note: str | None = None
) -> int | None:
    """A bot gives the chat to people: the rules are asked again, now with its variables."""
    lock_client(chat.client_id)
    chat = lock_chat(chat.id)
    if chat.status != ChatStatus.BOT:
        return None
    flow_id = db.session.scalar(
        select(BotSession.flow_id).where(BotSession.chat_id == chat.id).limit(1)
    )
    chat.bot_context = {**(chat.bot_context or {}), **variables}
    at = database_now()
    decision = _decide(chat, at=at, variables=variables, had_flow=flow_id)
    return _follow(chat, decision, at=at, actor=BOT, reason=reason, note=note)


def move_to_campaign(
    chat: Chat, campaign: Campaign, *, actor: Actor, reason: str, note: str | None = None
) -> int | None:
    """A person passes the chat on to another campaign: its rules, hours and SLA; a new wait."""
    lock_client(chat.client_id)
    chat = lock_chat(chat.id)
    at = database_now()
    book = rules.read_book({campaign.id})
    decision = rules.decide(book, campaign.id, read_facts(chat, at=at))
    # It comes from a person: no bot asks what they have asked already, and nobody is turned away.
    if decision.action in (RuleAction.ASSIGN_BOT, RuleAction.REJECT):
        decision.action = RuleAction.ASSIGN_QUEUE.value
    return _follow(chat, decision, at=at, actor=actor, reason=reason, note=note)


def bring_back(chat: Chat, *, reason: str = "customer_wrote") -> None:
    """A pending chat comes back: to its agent if available, else to the head of its queue.

    A call back stays where it is: the customer was asked to leave a message.
    """
    if chat.pending_reason == PendingReason.CALLBACK and reason == "customer_wrote":
        return
    if chat.waiting_since is None and reason == "customer_wrote":
        return  # a late ring: their word has been answered
    agent_id = chat.assigned_agent_id
    if agent_id is not None and _take_available(chat, agent_id):
        give_back(chat, agent_id, reason=reason)
    else:
        requeue_chat(chat, actor=CLIENT if reason == "customer_wrote" else SYSTEM, reason=reason)


def give_back(chat: Chat, agent_id: int, *, reason: str) -> Chat:
    """To the agent it belonged to, whatever their load; the caller holds chat and agent.

    Assigned while the customer waits for a word, so that it is taken back if none comes; active
    where only its time has come.
    """
    now = database_now()
    waits = chat.waiting_since is not None
    return move_chat(
        chat,
        ChatStatus.ASSIGNED if waits or chat.status != ChatStatus.PENDING else ChatStatus.ACTIVE,
        kind="assigned",
        actor=SYSTEM,
        reason=f"back_{reason}",
        at=now,
        data=places_of(db.session.get_one(User, agent_id)),
        facts={"assigned_agent_id": agent_id, "assigned_at": now, "owner": ChatOwner.HUMAN},
    )


def _place_new(chat: Chat) -> int | None:
    client = db.session.get_one(Client, chat.client_id)
    if client.is_blocked:
        close_chat(chat, actor=SYSTEM, reason="blocked")
        return None
    at = database_now()
    if fold(client.segment or "") in {fold(word) for word in read_setting("routing.vip_segments")}:
        chat.priority = ChatPriority.HIGH
    decision = _decide(chat, at=at)
    campaign = db.session.get_one(Campaign, decision.campaign_id)
    if _is_welcome(campaign, decision, at=at):
        answer(chat, campaign.welcome_message)
    return _follow(chat, decision, at=at, actor=SYSTEM, reason="routed")


def _decide(
    chat: Chat,
    *,
    at: datetime,
    variables: dict[str, Any] | None = None,
    had_flow: int | None = None,
) -> rules.Decision:
    facts = read_facts(chat, at=at, variables=variables)
    book = rules.read_book({chat.campaign_id})
    if chat.campaign_id not in book.lines:
        # Deleted while the chat was on its way: it waits where people can still find it.
        return rules.Decision(chat.campaign_id)
    return rules.decide(book, chat.campaign_id, facts, had_flow=had_flow)


def _follow(
    chat: Chat,
    decision: rules.Decision,
    *,
    at: datetime,
    actor: Actor,
    reason: str,
    note: str | None = None,
) -> int | None:
    """Do what was decided. Returns the wanted agent of `assign_agent`."""
    data: dict[str, Any] = {"rule": decision.receipt()}
    if note:
        data["note"] = note
    change_campaign(chat, decision.campaign_id)
    if decision.set_priority:
        chat.priority = ChatPriority(decision.set_priority)
    if decision.required_skills:
        chat.required_skills = list(decision.required_skills)
    if decision.action == RuleAction.REJECT:
        answer(chat, decision.message)
        close_chat(chat, actor=SYSTEM, reason="rejected", data=data)
        return None
    if decision.action == RuleAction.ASSIGN_BOT and decision.flow_id is not None:
        start_bot(chat, decision.flow_id, actor=SYSTEM, reason="routed", data=data)
        return None
    campaign = db.session.get_one(Campaign, decision.campaign_id)
    enter_queue(chat, decision.queue_id, at=at, actor=actor, reason=reason, data=data)
    if chat.status == ChatStatus.QUEUED:
        say_offline(chat, campaign, at=at)
    return decision.user_id


def _is_welcome(campaign: Campaign, decision: rules.Decision, *, at: datetime) -> bool:
    """Inside hours, not to who is turned away, nor where the flow greets by itself."""
    if decision.action == RuleAction.REJECT or not campaign.welcome_message:
        return False
    if not hours.is_open(campaign.business_hours, campaign.timezone, at):
        return False
    if decision.flow_id is None:
        return True
    greets = exists().where(
        BotFlow.id == decision.flow_id,
        BotNode.flow_id == BotFlow.id,
        BotNode.node_key == BotFlow.start_node_id,
        BotNode.node_type == NodeType.MESSAGE,
    )
    return not db.session.scalar(select(greets))


def _return_reopened(chat: Chat) -> None:
    """Reopened by the customer's word: to the last agent if available."""
    event = db.session.scalar(
        select(ChatEvent).where(ChatEvent.chat_id == chat.id).order_by(ChatEvent.id.desc()).limit(1)
    )
    if event is None or event.kind != "reopened" or event.actor_kind != ActorKind.CLIENT:
        return
    agent_id = (event.data or {}).get("agent_before")
    if agent_id is not None and _take_available(chat, agent_id):
        give_back(chat, agent_id, reason="reopened")


def _take_available(chat: Chat, agent_id: int) -> bool:
    """Lock the agent; whether they are at their desk, in this campaign, and may answer."""
    agent = lock_agent(agent_id, active=False)
    if not agent.is_active or agent.agent_status != AgentStatus.AVAILABLE:
        return False
    works_here = exists().where(
        CampaignAgent.campaign_id == chat.campaign_id,
        CampaignAgent.user_id == User.id,
        CampaignAgent.is_active.is_(True),
    )
    may = select(User.id).where(User.id == agent_id, works_here, holds(MAY_ANSWER))
    return db.session.scalar(may) is not None
