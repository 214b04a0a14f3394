"""What a customer has chosen about advertising: when, where, in which words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select

from crm.db import db
from crm.models import Chat, Client, ClientConsent, ConsentValue, Message

MOST = 5
# As consent.py writes a word of the customer's: "BAJA (wamid.HBg...)".
SAID = re.compile(r"(?P<words>.*) \((?P<message>\S+)\)", re.DOTALL)


@dataclass(frozen=True)
class Choice:
    """`source`: whatsapp (in the app's own settings), word (written to us), refusal (told by a
    message that WhatsApp did not deliver). `words` are the customer's, where they stand in a
    message that this person may see: `chat_id` and `message_id` lead to it."""

    value: ConsentValue
    at: datetime
    source: str
    words: str = ""
    chat_id: int | None = None
    message_id: int | None = None


@dataclass(frozen=True)
class Consent:
    """`state`: yes (since `at`), no, unasked. `choices` newest first."""

    state: str
    at: datetime | None
    choices: tuple[Choice, ...]


def read_consent(client: Client, visible: ColumnElement[bool]) -> Consent:
    """Where the client stands; links to messages only where `visible` lets their chat through."""
    rows = db.session.scalars(
        select(ClientConsent)
        .where(ClientConsent.client_id == client.id)
        .order_by(ClientConsent.occurred_at.desc(), ClientConsent.id.desc())
        .limit(MOST)
    ).all()
    said = {row.id: found for row in rows if (found := SAID.fullmatch(row.detail or ""))}
    messages = _find_messages({found["message"] for found in said.values()}, visible)
    choices = tuple(_choice(row, said.get(row.id), messages) for row in rows)
    agreed = client.opt_in and client.opt_in_date is not None
    refused = not client.opt_in or bool(choices and choices[0].value is ConsentValue.STOP)
    state = "yes" if agreed else "no" if refused else "unasked"
    return Consent(state, client.opt_in_date if agreed else None, choices)


def _find_messages(
    wamids: set[str], visible: ColumnElement[bool]
) -> dict[str | None, tuple[int, int]]:
    if not wamids:
        return {}
    query = (
        select(Message.whatsapp_message_id, Message.chat_id, Message.id)
        .join(Chat, Chat.id == Message.chat_id)
        .where(Message.whatsapp_message_id.in_(wamids), visible)
    )
    return {wamid: (chat_id, row_id) for wamid, chat_id, row_id in db.session.execute(query)}


def _choice(
    row: ClientConsent,
    said: re.Match[str] | None,
    messages: dict[str | None, tuple[int, int]],
) -> Choice:
    chat_id, message_id = messages.get(said["message"], (None, None)) if said else (None, None)
    words = said["words"] if said and message_id else ""
    return Choice(row.value, row.occurred_at, row.source, words, chat_id, message_id)
