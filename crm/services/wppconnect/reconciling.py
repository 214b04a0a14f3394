"""Messages of ours whose sending nobody saw the end of, held against what WhatsApp Web has sent.

The server has no key of ours in its answers, so a message is recognised by its chat, its kind and
its words: from an `onselfmessage` that comes while a send is under way, or from the chat's history
when a send was left in doubt. What is found is a receipt with our id; what the server refused and
nobody finds has failed; anything else stays in doubt, and is never sent again by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, and_, or_, select, text

from crm.db import database_now, db
from crm.models import (
    ClientIdentity,
    IdentityKind,
    Message,
    MessageStatus,
    MessageType,
    QueuedMessage,
    QueueStatus,
    SessionState,
)
from crm.providers.base import EchoedMessage, Event, Receipt
from crm.providers.outbound import Buttons, LinkButton, ListMenu
from crm.providers.wppconnect import codes
from crm.providers.wppconnect.client import WppConnectChannel
from crm.providers.wppconnect.payloads import as_text
from crm.providers.wppconnect.webhook import ACK_WORDS, read_message
from crm.services.messages.announcing import announce_ticks, lock_chats
from crm.services.messages.contents import read_content
from crm.services.messages.receipts import apply_receipts
from crm.services.wppconnect import sessions

log = structlog.get_logger(__name__)
Json = dict[str, Any]

LOOK_BACK = 40
# Between two looks at a number's doubts; each asks for the history of every chat concerned.
EVERY = timedelta(seconds=10)
# A doubt older than this is the agent's, who was told.
OLDEST = timedelta(minutes=20)
# The provider's clock against ours.
SKEW = timedelta(seconds=90)
# The server's own answer was an error: what its history does not show after this was not sent.
SETTLES_AFTER = timedelta(seconds=8)
SETTLING = frozenset({"wpp_no_whatsapp", "wpp_error"})

FIND_DUE = text("""
    SELECT s.whatsapp_number_id FROM wppconnect_sessions s
    WHERE s.state = 'connected' AND s.reconcile_at <= clock_timestamp()
      AND EXISTS (SELECT FROM message_queue q
                  WHERE q.whatsapp_number_id = s.whatsapp_number_id AND q.status = 'uncertain'
                    AND q.submitted_at > clock_timestamp() - make_interval(secs => :oldest))
    ORDER BY s.whatsapp_number_id LIMIT 100
""")

FAIL = text("""
    WITH failed AS (
        UPDATE messages SET status = 'failed', failed_at = clock_timestamp(),
            error_message = :reason, updated_at = now()
        WHERE id = :id AND status = 'uncertain' RETURNING id
    )
    UPDATE message_queue SET status = 'failed', updated_at = now()
    FROM failed WHERE message_queue.message_id = failed.id AND message_queue.status = 'uncertain'
    RETURNING message_queue.id
