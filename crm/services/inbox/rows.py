"""The list of chats: one query a page, whatever its length."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_, select, tuple_
from sqlalchemy.orm import aliased

from crm.db import db
from crm.models import (
    Campaign,
    Chat,
    ChatNote,
    ChatStatus,
    ChatTag,
    Client,
    File,
    Message,
    NoteMention,
    Provider,
    User,
    WhatsappNumber,
)
from crm.models.chats import FINAL_STATUSES, ChatPriority
from crm.models.messages import Direction, MessageStatus, MessageType
from crm.services.inbox.cursors import read_cursor, write_cursor
from crm.services.inbox.naming import ClientName, name_client
from crm.services.inbox.replies import Reply, read_reply, reply_columns
from crm.services.inbox.searching import Hit, find_hits, matches
from crm.services.messages import window

PAGE = 50
TABS = ("mine", "unassigned", "all")
# Nobody owns these; a chat that a bot is talking in needs nobody yet.
UNASSIGNED = (ChatStatus.NEW, ChatStatus.QUEUED)
PREVIEW_LENGTH = 160


@dataclass(frozen=True)
class Filters:
    """What the address of the list says beside its tab; None = do not filter."""

    text: str | None = None
    status: ChatStatus | None = None
    campaign_id: int | None = None
    agent_id: int | None = None
    unread: bool = False
    number_id: int | None = None
    tag: str | None = None
    closing: bool = False
    """Only chats whose 24-hour window closes soon."""
    mentioned: bool = False
    """Only chats with a note that names this person and that they have not seen."""

    @property
    def is_set(self) -> bool:
        return self != Filters()

    @property
    def count(self) -> int:
        """How many are set beside the search."""
        given = (
            self.status, self.campaign_id, self.agent_id, self.unread, self.number_id, self.tag,
            self.closing, self.mentioned,
        )  # fmt: skip
        return sum(bool(value) for value in given)


@dataclass(frozen=True)
class Preview:
    """The last message in a row: who wrote it and one line of it (None: the kind says it all)."""

    kind: MessageType
    text: str | None
    outbound: bool
    author_id: int | None
    author_name: str | None
    is_bot: bool
    is_voice: bool
    is_revoked: bool
    seconds: int | None
    status: MessageStatus
    reply: Reply | None


@dataclass(frozen=True)
class ChatRow:
    """One chat in a list. `window_ends_at` None: no 24-hour window, or nobody wrote yet."""

    id: int
    client: ClientName
    status: ChatStatus
    priority: ChatPriority
    campaign_id: int
    campaign_name: str
    number_name: str
    agent_id: int | None
    agent_name: str | None
    offered_agent_id: int | None
    unread: int
    last_at: datetime
    window_ends_at: datetime | None
    window_open: bool
    snoozed_until: datetime | None
    is_blocked: bool
    is_group: bool
    version: int
    preview: Preview | None
    hit: Hit | None = None
    """In a search: the message that was found."""

    @property
    def is_unassigned(self) -> bool:
        return self.agent_id is None and self.status in UNASSIGNED


@dataclass(frozen=True)
class RowPage:
    """`cursor` leads to the next page; None on the last."""

    rows: tuple[ChatRow, ...]
    cursor: str | None


@dataclass(frozen=True)
class Counts:
    """Open chats per tab, and how many unread messages wait in mine."""

    mine: int
    unassigned: int
    all: int
    unread: int


def list_chats(
    visible: ColumnElement[bool],
    *,
    user_id: int,
    tab: str = "mine",
    cursor: str | None = None,
    limit: int = PAGE,
    filters: Filters | None = None,
    phones_visible: bool = True,
) -> RowPage:
    """A page of the chats that `visible` lets through, the last written first.

    `visible` is `permissions.visible_chats(scope)`. A search looks through closed chats too and
    leaves the tab aside: who searches has not lost the chat on purpose.
    """
    filters = filters or Filters()
    page = (
        select(Chat.id)
        .join(WhatsappNumber, WhatsappNumber.id == Chat.whatsapp_number_id)
        .where(visible, *_narrowed(tab, user_id, filters, phones_visible=phones_visible))
        .order_by(_MOMENT.desc(), Chat.id.desc())
        .limit(limit + 1)
    )
    if place := read_cursor(cursor):
        page = page.where(tuple_(_MOMENT, Chat.id) < tuple_(*place))
    # First which, then what stands in them: in one, Postgres would join all before it chooses.
    ids = db.session.scalars(page).all()
    found = db.session.execute(
        _rows().where(Chat.id.in_(ids)).order_by(_MOMENT.desc(), Chat.id.desc())
    ).all()
    rows = tuple(_row(record, phones_visible=phones_visible) for record in found[:limit])
    if filters.text:
        hits = find_hits([row.id for row in rows], filters.text)
        rows = tuple(replace(row, hit=hits.get(row.id)) for row in rows)
    more = len(found) > limit
    return RowPage(rows, write_cursor(rows[-1].last_at, rows[-1].id) if more else None)


def find_row(chat_id: int, *, phones_visible: bool = True) -> ChatRow | None:
    """One chat's row, without asking who looks: the caller has chosen the audience."""
    return find_rows([chat_id], phones_visible=phones_visible).get(chat_id)


