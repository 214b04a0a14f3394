"""The numbers on everybody's tabs, from one grouped query however many people are connected.

The page itself asks `inbox.count_chats`; a test holds the two against each other. The road not
taken, an event that makes each page fetch its counts, is a thousand queries a second on a busy day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from sqlalchemy import func, select

from crm.db import db
from crm.models import Chat
from crm.models.chats import FINAL_STATUSES
from crm.permissions import WAITING, Scope
from crm.services.inbox.rows import UNASSIGNED, Counts


@dataclass
class _Sum:
    """Chats of one campaign, or of one person within a campaign."""

    all: int = 0
    waiting: int = 0
    unassigned: int = 0
    unread: int = 0

    def add(self, other: _Sum) -> None:
        self.all += other.all
        self.waiting += other.waiting
        self.unassigned += other.unassigned
        self.unread += other.unread


class CountBook:
    """All open chats, added up so that each person's counts are a few additions."""

    def __init__(self) -> None:
        self.campaigns: dict[int, _Sum] = defaultdict(_Sum)
        self.own: dict[int, dict[int, _Sum]] = defaultdict(lambda: defaultdict(_Sum))

    def counts_for(self, scope: Scope) -> Counts:
        """What `inbox.count_chats` answers for this person."""
        if not scope.can("chats.read"):
            return Counts(0, 0, 0, 0)
        own = _total(self.own[scope.user_id].values())
        if scope.sees_everything:
            seen = _total(self.campaigns.values())
            return Counts(own.all, seen.unassigned, seen.all, own.unread)
        inside = _total(self.campaigns[c] for c in scope.campaign_ids if c in self.campaigns)
        foreign = _total(
            chats
            for campaign, chats in self.own[scope.user_id].items()
            if campaign not in scope.campaign_ids
        )
        if scope.can("chats.read_all"):
            return Counts(
                own.all,
                inside.unassigned + foreign.unassigned,
                inside.all + foreign.all,
                own.unread,
            )
        if scope.can("chats.read_queue"):
            # Offered chats that wait are in both sums; they count once.
            offered = _total(
                chats
                for campaign, chats in self.own[scope.user_id].items()
                if campaign in scope.campaign_ids
            )
            return Counts(
                own.all,
                inside.unassigned + foreign.unassigned,
                own.all + inside.waiting - offered.waiting,
                own.unread,
            )
        return Counts(own.all, own.unassigned, own.all, own.unread)


def count_open_chats() -> CountBook:
    """Read the book; one query."""
    book = CountBook()
    columns = (Chat.campaign_id, Chat.assigned_agent_id, Chat.offered_agent_id, Chat.status)
    rows = db.session.execute(
        select(*columns, func.count(), func.coalesce(func.sum(Chat.unread_count), 0))
        .where(Chat.deleted_at.is_(None), Chat.status.not_in(FINAL_STATUSES))
        .group_by(*columns)
    )
    for campaign_id, assigned, offered, status, count, unread in rows:
        free = assigned is None
        part = _Sum(
            all=count,
            waiting=count if free and status in WAITING else 0,
            unassigned=count if free and status in UNASSIGNED else 0,
            unread=int(unread),
        )
        book.campaigns[campaign_id].add(part)
        for user_id in {user_id for user_id in (assigned, offered) if user_id is not None}:
            book.own[user_id][campaign_id].add(part)
    return book


def as_data(counts: Counts) -> dict[str, int]:
    """For the event: plain numbers by the tab's name."""
    mine, unassigned, everything, unread = astuple(counts)
    return {"mine": mine, "unassigned": unassigned, "all": everything, "unread": unread}


def _total(parts: Iterable[_Sum]) -> _Sum:
    total = _Sum()
    for part in parts:
        total.add(part)
    return total
