"""Decides in which chat an inbound message stands: the open one, a new one, or the last one.

One chat is open per client and number. What is no word of the customer (reaction, edit, system
event), a courtesy just after closing, and everything of a blocked client never opens one: it joins
the last chat in silence. Where there is none, it gets a chat that was never open, so that it is
kept where it belongs and nobody is called.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from crm.db import db
from crm.lib.clock import utcnow
from crm.models import Chat
from crm.providers.base import InboundMessage
from crm.services import chats
from crm.services.messages.courtesies import is_courtesy
from crm.services.messages.ledger import Post
from crm.services.messages.senders import Person

Key = tuple[int, int]
"""(client, number): one chat of the pair is open at most."""
Row = dict[str, Any]

COURTESY_WINDOW = timedelta(minutes=10)
CLOSED = ("closed", "abandoned")
# Close reasons of chats that were never open: kept in silence, and imported from the phone.
KEPT = "silent"
HISTORIC = "history"
NOBODY_YET = ("new", "bot", "queued")


@dataclass(frozen=True, slots=True)
class Number:
    """A number of ours, and the campaign that takes its new chats (None: nobody does)."""

    id: int
    phone_number_id: str
    campaign_id: int | None
    # People also write on the number's own phone, and we are told of it.
    uses_phone: bool = False


@dataclass(slots=True)
class Thread:
    """A chat as far as the way in needs it."""

    id: int
    client_id: int
    number_id: int
    campaign_id: int
    status: str
    assigned_agent_id: int | None = None
    offered_agent_id: int | None = None
    owner: str | None = None
    closed_at: datetime | None = None
    close_reason: str | None = None
    # Over, but young enough for a word of the customer's to open it again.
    reopens: bool = False

    @property
    def is_open(self) -> bool:
        return self.status not in CLOSED

    @property
    def was_never_open(self) -> bool:
        """Only keeps what came without a word of the customer, or the number's past."""
        return self.close_reason in (KEPT, HISTORIC)

    @property
    def is_waiting(self) -> bool:
        return self.status in NOBODY_YET and self.assigned_agent_id is None


@dataclass(slots=True)
class Entry:
    """One message on its way in, and what was decided about it."""

    message: InboundMessage
    number: Number
    person: Person
    post: Post
    thread: Thread | None = None
    # Counts as unread, calls somebody, and makes the customer wait for an answer.
    calls: bool = False
    # A word of ours from the phone: where no chat is open, it waits for the one that will be, as
    # the customer's word that it answers may come after it.
    is_ours: bool = False

    @property
    def key(self) -> Key:
        return self.person.id, self.number.id


COLUMNS = """
    id, client_id, whatsapp_number_id, campaign_id, status, assigned_agent_id, offered_agent_id,
    owner, closed_at, close_reason
"""
LOCK_OPEN = text(f"""
    SELECT {COLUMNS} FROM chats
    WHERE (client_id, whatsapp_number_id) IN
          (SELECT * FROM unnest(CAST(:clients AS int[]), CAST(:numbers AS int[])))
      AND status NOT IN ('closed', 'abandoned') AND deleted_at IS NULL
    ORDER BY id
    FOR NO KEY UPDATE
""")  # noqa: S608 - COLUMNS is ours

LAST = text(f"""
    SELECT {COLUMNS}, EXISTS (
        SELECT FROM campaigns c
        WHERE c.id = last.campaign_id AND c.status IN ('active', 'paused')
          AND c.deleted_at IS NULL
          AND COALESCE(last.close_reason, '') NOT IN ('{KEPT}', '{HISTORIC}')
          AND last.closed_at > now() - CASE last.status
              WHEN 'abandoned' THEN interval '24 hours'
              ELSE make_interval(secs => COALESCE(c.reopen_window_seconds, 0)) END
    ) AS reopens
    FROM unnest(CAST(:clients AS int[]), CAST(:numbers AS int[])) AS w(c, n)
    CROSS JOIN LATERAL (
        SELECT {COLUMNS} FROM chats
        WHERE client_id = w.c AND whatsapp_number_id = w.n AND deleted_at IS NULL
        ORDER BY close_reason IS NOT DISTINCT FROM '{HISTORIC}', id DESC LIMIT 1
        FOR NO KEY UPDATE
    ) AS last
""")  # noqa: S608

