"""The gap finder: what the server did not tell us is in its history.

Its posts come once and are gone where nobody took them. So after every reconnect, and every few
minutes, the chats that moved lately are compared with what we have, and what is missing goes in by
the same way as everything else. Messages are known by their ids: catching up twice adds nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select, text

from crm.db import database_now, db
from crm.models import Message, SessionState
from crm.providers.base import EchoedMessage, Event, InboundMessage
from crm.providers.wppconnect.client import WppConnectChannel
from crm.providers.wppconnect.gateway import WppConnectGateway
from crm.providers.wppconnect.ids import Wid
from crm.providers.wppconnect.kinds import MEDIA
from crm.providers.wppconnect.webhook import read_message
from crm.services.messages.ledger import Post
from crm.services.wppconnect import sessions

log = structlog.get_logger(__name__)
Json = dict[str, Any]

# The first look at a chat, and the second where all of the first was missing.
FEW, MANY = 20, 200
CHATS = 40
# Clocks differ, and a message may be on its way while we look: each look reaches back so far.
OVERLAP = timedelta(minutes=10)
# Older than this it is history, whatever the server still has.
OLDEST = timedelta(days=7)

FIND_DUE = text("""
    SELECT s.whatsapp_number_id FROM wppconnect_sessions s
    JOIN whatsapp_numbers n ON n.id = s.whatsapp_number_id
    WHERE s.state = 'connected' AND s.is_wanted AND n.deleted_at IS NULL
      AND s.gaps_due_at <= clock_timestamp()
    ORDER BY s.gaps_due_at LIMIT 100
""")


@dataclass(frozen=True)
class Look:
    """One comparison: through which channel, and from when on a missing message counts."""

    channel: WppConnectChannel
    history_from: datetime
    since: datetime


def find_due_looks() -> list[int]:
    """Numbers whose history is to be compared now. Reads only."""
    return list(db.session.scalars(FIND_DUE))


def begin_look(number_id: int, *, keys: Sequence[str], every_seconds: float) -> Look | None:
    """Take the turn; None where the session is not connected or somebody has taken it already."""
    session = sessions.lock_session(number_id)
    now = database_now()
    if session is None or session.state is not SessionState.CONNECTED:
        return None
    if session.gaps_due_at is None or session.gaps_due_at > now or session.history_from is None:
        return None
    channel = sessions.load_channel(number_id, keys=keys)
    if channel is None:
        return None
    session.gaps_due_at = now + timedelta(seconds=every_seconds)
    history_from = max(session.history_from, now - OLDEST)
    since = max((session.gaps_checked_at or history_from) - OVERLAP, history_from)
    return Look(channel, history_from, since)


def end_look(number_id: int, *, began_at: datetime) -> None:
    """Everything until `began_at` has been compared."""
    session = sessions.lock_session(number_id)
    if session is not None:
        session.gaps_checked_at = began_at


def gather(look: Look, gateway: WppConnectGateway) -> list[Json]:
    """The messages of every chat that moved since the last look, and what nobody has read.

    Calls the server; GatewayError where it does not answer. A chat whose first page is all newer
    than the last look is asked for more.
    """
    found: dict[str, Json] = {}
    for chat in _moved(look, gateway):
        for count in (FEW, MANY):
            rows = gateway.find_messages(look.channel, str(chat), count=count)
            _keep(found, rows)
            if len(rows) < count or any(_time(row) < look.since.timestamp() for row in rows):
                break
    _keep(found, gateway.find_unread(look.channel))
    earliest = look.history_from.timestamp()
    return sorted((row for row in found.values() if _time(row) >= earliest), key=_time)


def _moved(look: Look, gateway: WppConnectGateway) -> list[Wid]:
    since = look.since.timestamp()
    return [wid for wid, at in gateway.find_chats(look.channel, count=CHATS) if at >= since]


def _keep(found: dict[str, Json], rows: list[Json]) -> None:
    for row in rows:
        name = row.get("id")
        if isinstance(name, dict):
            name = name.get("_serialized")
        if isinstance(name, str):
            found.setdefault(name, row)


def _time(row: Json) -> float:
    for name in ("t", "timestamp"):
        value = row.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return 0.0


def find_missing(number_id: int, rows: Sequence[Json]) -> list[tuple[Json, Event]]:
    """The messages that we do not have, as the server's history tells them."""
    read = [(row, read_message(row, number_id=number_id)) for row in rows]
    messages = [
        (row, event) for row, event in read if isinstance(event, InboundMessage | EchoedMessage)
    ]
    known = find_known(event.whatsapp_message_id for _, event in messages)
    return [(row, event) for row, event in messages if event.whatsapp_message_id not in known]


def find_known(ids: Any) -> set[str]:
    wanted = sorted(set(ids))
    if not wanted:
        return set()
    statement = select(Message.whatsapp_message_id).where(Message.whatsapp_message_id.in_(wanted))
    return {found for found in db.session.scalars(statement) if found}


def post_of(number_id: int, row: Json, event: Event) -> Post:
    """A missing message as a body for the ledger, in the shape in which it would have come."""
    name = "onselfmessage" if isinstance(event, EchoedMessage) else "onmessage"
    kept = {key: value for key, value in row.items() if key != "body" or not _has_file(row)}
    body = {"event": name, "recovered": True, **kept}
    raw = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return Post(raw, [event], provider="wppconnect", number_id=number_id)


def _has_file(row: Json) -> bool:
    """Its body is a preview at most: the file is asked for."""
    return row.get("type") in MEDIA