def find_rows(chat_ids: Collection[int], *, phones_visible: bool = True) -> dict[int, ChatRow]:
    """The same for many, in one query; deleted chats are left out."""
    records = db.session.execute(
        _rows().where(Chat.id.in_(chat_ids), Chat.deleted_at.is_(None))
    ).all()
    return {record.Chat.id: _row(record, phones_visible=phones_visible) for record in records}


def count_chats(visible: ColumnElement[bool], *, user_id: int) -> Counts:
    """The numbers behind the tabs, in one query."""
    mine, unassigned = _tab("mine", user_id=user_id), _tab("unassigned", user_id=user_id)
    record = db.session.execute(
        select(
            func.count().filter(mine),
            func.count().filter(unassigned),
            func.count(),
            func.coalesce(func.sum(case((mine, Chat.unread_count), else_=0)), 0),
        ).where(visible, Chat.status.not_in(FINAL_STATUSES))
    ).one()
    return Counts(*(int(value) for value in record))


# A chat without a message yet (opened by an agent) stands at its opening.
_MOMENT = func.coalesce(Chat.last_message_at, Chat.created_at)
_Agent = aliased(User)
_Author = aliased(User)


def _rows() -> Select[*tuple[Any, ...]]:
    return (
        select(
            Chat,
            _MOMENT.label("moment"),
            func.now().label("now"),
            window.last_word().label("last_word_at"),
            Client.first_name,
            Client.last_name,
            Client.phone_number,
            Client.is_blocked,
            Client.is_group,
            Campaign.name.label("campaign_name"),
            func.coalesce(WhatsappNumber.display_name, WhatsappNumber.phone_number).label("number"),
            WhatsappNumber.provider,
            _Agent.first_name.label("agent_name"),
            Message.id.label("message_id"),
            Message.message_type,
            func.left(Message.content, PREVIEW_LENGTH).label("content"),
            Message.direction,
            Message.status.label("message_status"),
            Message.is_bot_message,
            Message.user_id,
            Message.meta["voice"].as_boolean().label("voice"),
            *reply_columns(),
            Message.deleted_at.label("message_deleted_at"),
            File.duration_seconds,
            _Author.first_name.label("author_name"),
        )
        .join(Client, Client.id == Chat.client_id)
        .join(Campaign, Campaign.id == Chat.campaign_id)
        .join(WhatsappNumber, WhatsappNumber.id == Chat.whatsapp_number_id)
        .outerjoin(_Agent, _Agent.id == Chat.assigned_agent_id)
        .outerjoin(Message, Message.id == Chat.last_message_id)
        .outerjoin(File, File.id == Message.media_file_id)
        .outerjoin(_Author, _Author.id == Message.user_id)
    )


