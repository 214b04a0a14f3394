"""Clients who turn out to be one person: their rows become one."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, select, text, update

from crm.db import database_now, db
from crm.models import OPEN_STATUSES, Chat, Client, ClientIdentity, IdentityKind, Message
from crm.services.chats import SYSTEM, close_chat
from crm.services.chats.moves import publish_chat, touch_chat

# What the one who stays takes over from the other, where they have nothing of their own.
FILLED = (
    "phone_number", "first_name", "last_name", "email", "company", "city", "country", "address",
    "notes", "segment",
)  # fmt: skip
# A row per client and value: the other's are copied as far as they are new.
SHARED = {"client_tags": ("tag", "created_by"), "client_consents": (
    "category", "value", "source", "detail", "occurred_at",
)}  # fmt: skip


def merge_clients(one_id: int, other_id: int) -> Client | None:
    """Make one client of two who are one person; the older row stays, and is returned.

    None where nothing is to be merged: one of them is gone, or each has a user id of their own, so
    that they are two people of whom one has taken over the other's number. Inside `atomic()`.
    """
    keep, gone = _lock(one_id, other_id)
    if keep is None or gone is None or _are_two(keep, gone):
        return None
    _join_open_chats(keep, gone)
    _move_rows(keep, gone)
    _fill(keep, gone)
    return keep


def _lock(one_id: int, other_id: int) -> tuple[Client | None, Client | None]:
    """Both rows, the older first, in the order in which everybody locks clients."""
    clients = db.session.scalars(
        select(Client)
        .where(Client.id.in_({one_id, other_id}), Client.is_group.is_(False))
        .order_by(Client.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    return (clients[0], clients[1]) if len(clients) == 2 else (None, None)


def _are_two(one: Client, other: Client) -> bool:
    def user_ids(client: Client) -> set[str]:
        return {i.value for i in client.identities if i.kind is IdentityKind.USER_ID}

    mine, theirs = user_ids(one), user_ids(other)
    return bool(mine and theirs and not mine & theirs)


def _join_open_chats(keep: Client, gone: Client) -> None:
    """Where both have an open chat on one number, the messages of one move into the other.

    The chat that somebody works in stays, else the older.
    """
    chats = db.session.scalars(
        select(Chat)
        .where(
            Chat.client_id.in_((keep.id, gone.id)),
            Chat.status.in_(OPEN_STATUSES),
            Chat.deleted_at.is_(None),
        )
        .order_by(Chat.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    by_number: dict[int, list[Chat]] = {}
    for chat in chats:
        by_number.setdefault(chat.whatsapp_number_id, []).append(chat)
    for pair in by_number.values():
        if len(pair) == 2:
            pair.sort(key=lambda chat: (chat.assigned_agent_id is None, chat.id))
            _join(*pair)


def _join(stays: Chat, goes: Chat) -> None:
    db.session.execute(update(Message).where(Message.chat_id == goes.id).values(chat_id=stays.id))
    stays.message_count += goes.message_count
    stays.unread_count += goes.unread_count
    for name in ("last_inbound_at", "last_message_at"):
        times = [at for chat in (stays, goes) if (at := getattr(chat, name)) is not None]
        if times and max(times) == getattr(goes, name) and name == "last_message_at":
            stays.last_message_id = goes.last_message_id
        setattr(stays, name, max(times, default=None))
    waits = [chat.waiting_since for chat in (stays, goes) if chat.waiting_since is not None]
    stays.waiting_since = min(waits, default=None)
    goes.message_count = goes.unread_count = 0
    goes.last_message_id = goes.last_message_at = None
    touch_chat(stays)
    publish_chat(stays)
    close_chat(goes, actor=SYSTEM, reason="merged")
    db.session.flush()


def _move_rows(keep: Client, gone: Client) -> None:
    """Everything that names the client, in whatever table."""
    ids = {"keep": keep.id, "gone": gone.id}
    for name, columns in SHARED.items():
        listed = ", ".join(columns)
        db.session.execute(
            text(
                f"INSERT INTO {name} (client_id, {listed}) SELECT :keep, {listed} FROM {name} "  # noqa: S608
                "WHERE client_id = :gone ON CONFLICT DO NOTHING"
            ),
            ids,
        )
        db.session.execute(text(f"DELETE FROM {name} WHERE client_id = :gone"), ids)  # noqa: S608
    for table, column in _references():
        db.session.execute(update(table).where(column == gone.id).values({column.name: keep.id}))
    db.session.expire(keep, ["identities", "tags"])
    db.session.expire(gone, ["identities", "tags"])


def _references() -> list[tuple[Table, ColumnElement[int]]]:
    return [
        (table, column)
        for table in db.metadata.sorted_tables
        if table.name not in SHARED
        for column in table.columns
        if any(key.column.table.name == "clients" for key in column.foreign_keys)
    ]


def _fill(keep: Client, gone: Client) -> None:
    values = {name: getattr(gone, name) for name in FILLED}
    # A phone belongs to one row: it leaves the other before it comes here.
    gone.phone_number = None
    gone.deleted_at = database_now()
    gone.custom_fields = {**gone.custom_fields, "merged_into": keep.id}
    db.session.flush()
    for name, value in values.items():
        if not getattr(keep, name) and value:
            setattr(keep, name, value)
    keep.custom_fields = {**gone.custom_fields, **keep.custom_fields}
    keep.custom_fields.pop("merged_into", None)
    keep.is_blocked = keep.is_blocked or gone.is_blocked
    keep.opt_in = keep.opt_in and gone.opt_in
    moments = [at for at in (keep.last_contact_at, gone.last_contact_at) if at is not None]
    keep.last_contact_at = max(moments, default=None)
    keep.created_at = min(keep.created_at, gone.created_at)
    keep.deleted_at = None
    db.session.flush()


def find_by_identity(kind: IdentityKind, value: str) -> Client | None:
    """Whose identity this is, if anybody's."""
    return db.session.scalar(
        select(Client)
        .join(ClientIdentity, ClientIdentity.client_id == Client.id)
        .where(ClientIdentity.kind == kind, ClientIdentity.value == value)
    )