# The event keeps the targets in force at this moment, as services/chats.py writes them.
NOTE_OPENED = """
    INSERT INTO chat_events (chat_id, kind, to_status, actor_kind, reason, data)
    SELECT o.id, w.kind, o.status, 'client', w.reason,
           jsonb_build_object('terms', jsonb_build_object(
               'first_response_seconds', c.sla_first_response_seconds,
               'resolution_seconds', c.sla_resolution_seconds,
               'timezone', c.timezone, 'business_hours', c.business_hours))
    FROM opened o
    JOIN wanted w ON w.client_id = o.client_id AND w.number_id = o.whatsapp_number_id
    JOIN campaigns c ON c.id = o.campaign_id
"""

OPEN = text(f"""
    WITH wanted AS (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb))
               AS r(client_id int, number_id int, campaign_id int, status text, kind text,
                    reason text)
    ), opened AS (
        INSERT INTO chats (client_id, whatsapp_number_id, campaign_id, status, case_number,
                           closed_at, close_reason)
        SELECT w.client_id, w.number_id, w.campaign_id, w.status,
               chat_case_number(c.code, c.timezone),
               CASE WHEN w.status = 'closed' THEN now() END,
               CASE WHEN w.status = 'closed' THEN w.reason END
        FROM wanted w JOIN campaigns c ON c.id = w.campaign_id
        ON CONFLICT (client_id, whatsapp_number_id)
            WHERE status NOT IN ('closed', 'abandoned') AND deleted_at IS NULL DO NOTHING
        RETURNING {COLUMNS}
    ), noted AS (
        {NOTE_OPENED}
    )
    SELECT {COLUMNS} FROM opened
""")  # noqa: S608


# With the first word a chat that only kept something becomes the real one: whether a reaction or
# the phone's answer came before that word or after it, it stands in the same chat.
WAKE = text(f"""
    WITH wanted AS (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb))
               AS r(chat_id int, client_id int, number_id int, kind text, reason text)
    ), opened AS (
        UPDATE chats SET status = 'new', closed_at = NULL, close_reason = NULL, created_at = now(),
                         version = version + 1, updated_at = now()
        FROM wanted w
        WHERE chats.id = w.chat_id AND chats.status = 'closed'
        RETURNING {", ".join(f"chats.{name.strip()}" for name in COLUMNS.split(","))}
    ), noted AS (
        {NOTE_OPENED}
    )
    SELECT {COLUMNS} FROM opened
""")  # noqa: S608


def place(entries: list[Entry], threads: dict[Key, Thread]) -> None:
    """Give every entry its thread. None stays where a chat is needed and no campaign takes it.

    `threads` are the open ones that are locked already. The clients' rows are locked, so that
    nobody else places a message of theirs meanwhile; agents who open or close a chat are held off
    by the chat's own lock and the unique index.
    """
    groups: dict[Key, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.key, []).append(entry)
    missing = [key for key in groups if key not in threads]
    if missing:
        threads |= lock_open(missing)
        missing = [key for key in missing if key not in threads]
    if missing:
        last = _last(missing)
        for key in missing:
            if key in last and last[key].reopens and _wants_in(groups[key], last[key]):
                threads[key] = _reopen(last[key])
        missing = [key for key in missing if key not in threads]
        rows = [row for key in missing if (row := _choose(groups[key], last.get(key)))]
        threads |= _wake([row for row in rows if "chat_id" in row])
        threads |= _open([row for row in rows if "chat_id" not in row])
    for key, group in groups.items():
        for entry in group:
            if entry.thread is None:
                entry.thread = threads.get(key)
            if entry.thread is not None:
                entry.calls = _speaks(entry) and entry.thread.is_open


def _speaks(entry: Entry) -> bool:
    return entry.message.is_utterance and not entry.person.is_blocked


