"""A conversation: its messages, notes and events a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, tuple_

from crm.db import db
from crm.errors import Conflict, NotFound
from crm.models import Chat, Message
from crm.services.inbox import timeline
from crm.services.inbox.bubbles import Bubble, build_bubbles, select_messages, stands_alone
from crm.services.inbox.cursors import read_cursor, write_cursor
from crm.services.inbox.timeline import EventLine, NoteBubble

PAGE = 50
# A quoted message is fetched with all that was said since, up to so many, and so many before it;
# what lies further back is shown amid so many.
FURTHEST, BEFORE_IT, AFTER_IT = 1000, 15, 35


class NotKept(NotFound):
    code = "not_kept"
    message = "This message is no longer kept here."


class TooFarBack(Conflict):
    code = "too_far_back"
    message = "That message lies more than 1,000 messages back: it is shown by itself."


@dataclass(frozen=True)
class ThreadPage:
    """Oldest first. `older` leads to the page before, `newer` to the one after.

    `newer` None: it ends with the last message. `unread_from` is the first unread message.
    """

    items: tuple[Bubble | NoteBubble | EventLine, ...]
    older: str | None
    unread_from: int | None
    unread: int
    newer: str | None = None


def load_thread(
    chat: Chat, *, before: str | None = None, limit: int = PAGE, reach: int | None = None
) -> ThreadPage:
    """The last `limit` messages before the cursor, with the notes and events of their time.

    `reach`: as many as it takes to have that message on the page. Raises NotKept, TooFarBack.
    """
    query = _shown(chat)
    place = read_cursor(before)
    if reach is not None:
        limit = _how_far(chat, reach, place) + BEFORE_IT
    if place:
        query = query.where(_key < tuple_(*place))
    found = db.session.execute(_backwards(query).limit(limit + 1)).all()
    more = len(found) > limit
    records = list(reversed(found[:limit]))
    bubbles = build_bubbles(records)
    since = bubbles[0].at if more and bubbles else None
    until = place[0] if place else None
    items: list[Bubble | NoteBubble | EventLine] = [
        *bubbles,
        *timeline.read_timeline(chat.id, since=since, until=until),
    ]
    # Sorted is stable: what happened in the same moment stays message, note, event.
    items.sort(key=lambda item: item.at)
    older = write_cursor(bubbles[0].at, bubbles[0].id) if more else None
    unread_from = None if place else _first_unread(bubbles, chat.unread_count)
    return ThreadPage(tuple(items), older, unread_from, chat.unread_count)


def load_thread_around(chat: Chat, message_id: int) -> ThreadPage:
    """The message with some before and after it, however far back it lies. Raises NotKept."""
    target = _find_target(chat, message_id)
    place = tuple_(target.position, target.id)
    earlier = db.session.execute(
        _backwards(_shown(chat).where(_key < place)).limit(BEFORE_IT + 1)
    ).all()
    later = db.session.execute(
        _forwards(_shown(chat).where(_key >= place)).limit(AFTER_IT + 1)
    ).all()
    records = [*reversed(earlier[:BEFORE_IT]), *later[:AFTER_IT]]
    return _page_amid(
        chat, records, is_first=len(earlier) <= BEFORE_IT, is_last=len(later) <= AFTER_IT
    )


def load_thread_after(chat: Chat, cursor: str | None, *, limit: int = PAGE) -> ThreadPage:
    """The page after the cursor of `newer`; for one that is not ours, the beginning."""
    query, place = _shown(chat), read_cursor(cursor)
    if place:
        query = query.where(_key > tuple_(*place))
    found = db.session.execute(_forwards(query).limit(limit + 1)).all()
    page = _page_amid(
        chat,
        found[:limit],
        is_first=place is None,
        is_last=len(found) <= limit,
        since=place[0] if place else None,
    )
    # What lies before it is on the screen already.
    return replace(page, older=None)


def _page_amid(
    chat: Chat,
    records: Sequence[Any],
    *,
    is_first: bool,
    is_last: bool,
    since: datetime | None = None,
) -> ThreadPage:
    """What happened from its first message, or `since`, until its last one stands between them."""
    bubbles = build_bubbles(records)
    first, last = (bubbles[0], bubbles[-1]) if bubbles else (None, None)
    if since is None and first and not is_first:
        since = first.at
    until = last.at if last and not is_last else None
    items: list[Bubble | NoteBubble | EventLine] = [
        *bubbles,
        *timeline.read_timeline(chat.id, since=since, until=until),
    ]
    items.sort(key=lambda item: item.at)
    return ThreadPage(
        tuple(items),
        older=write_cursor(first.at, first.id) if first and not is_first else None,
        unread_from=None,
        unread=chat.unread_count,
        newer=write_cursor(last.at, last.id) if last and not is_last else None,
    )


_key = tuple_(Message.position, Message.id)


def _shown(chat: Chat) -> Select[*tuple[Any, ...]]:
    return select_messages().where(Message.chat_id == chat.id, stands_alone(Message))


def _backwards(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    return query.order_by(Message.position.desc(), Message.id.desc())


def _forwards(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    return query.order_by(Message.position, Message.id)


def _find_target(chat: Chat, message_id: int) -> Message:
    target = db.session.get(Message, message_id) if message_id < 2**62 else None
    if target is None or target.chat_id != chat.id:
        raise NotKept
    return target


def _how_far(chat: Chat, message_id: int, place: tuple[datetime, int] | None) -> int:
    """How many messages lie from this one to the place (or the end)."""
    target = _find_target(chat, message_id)
    between = select(Message.id).where(
        Message.chat_id == chat.id, _key >= tuple_(target.position, target.id)
    )
    if place:
        between = between.where(_key < tuple_(*place))
    some = between.limit(FURTHEST + 1).subquery()
    count = db.session.scalar(select(func.count()).select_from(some)) or 0
    if count > FURTHEST:
        raise TooFarBack
    return count


def _first_unread(bubbles: list[Bubble], unread: int) -> int | None:
    """The chat counts its unread messages: the last so many of the customer's are the ones."""
    inbound = [bubble for bubble in bubbles if not bubble.outbound and not bubble.is_event]
    if not unread or not inbound:
        return None
    return inbound[-min(unread, len(inbound))].id
