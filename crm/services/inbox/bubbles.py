"""Messages as a thread shows them, with what others say of them: quotes, reactions, changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, or_, select
from sqlalchemy.orm import aliased

from crm.db import db
from crm.models import File, MediaFetch, Message, User
from crm.models.messages import Direction, MessageStatus, MessageType
from crm.services.inbox.attachments import Attachment, attachment_of
from crm.services.inbox.naming import full_name
from crm.services.inbox.replies import Reply, read_reply

QUOTE_LENGTH = 200
# Of a message's metadata: for machines, and for who may read what was edited.
UNSHOWN = frozenset({"raw", "edited"})
SPEAKS_OF_OTHERS = (MessageType.REACTION, MessageType.SYSTEM)
UNDONE = (MessageStatus.PENDING, MessageStatus.FAILED, MessageStatus.UNCERTAIN)


@dataclass(frozen=True)
class Quote:
    """What a message answers to. `message_id` None: it is not in our books."""

    message_id: int | None
    kind: MessageType | None
    text: str | None
    author_name: str | None
    outbound: bool
    is_voice: bool = False
    is_revoked: bool = False
    by_bot: bool = False
    chat_id: int | None = None
    reply: Reply | None = None


@dataclass(frozen=True)
class Amending:
    """An edit or deletion of ours that WhatsApp has not done: it waits, or it failed."""

    is_edit: bool
    has_failed: bool
    error_code: str | None
    error_message: str | None


@dataclass(frozen=True)
class Bubble:
    """One message. `meta` is the message's metadata, without its raw part.

    What an edit or a deletion took away is no part of it: see `find_original`. `participant` is who
    wrote in a group. `author`: client, agent, bot, phone (typed on the phone itself) or system.
    """

    id: int
    chat_id: int
    outbound: bool
    author: str
    author_id: int | None
    author_name: str | None
    kind: MessageType
    text: str | None
    meta: dict[str, Any]
    at: datetime
    status: MessageStatus
    error_code: str | None
    error_message: str | None
    client_key: UUID | None
    is_revoked: bool
    quote: Quote | None = None
    reactions: tuple[str, ...] = ()
    attachment: Attachment | None = None
    participant: str | None = None
    amendment: Amending | None = None

    @property
    def is_event(self) -> bool:
        """Shown as a line in the middle, not as somebody's word."""
        return self.kind in (MessageType.SYSTEM, MessageType.REACTION, MessageType.CALL)


@dataclass
class _Around:
    """What other rows say about a page of messages: their quotes and their reactions."""

    quotes: dict[str, Quote] = field(default_factory=dict)
    reactions: dict[str, dict[str, str]] = field(default_factory=dict)
    amendments: dict[str, Amending | None] = field(default_factory=dict)


def stands_alone(message: Any) -> ColumnElement[bool]:
    """Not a reaction to, or a change of, a message that is here: that one shows it.

    `message` is Message or another name of it.
    """
    target = aliased(Message)
    here = exists().where(target.whatsapp_message_id == message.target_whatsapp_id)
    return or_(message.target_whatsapp_id.is_(None), ~here)


def find_original(message_id: int) -> Bubble | None:
    """A message as it was first, before its writer edited or deleted it; None if there is none.

    For who may read that (`messages.read_revoked`) alone.
    """
    record = db.session.execute(select_messages().where(Message.id == message_id)).one_or_none()
    if record is None:
        return None
    message: Message = record.Message
    edited = (message.meta or {}).get("edited")
    meta = {key: value for key, value in (message.meta or {}).items() if key not in UNSHOWN}
    text = edited.get("original") if edited else message.content
    return replace(build_bubbles([record])[0], text=text, meta=meta, is_revoked=False)


def find_bubble(message_id: int) -> Bubble | None:
    """One message, without asking who looks: the caller has chosen the audience."""
    return find_bubbles([message_id]).get(message_id)


def find_bubbles(message_ids: Collection[int]) -> dict[int, Bubble]:
    """The same for many, of any chats, in two queries."""
    records = db.session.execute(select_messages().where(Message.id.in_(message_ids))).all()
    return {bubble.id: bubble for bubble in build_bubbles(records)}


def select_messages() -> Select[*tuple[Any, ...]]:
    """Messages with their writers and files."""
    return (
        select(
            Message,
            User.first_name.label("author_first"),
            User.last_name.label("author_last"),
            File,
            MediaFetch.status.label("fetch_status"),
            MediaFetch.error_code.label("fetch_code"),
        )
        .outerjoin(User, User.id == Message.user_id)
        .outerjoin(File, File.id == Message.media_file_id)
        .outerjoin(MediaFetch, MediaFetch.message_id == Message.id)
    )


def build_bubbles(records: Sequence[Any]) -> list[Bubble]:
    """Of records of `select_messages`."""
    around = _read_around([record.Message for record in records])
    return [_bubble(record, around) for record in records]