def _choose(group: list[Entry], last: Thread | None) -> Row | None:
    """Messages of one client without an open chat: those for the last one get it, for the others
    the row of a new chat is returned."""
    opens = needs = False
    for entry in group:
        if _speaks(entry) and not _is_late_courtesy(entry.message, last):
            opens = True
        if opens or last is None or (entry.is_ours and last.close_reason != KEPT):
            needs = True
        else:
            entry.thread = last
    number = group[0].number
    if not needs or number.campaign_id is None:
        return None
    row: Row = {
        "client_id": group[0].person.id,
        "number_id": number.id,
        "campaign_id": number.campaign_id,
        "status": "new" if opens else "closed",
        "kind": "opened" if opens else "kept",
        "reason": "opened" if opens else KEPT,
    }
    if opens and last and last.close_reason == KEPT and last.campaign_id == number.campaign_id:
        row["chat_id"] = last.id
    return row


def _wants_in(group: list[Entry], last: Thread) -> bool:
    """Whether one of these messages is a word that opens a chat."""
    return any(_speaks(entry) and not _is_late_courtesy(entry.message, last) for entry in group)


def _reopen(last: Thread) -> Thread:
    """The customer came back soon enough: the same chat goes on, and routing is rung for it."""
    chat = chats.reopen_chat(
        db.session.get_one(Chat, last.id), actor=chats.CLIENT, reason="customer_wrote"
    )
    db.session.flush()
    last.status, last.assigned_agent_id, last.closed_at = str(chat.status), None, None
    last.reopens = False
    return last


def _is_late_courtesy(message: InboundMessage, last: Thread | None) -> bool:
    """Measured by the customer's clock: a thank-you that was delivered late is still one."""
    if last is None or last.closed_at is None or last.was_never_open:
        return False
    if not is_courtesy(message.kind, message.content):
        return False
    written = message.sent_at or utcnow()
    return written <= last.closed_at + COURTESY_WINDOW


def lock_open(keys: Iterable[Key]) -> dict[Key, Thread]:
    """The open chats of these pairs, locked; waits for who holds them."""
    return _by_key(db.session.execute(LOCK_OPEN, _columns(keys)))


def _last(keys: Iterable[Key]) -> dict[Key, Thread]:
    return _by_key(db.session.execute(LAST, _columns(keys)))


def _wake(rows: list[Row]) -> dict[Key, Thread]:
    return _by_key(db.session.execute(WAKE, {"rows": json.dumps(rows)})) if rows else {}


def _open(rows: list[Row]) -> dict[Key, Thread]:
    if not rows:
        return {}
    opened = _by_key(db.session.execute(OPEN, {"rows": json.dumps(rows)}))
    lost = {(row["client_id"], row["number_id"]) for row in rows} - set(opened)
    if lost:
        # Somebody of ours opened a chat with this client in the same instant; theirs it is.
        found = lock_open(lost)
        if lost - set(found):
            raise RuntimeError("a chat was opened and closed while we looked; try again")
        opened |= found
    return opened


def _columns(keys: Iterable[Key]) -> dict[str, list[int]]:
    pairs = sorted(keys)
    return {"clients": [client for client, _ in pairs], "numbers": [number for _, number in pairs]}


def _by_key(rows: Iterable[Any]) -> dict[Key, Thread]:
    threads = [Thread(*row) for row in rows]
    return {(thread.client_id, thread.number_id): thread for thread in threads}


REFERRAL = text("""
    UPDATE chats SET referral = CAST(:referral AS jsonb)
    WHERE id = :chat_id AND (referral IS NULL OR referral->>'at' > :at)
""")


def keep_referral(entry: Entry) -> None:
    """The chat remembers which advertisement brought the customer: the first of them."""
    told = (entry.message.metadata or {}).get("referral")
    if entry.thread is None or not isinstance(told, dict):
        return
    at = (entry.message.sent_at or utcnow()).isoformat()
    values = {"chat_id": entry.thread.id, "referral": json.dumps({**told, "at": at}), "at": at}
    db.session.execute(REFERRAL, values)
