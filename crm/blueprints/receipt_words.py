"""A receipt in words: which rule, which strategy, who could have a chat, who not and why.

Receipts are codes and figures (`routing.strategies.Choice.receipt`); the screens say them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import Blueprint
from flask_babel import gettext as _
from markupsafe import Markup

from crm.blueprints.display import moment

blueprint = Blueprint("receipt_words", __name__)


@blueprint.app_template_filter("receipt_reason")
def receipt_reason(reason: str | None) -> str:
    """Why a chat moved, for people; a reason that somebody typed stays as it is."""
    words = {
        "routed": "",
        "turn": _("it was their turn next"),
        "last_agent": _("they attended this customer before"),
        "last_agent_not_free": _("by turn, as the last agent is not free"),
        "least_busy": _("the least busy"),
        "skills": _("they know the matter"),
        "skills_partial": _("they know part of the matter"),
        "priority": _("by priority"),
        "picked": _("taken by hand"),
        "agent_offline": _("the agent went offline"),
        "no_answer": _("nobody had answered"),
        "manual": _("agents take chats by hand"),
        "nobody_free": _("no agent is free right now"),
        "nobody_skilled": _("no free agent knows the matter"),
        "opened": "",
        "accepted": _("they accepted it"),
        "rule_agent": _("a rule chose them"),
        "back_customer_wrote": _("their customer has written again"),
        "back_reopened": _("their customer came back"),
        "back_snooze_over": _("the time it was put aside for is over"),
        "customer_wrote": _("the customer has written again"),
        "snooze_over": _("the time it was put aside for is over"),
        "phone_silent": _("the phone has not gone on"),
        "handed_over": _("handed over"),
        "transferred": _("passed on"),
        "agent_left": _("the agent has left"),
        "queue_closed": _("their queue was switched off"),
        "max_wait": _("the longest wait has passed"),
        "bot_done": _("the bot hands over"),
        "bot_silent": _("the bot did not answer"),
        "offer_declined": _("the offer was declined"),
        "offer_expired": _("nobody answered the offer"),
        "offer_gone": _("the one it was offered to has gone"),
        "offer_withdrawn": _("the offer was taken back"),
        "outside_hours": _("it is outside business hours"),
        "campaign_paused": _("the campaign is paused"),
        "campaign_ended": _("the campaign has ended"),
        "its_turn": _("it is its turn now"),
        "not_waiting": _("it does not wait: it has somebody"),
        "by_hand": "",
        "resumed": "",
        "phone_greeting": _("what the phone had said was its automatic greeting"),
    }
    return words.get(reason or "", reason or "")


@blueprint.app_template_filter("condition_word")
def condition_word(code: str | None) -> str:
    """Why a rule did not decide: the condition that failed, or what became of its target."""
    words = {
        "client_tag": _("the tag"),
        "segment": _("the segment"),
        "lead_status": _("the lead status"),
        "keyword": _("the word"),
        "regex": _("the pattern"),
        "message_type": _("the kind of message"),
        "first_contact": _("the first contact"),
        "number_id": _("the number"),
        "hours": _("the hours"),
        "bot_variable": _("the bot's variable"),
        "country": _("the country"),
    }
    other = {
        "target_gone": _("matched, but its target takes nothing"),
        "bot_had_it": _("matched, but that bot has just ended"),
    }
    if code in other:
        return other[code]
    return _("does not hold: %(condition)s", condition=words.get(code or "", code or ""))


@blueprint.app_template_filter("strategy_word")
def strategy_word(strategy: str) -> str:
    words = {
        "round_robin": _("By turns"),
        "least_busy": _("Least busy"),
        "skills": _("By skills"),
        "priority": _("By priority"),
        "last_agent": _("Last agent"),
        "manual": _("By hand"),
    }
    return words.get(strategy, strategy)


@blueprint.app_template_filter("obstacle_word")
def obstacle_word(code: str) -> str:
    """Why automatic assignment passed an agent by."""
    words = {
        "user_inactive": _("account not active"),
        "not_in_campaign": _("not in this campaign"),
        "not_permitted": _("may not answer"),
        "busy": _("busy"),
        "paused": _("paused"),
        "offline": _("offline"),
        "auto_assign_off": _("receives by hand only"),
        "full": _("no place free"),
        "campaign_full": _("no place free in this campaign"),
        "skills": _("lacks a skill"),
        "lapsed": _("did not answer it before"),
    }
    return words.get(code, code)


@blueprint.app_template_filter("place_reason")
def place_reason(agent: Mapping[str, Any], receipt: Mapping[str, Any]) -> Markup | str:
    """Why a candidate stands where they stand: what the strategy compares."""
    strategy = receipt.get("strategy")
    if strategy == "priority":
        return _("priority %(number)s, %(load)s", number=agent.get("priority"), load=_share(agent))
    needed = list(receipt.get("skills") or [])
    if strategy == "skills" and needed:
        held = [skill for skill in needed if skill in (agent.get("skills") or [])]
        known = _("knows %(held)s of %(needed)s", held=len(held), needed=len(needed))
        return f"{known}, {_share(agent)}"
    if strategy in ("least_busy", "skills"):
        return _share(agent)
    last = agent.get("last_assigned_at")
    if not last:
        return _("no chat in this campaign yet")
    return Markup("{} {}").format(_("last chat"), moment(datetime.fromisoformat(last), "soon"))


@blueprint.app_template_filter("left_out_reason")
def left_out_reason(agent: Mapping[str, Any], receipt: Mapping[str, Any]) -> str:
    """Why one who was left out was, with what it hangs on."""
    why = agent.get("why", "")
    if why in ("busy", "paused", "offline"):
        return _("gets no chats like that")
    if why == "skills":
        held = agent.get("skills") or []
        lacking = [skill for skill in receipt.get("skills") or [] if skill not in held]
        if lacking:
            return _("lacks: %(skills)s", skills=", ".join(lacking))
    return obstacle_word(why)


@blueprint.app_template_filter("load_words")
def load_words(agent: Mapping[str, Any]) -> str:
    """'2 of 5 chats', and those of this campaign where it has a limit of its own."""
    own = _("%(load)s of %(limit)s chats", load=agent.get("load"), limit=agent.get("limit"))
    limit = agent.get("campaign_limit")
    if limit is None or limit >= agent.get("limit", 0):
        return own
    here = _("%(load)s of %(limit)s here", load=agent.get("campaign_load"), limit=limit)
    return f"{own}, {here}"


@blueprint.app_template_filter("rest_words")
def rest_words(receipt: Mapping[str, Any]) -> str:
    """Those left out whom the receipt does not name, counted by reason; '' if it names all."""
    rest = Counter(receipt.get("left_out_counts") or {})
    rest.subtract(agent.get("why") for agent in receipt.get("left_out") or [])
    return ", ".join(
        f"{obstacle_word(code)}: {number}" for code, number in rest.most_common() if number > 0
    )


def _share(agent: Mapping[str, Any]) -> str:
    """How full they are by the nearer limit, as the strategies compare it."""
    limit = agent.get("limit")
    shares = [agent.get("load", 0) / limit if limit else 1.0]
    if agent.get("campaign_limit"):
        shares.append((agent.get("campaign_load") or 0) / agent["campaign_limit"])
    return _("%(percent)s%% of their places taken", percent=round(max(shares) * 100))