def _bubble(record: Any, around: _Around) -> Bubble:
    message: Message = record.Message
    meta = {key: value for key, value in (message.meta or {}).items() if key not in UNSHOWN}
    if edited := (message.meta or {}).get("edited"):
        meta["edited"] = {"at": edited.get("at"), "times": edited.get("times")}
    quoted = (meta.get("quote") or {}).get("message_id")
    unknown = Quote(None, None, None, None, outbound=False)
    outbound = message.direction == Direction.OUTBOUND
    reactions = around.reactions.get(message.whatsapp_message_id or "", {})
    return Bubble(
        id=message.id,
        chat_id=message.chat_id,
        outbound=outbound,
        author=_author(message, meta),
        author_id=message.user_id,
        author_name=full_name(record.author_first, record.author_last),
        kind=message.message_type,
        text=message.content if message.deleted_at is None else None,
        meta=meta if message.deleted_at is None else {},
        at=message.position,
        status=message.status,
        error_code=message.error_code,
        error_message=message.error_message,
        client_key=message.client_key,
        is_revoked=message.deleted_at is not None,
        quote=around.quotes.get(quoted, unknown) if quoted else None,
        reactions=tuple(emoji for emoji in reactions.values() if emoji),
        attachment=attachment_of(message, record.File, record.fetch_status, record.fetch_code),
        participant=_participant(meta),
        amendment=around.amendments.get(message.whatsapp_message_id or ""),
    )


def _participant(meta: dict[str, Any]) -> str | None:
    group = meta.get("group") or {}
    return group.get("name") or group.get("wa_id") or group.get("user_id")


def _author(message: Message, meta: dict[str, Any]) -> str:
    if message.direction == Direction.INBOUND:
        return "client"
    if message.is_bot_message:
        return "bot"
    if message.user_id is not None:
        return "agent"
    return "phone" if meta.get("origin") in ("phone", "history") else "system"


def _read_around(messages: Iterable[Message]) -> _Around:
    """Quoted messages and reactions of a page in one query; none where there is nothing to find."""
    messages = list(messages)
    wanted = {str((m.meta or {}).get("quote", {}).get("message_id")) for m in messages if m.meta}
    own = {m.whatsapp_message_id for m in messages if m.whatsapp_message_id}
    wanted.discard("None")
    around = _Around()
    if not wanted and not own:
        return around
    query = (
        select_messages()
        .where(
            Message.whatsapp_message_id.in_(wanted)
            | (Message.target_whatsapp_id.in_(own) & Message.message_type.in_(SPEAKS_OF_OTHERS))
        )
        .order_by(Message.position, Message.id)
    )
    for record in db.session.execute(query):
        message = record.Message
        if message.whatsapp_message_id in wanted:
            around.quotes[message.whatsapp_message_id] = _quote(record)
        if message.message_type == MessageType.REACTION and message.target_whatsapp_id in own:
            # One for each person; a later one replaces it, an empty one takes it back.
            theirs = around.reactions.setdefault(message.target_whatsapp_id, {})
            theirs[_reacting(message)] = message.content or ""
        if message.message_type == MessageType.SYSTEM and message.target_whatsapp_id in own:
            around.amendments[message.target_whatsapp_id] = _amending(message)
    return around


def _amending(message: Message) -> Amending | None:
    """The last one counts; what WhatsApp has done is seen on the message itself."""
    if message.direction != Direction.OUTBOUND or message.status not in UNDONE:
        return None
    return Amending(
        is_edit="edit" in (message.meta or {}),
        has_failed=message.status is MessageStatus.FAILED,
        error_code=message.error_code,
        error_message=message.error_message,
    )


def _reacting(message: Message) -> str:
    """Who reacts: we are one, whoever of us it was; in a group each member is somebody."""
    if message.direction == Direction.OUTBOUND:
        return "us"
    group = (message.meta or {}).get("group") or {}
    return str(group.get("user_id") or group.get("wa_id") or "client")


def _quote(record: Any) -> Quote:
    message: Message = record.Message
    return Quote(
        message_id=message.id,
        kind=message.message_type,
        text=(message.content or "")[:QUOTE_LENGTH] or None if message.deleted_at is None else None,
        author_name=record.author_first,
        outbound=message.direction == Direction.OUTBOUND,
        is_voice=bool((message.meta or {}).get("voice")),
        is_revoked=message.deleted_at is not None,
        by_bot=message.is_bot_message,
        chat_id=message.chat_id,
        reply=_reply(message.meta or {}),
    )


def _reply(meta: dict[str, Any]) -> Reply | None:
    answer = meta.get("call_permission")
    return read_reply(
        is_form="flow" in meta,
        call_answer=str(answer.get("response")) if isinstance(answer, dict) else None,
    )