""")


@dataclass(frozen=True)
class Doubt:
    """A message of ours without an id: who gets it, what it says, when the call began."""

    message_id: int
    chat_id: int
    opaque_id: str
    kind: str
    words: str
    submitted_at: datetime
    error_code: str | None


@dataclass(frozen=True)
class Doubts:
    """The open ones of a number, by the name of the chat at WhatsApp ("573001234567@c.us")."""

    channel: WppConnectChannel
    by_chat: dict[str, list[Doubt]]


def find_due() -> list[int]:
    """Numbers with doubts that the server can be asked about now. Reads only."""
    return list(db.session.scalars(FIND_DUE, {"oldest": OLDEST.total_seconds()}))


def begin(number_id: int, *, keys: Sequence[str]) -> Doubts | None:
    """Take the turn and list what is in doubt; None where nothing is, or nobody can be asked."""
    session = sessions.lock_session(number_id)
    now = database_now()
    if session is None or session.state is not SessionState.CONNECTED:
        return None
    channel = sessions.load_channel(number_id, keys=keys)
    if session.reconcile_at > now or channel is None:
        return None
    session.reconcile_at = now + EVERY
    rows = _open_rows(number_id, QueueStatus.UNCERTAIN)
    if not rows:
        return None
    names = _names(client_id for _, client_id in rows)
    by_chat: dict[str, list[Doubt]] = defaultdict(list)
    for doubt, client_id in rows:
        if client_id in names:
            by_chat[names[client_id][0]].append(doubt)
    return Doubts(channel, dict(by_chat))


def settle(number_id: int, doubts: Sequence[Doubt], rows: Sequence[Json]) -> None:
    """Hold the doubts of one chat against its history."""
    lock_chats(doubt.chat_id for doubt in doubts)
    events = [(row, read_message(row, number_id=number_id)) for row in rows]
    echoes = {
        event.whatsapp_message_id: (row, event)
        for row, event in events
        if isinstance(event, EchoedMessage)
    }
    taken = set(
        db.session.scalars(
            select(Message.whatsapp_message_id).where(
                Message.whatsapp_message_id.in_(sorted(echoes))
            )
        )
    )
    free = [echo for name, echo in echoes.items() if name not in taken]
    receipts = []
    for doubt in doubts:
        found = next((echo for echo in free if _fits(doubt, echo[1])), None)
        if found is not None:
            free.remove(found)
            receipts.append(_receipt(doubt, found[1], status=_word(found[0])))
            log.info("doubt_settled", message_id=doubt.message_id, outcome="sent")
        elif doubt.error_code in SETTLING and database_now() - doubt.submitted_at > SETTLES_AFTER:
            _fail(doubt)
    if receipts:
        apply_receipts(receipts)


def with_own_sends(number_id: int, events: Sequence[Event]) -> list[Event]:
    """The events, an echo of what we are just sending turned into the receipt that it is.

    The server tells of its own sends as it tells of the phone's, often before it answers the call.
    """
    echoes = [event for event in events if isinstance(event, EchoedMessage)]
    if not echoes:
        return list(events)
    rows = _open_rows(number_id, QueueStatus.PROCESSING, QueueStatus.UNCERTAIN, failed=True)
    names = _names(client_id for _, client_id in rows) if rows else {}
    open_doubts = list(rows)
    found: list[Event] = []
    for event in events:
        match = None
        if isinstance(event, EchoedMessage):
            match = next(
                (
                    row
                    for row in open_doubts
                    if _is_for(event, names.get(row[1], ())) and _fits(row[0], event)
                ),
                None,
            )
        if match is None or not isinstance(event, EchoedMessage):
            found.append(event)
        else:
            open_doubts.remove(match)
            found.append(_receipt(match[0], event, status="sent"))
    return found


def _open_rows(
    number_id: int, *statuses: QueueStatus, failed: bool = False
) -> list[tuple[Doubt, int]]:
    """Rows that were submitted and have no id of the provider yet, oldest first."""
    open_row: ColumnElement[bool] = QueuedMessage.status.in_(statuses)
    if failed:
        # The server said no; an echo that comes all the same says that it was sent.
        was_refused = Message.error_code.in_(sorted(SETTLING))
        refused = and_(QueuedMessage.status == QueueStatus.FAILED, was_refused)
        open_row = or_(open_row, refused)
    rows: Any = db.session.execute(
        select(Message, QueuedMessage.attempts, QueuedMessage.submitted_at)
        .join(QueuedMessage, QueuedMessage.message_id == Message.id)
        .where(
            QueuedMessage.whatsapp_number_id == number_id,
            open_row,
            QueuedMessage.submitted_at > database_now() - OLDEST,
            Message.whatsapp_message_id.is_(None),
            # Edits and deletions are in no doubt: they are done again.
            Message.message_type != MessageType.SYSTEM,
        )
        .order_by(QueuedMessage.id)
        .limit(200)
    )
    found = []
    for message, attempts, submitted_at in rows:
        kind, words = _words(message)
        doubt = Doubt(
            message.id,
            message.chat_id,
            f"{message.client_key}.{attempts}",
            kind,
            words,
            submitted_at,
            message.error_code if message.status is not MessageStatus.PENDING else None,
        )
        found.append((doubt, message.client_id))
    return found


def _words(message: Message) -> tuple[str, str]:
    """What this message is at WhatsApp Web: buttons and lists are texts there."""
    content = read_content(message)
    if isinstance(content, Buttons | ListMenu | LinkButton):
        return "text", as_text(content)
    filename = ((message.meta or {}).get("media") or {}).get("filename")
    return message.message_type.value, message.content or filename or ""


def _fits(doubt: Doubt, echo: EchoedMessage) -> bool:
    if echo.kind != doubt.kind or echo.sent_at is None:
        return False
    if echo.sent_at < doubt.submitted_at - SKEW:
        return False
    words = " ".join((echo.content or "").split())
    # Where our message has no words (a picture without a caption), the kind must do.
    return not doubt.words or words == " ".join(doubt.words.split())


def _is_for(echo: EchoedMessage, names: Iterable[str]) -> bool:
    to = echo.recipient
    return f"{to.wa_id}@c.us" in names or f"{to.lid}@lid" in names


def _names(client_ids: Iterable[int]) -> dict[int, list[str]]:
    """How WhatsApp Web may name each client, the phone that it used last first."""
    rows = db.session.execute(
        select(ClientIdentity.client_id, ClientIdentity.kind, ClientIdentity.value)
        .where(
            ClientIdentity.client_id.in_(sorted(set(client_ids))),
            ClientIdentity.kind.in_([IdentityKind.WA_ID, IdentityKind.LID]),
        )
        .order_by(ClientIdentity.kind.desc(), ClientIdentity.last_seen_at.desc())
    )
    names: dict[int, list[str]] = defaultdict(list)
    for client_id, kind, value in rows:
        names[client_id].append(f"{value}@{'lid' if kind is IdentityKind.LID else 'c.us'}")
    return names


def _receipt(doubt: Doubt, echo: EchoedMessage, *, status: str) -> Receipt:
    return Receipt(
        provider="wppconnect",
        phone_number_id=echo.phone_number_id,
        whatsapp_message_id=echo.whatsapp_message_id,
        status=status,
        occurred_at=echo.sent_at,
        opaque_id=doubt.opaque_id,
    )


def _word(row: Json) -> str:
    """The tick that the history shows; what is there at all was sent."""
    ack = row.get("ack")
    return ACK_WORDS.get(ack, "sent") if isinstance(ack, int) else "sent"


def _fail(doubt: Doubt) -> None:
    reason = codes.meaning_of(doubt.error_code or "").reason
    if db.session.execute(FAIL, {"id": doubt.message_id, "reason": reason}).first():
        log.info("doubt_settled", message_id=doubt.message_id, outcome="failed")
        announce_ticks({doubt.message_id: doubt.chat_id})
