"""The list of chats that an address asks for: its tab, its filters, its page."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import request

from crm.models import ChatStatus
from crm.permissions import current_scope, visible_chats
from crm.services import inbox
from crm.services.inbox.rows import TABS


def list_values(*, with_counts: bool = True) -> dict[str, Any]:
    """What the list's templates want: a page of rows, and the numbers on the tabs."""
    scope = current_scope()
    visible = visible_chats(scope)
    tab, filters = asked_tab(), asked_filters()
    values = {
        "page": inbox.list_chats(
            visible,
            user_id=scope.user_id,
            tab=tab,
            cursor=request.args.get("cursor"),
            filters=filters,
            phones_visible=scope.can("clients.view_phone"),
        ),
        "tab": tab,
        "filters": filters,
        "list_query": list_query(),
    }
    if with_counts:
        values["counts"] = inbox.count_chats(visible, user_id=scope.user_id)
    return values


def asked_list(*, limit: int) -> tuple[inbox.RowPage, dict[str, str]]:
    """The list that the address asks for, and that part of the address."""
    scope = current_scope()
    page = inbox.list_chats(
        visible_chats(scope),
        user_id=scope.user_id,
        tab=asked_tab(),
        limit=limit,
        filters=asked_filters(),
        phones_visible=scope.can("clients.view_phone"),
    )
    return page, dict(parse_qsl(list_query()))


def asked_tab() -> str:
    """An agent starts with their own chats, who steers with all of them."""
    asked = request.args.get("tab")
    if asked in TABS:
        return asked
    return "mine" if current_scope().can("chats.reply") else "all"


def asked_filters() -> inbox.Filters:
    """The filters of the address; what makes no sense is left aside, so that old links work."""
    args = request.args
    status = args.get("status")
    text = " ".join(args.get("q", "").replace("\x00", "").split())[:100]
    return inbox.Filters(
        text=text or None,
        status=ChatStatus(status) if status in list(ChatStatus) else None,
        campaign_id=args.get("campaign", type=_number),
        agent_id=args.get("agent", type=_number),
        unread=args.get("unread") == "1",
        number_id=args.get("number", type=_number),
        tag=args.get("tag", "").replace("\x00", "")[:50] or None,
        closing=args.get("closing") == "1",
        mentioned=args.get("mentioned") == "1",
    )


def _number(value: str) -> int:
    number = int(value)
    if not 0 < number < 2**31:
        raise ValueError("not an id of ours")
    return number


def list_query() -> str:
    """The list's part of the address, in one order, without its defaults."""
    kept = (
        "q", "status", "campaign", "agent", "unread", "number", "tag", "closing", "mentioned",
    )  # fmt: skip
    pairs = [("tab", asked_tab())] + [
        (name, request.args[name]) for name in kept if request.args.get(name)
    ]
    return urlencode(pairs)
