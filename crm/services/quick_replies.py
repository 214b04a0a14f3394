"""Quick replies: personal ones, a campaign's, everybody's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, true

from crm.db import db
from crm.errors import Forbidden, NotFound
from crm.models import Campaign, Chat, Client, QuickReply, User
from crm.permissions import Scope
from crm.services.campaigns import reaches_all
from crm.services.kit import ListQuery, Page, WrongField, find_page

FIELDS = ("shortcut", "title", "content", "is_active")


def visible_replies(scope: Scope) -> ColumnElement[bool]:
    """Own ones, those of one's campaigns, and everybody's; never somebody else's own."""
    shared = QuickReply.user_id.is_(None)
    of_campaigns: ColumnElement[bool] = true()
    if not reaches_all(scope):
        of_campaigns = or_(
            QuickReply.campaign_id.is_(None), QuickReply.campaign_id.in_(scope.campaign_ids)
        )
    return or_(QuickReply.user_id == scope.user_id, and_(shared, of_campaigns))


def load_reply(scope: Scope, reply_id: int, *, lock: bool = False) -> QuickReply:
    """The reply, if this person may see it; NotFound otherwise."""
    statement = select(QuickReply).where(QuickReply.id == reply_id, visible_replies(scope))
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    reply = db.session.scalar(statement)
    if reply is None:
        raise NotFound
    return reply


def load_to_change(scope: Scope, reply_id: int, *, lock: bool = False) -> QuickReply:
    """The reply, if this person may change it; Forbidden where they may only use it."""
    reply = load_reply(scope, reply_id, lock=lock)
    if not may_change(scope, reply):
        raise Forbidden
    return reply


def reaches_of(scope: Scope) -> list[str]:
    """For whom this person may write quick replies."""
    found = ["personal"] if scope.can("quick_replies.manage_own") else []
    if scope.can("quick_replies.manage"):
        found.append("campaign")
        if reaches_all(scope):
            found.append("everybody")
    return found


def may_change(scope: Scope, reply: QuickReply) -> bool:
    return reach_of(reply) in reaches_of(scope)


def reach_of(reply: QuickReply) -> str:
    if reply.user_id is not None:
        return "personal"
    return "everybody" if reply.campaign_id is None else "campaign"


def find_replies(scope: Scope, query: ListQuery) -> Page:
    """Rows of (reply, name of its campaign or None)."""
    statement = (
        select(QuickReply, Campaign.name)
        .outerjoin(Campaign, Campaign.id == QuickReply.campaign_id)
        .where(visible_replies(scope))
    )
    criteria = {
        "personal": QuickReply.user_id.is_not(None),
        "campaign": and_(QuickReply.user_id.is_(None), QuickReply.campaign_id.is_not(None)),
        "everybody": and_(QuickReply.user_id.is_(None), QuickReply.campaign_id.is_(None)),
    }
    if reach := query.filters.get("reach"):
        statement = statement.where(criteria[reach])
    return find_page(
        statement,
        query,
        search=(QuickReply.shortcut, QuickReply.title, QuickReply.content),
        sorts={
            "shortcut": QuickReply.shortcut,
            "title": func.lower(QuickReply.title),
            "used": QuickReply.usage_count,
        },
        default=(QuickReply.shortcut,),
        key=QuickReply.id,
    )


def state_of(reply: QuickReply) -> dict[str, Any]:
    state = {name: getattr(reply, name) for name in FIELDS}
    return {**state, "reach": reach_of(reply), "campaign_id": reply.campaign_id}


def create_reply(values: Mapping[str, Any], *, scope: Scope) -> QuickReply:
    reply = QuickReply(created_by=scope.user_id)
    _write(reply, values, scope)
    db.session.add(reply)
    db.session.flush()
    return reply


def update_reply(reply: QuickReply, values: Mapping[str, Any], *, scope: Scope) -> QuickReply:
    """Forbidden for a shared one without the permission to manage those."""
    if not may_change(scope, reply):
        raise Forbidden
    _write(reply, values, scope)
    db.session.flush()
    return reply


def delete_reply(reply: QuickReply, *, scope: Scope) -> None:
    if not may_change(scope, reply):
        raise Forbidden
    db.session.delete(reply)


def _write(reply: QuickReply, values: Mapping[str, Any], scope: Scope) -> None:
    if values["reach"] not in reaches_of(scope):
        raise Forbidden
    user_id = scope.user_id if values["reach"] == "personal" else None
    campaign_id = values["campaign_id"] if values["reach"] == "campaign" else None
    shortcut = values["shortcut"]
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"quick:{shortcut}"))))
    with db.session.no_autoflush:
        taken = db.session.scalar(
            select(QuickReply).where(
                QuickReply.shortcut == shortcut,
                QuickReply.user_id.is_not_distinct_from(user_id),
                QuickReply.campaign_id.is_not_distinct_from(campaign_id),
                QuickReply.id != (reply.id or 0),
            )
        )
    if taken is not None:
        raise WrongField(
            "%(title)s has this shortcut already.", field_name="shortcut", title=taken.title
        )
    for name in FIELDS:
        setattr(reply, name, values[name])
    reply.user_id, reply.campaign_id = user_id, campaign_id


VARIABLE = re.compile(r"\{\{\s*([a-z_]+)\s*\}\}")


def find_for_chat(scope: Scope, chat: Chat, *, author: User) -> list[dict[str, Any]]:
    """What may be inserted here: {id, shortcut, title, content}, the most used first.

    One per shortcut: personal beats campaign beats everybody's. Variables are filled.
    """
    rows = db.session.scalars(
        select(QuickReply).where(
            visible_replies(scope),
            QuickReply.is_active.is_(True),
            or_(QuickReply.campaign_id.is_(None), QuickReply.campaign_id == chat.campaign_id),
        )
    )
    rank = {"personal": 0, "campaign": 1, "everybody": 2}
    best: dict[str, QuickReply] = {}
    for row in rows:
        known = best.get(row.shortcut)
        if known is None or rank[reach_of(row)] < rank[reach_of(known)]:
            best[row.shortcut] = row
    values = values_for(chat, author)
    ordered = sorted(best.values(), key=lambda row: (-row.usage_count, row.shortcut))
    return [
        {
            "id": row.id,
            "shortcut": row.shortcut,
            "title": row.title,
            "content": fill(row.content, values),
        }
        for row in ordered
    ]


def values_for(chat: Chat, author: User) -> dict[str, str]:
    """What the variables of a quick reply stand for in this chat."""
    client = db.session.get_one(Client, chat.client_id)
    campaign = db.session.get_one(Campaign, chat.campaign_id)
    return {
        "client_name": client.first_name or "",
        "client_full_name": client.full_name,
        "agent_name": author.first_name,
        "case_number": chat.case_number,
        "campaign_name": campaign.name,
    }


def fill(text: str, values: Mapping[str, str]) -> str:
    """Known variables are filled, an unknown one is left for the person to see."""
    return VARIABLE.sub(lambda match: values.get(match.group(1), match.group(0)), text)


def find_reply_id(scope: Scope, reply_id: int | None) -> int | None:
    """The id, if this person may use that reply; a form's hidden field may say anything."""
    if not reply_id or reply_id >= 2**31:
        return None
    return db.session.scalar(
        select(QuickReply.id).where(QuickReply.id == reply_id, visible_replies(scope))
    )