def _tab(tab: str, *, user_id: int) -> ColumnElement[bool]:
    open_ = Chat.status.not_in(FINAL_STATUSES)
    if tab == "mine":
        own = or_(Chat.assigned_agent_id == user_id, Chat.offered_agent_id == user_id)
        return and_(open_, own)
    if tab == "unassigned":
        return and_(Chat.status.in_(UNASSIGNED), Chat.assigned_agent_id.is_(None))
    return open_


def _narrowed(
    tab: str, user_id: int, filters: Filters, *, phones_visible: bool
) -> Sequence[ColumnElement[bool]]:
    criteria: list[ColumnElement[bool]] = []
    if filters.text:
        criteria.append(matches(filters.text, phones_visible=phones_visible))
    elif filters.status in FINAL_STATUSES:
        # Closed chats are in no tab; asking for them by name is asking for them all.
        if tab == "mine":
            criteria.append(Chat.assigned_agent_id == user_id)
    else:
        criteria.append(_tab(tab, user_id=user_id))
    if filters.status:
        criteria.append(Chat.status == filters.status)
    if filters.campaign_id:
        criteria.append(Chat.campaign_id == filters.campaign_id)
    if filters.agent_id:
        criteria.append(Chat.assigned_agent_id == filters.agent_id)
    if filters.unread:
        criteria.append(Chat.unread_count > 0)
    if filters.number_id:
        criteria.append(Chat.whatsapp_number_id == filters.number_id)
    if filters.tag:
        criteria.append(exists().where(ChatTag.chat_id == Chat.id, ChatTag.tag == filters.tag))
    if filters.closing:
        criteria += [WhatsappNumber.provider == Provider.META, window.closes_soon()]
    if filters.mentioned:
        criteria.append(
            exists()
            .where(NoteMention.note_id == ChatNote.id, ChatNote.chat_id == Chat.id)
            .where(NoteMention.user_id == user_id, NoteMention.seen_at.is_(None))
        )
    return criteria


def _row(record: Any, *, phones_visible: bool) -> ChatRow:
    chat: Chat = record.Chat
    return ChatRow(
        id=chat.id,
        client=name_client(
            client_id=chat.client_id,
            first_name=record.first_name,
            last_name=record.last_name,
            phone_number=record.phone_number,
            phones_visible=phones_visible,
        ),
        status=chat.status,
        priority=chat.priority,
        campaign_id=chat.campaign_id,
        campaign_name=record.campaign_name,
        number_name=record.number,
        agent_id=chat.assigned_agent_id,
        agent_name=record.agent_name,
        offered_agent_id=chat.offered_agent_id,
        unread=chat.unread_count,
        last_at=record.moment,
        window_ends_at=window.window_end(record.last_word_at, record.provider),
        window_open=window.is_open_at(
            record.now, last_word_at=record.last_word_at, provider=record.provider
        ),
        snoozed_until=chat.snoozed_until,
        is_blocked=record.is_blocked,
        is_group=record.is_group,
        version=chat.version,
        preview=_preview(record),
    )


def _preview(record: Any) -> Preview | None:
    if record.message_id is None:
        return None
    revoked = record.message_deleted_at is not None
    return Preview(
        kind=record.message_type,
        text=" ".join(record.content.split()) if record.content and not revoked else None,
        outbound=record.direction == Direction.OUTBOUND,
        author_id=record.user_id,
        author_name=record.author_name,
        is_bot=record.is_bot_message,
        is_voice=bool(record.voice),
        is_revoked=revoked,
        seconds=record.duration_seconds,
        status=record.message_status,
        reply=read_reply(is_form=record.is_form, call_answer=record.call_answer),
    )
