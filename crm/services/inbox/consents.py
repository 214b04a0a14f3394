"""What a customer has chosen about advertising: when, where, in which words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, func, select

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


def recent_choices() -> ScalarSelect[Any]:
    """A column beside Client: the newest choices as JSON, for `read_consent`."""
    newest = (
        select(ClientConsent)
        .where(ClientConsent.client_id == Client.id)
        .order_by(ClientConsent.occurred_at.desc(), ClientConsent.id.desc())
        .limit(MOST)
        .correlate(Client)
        .subquery()
    )
    row = func.jsonb_build_array(
        newest.c.value, newest.c.occurred_at, newest.c.source, newest.c.detail
    )
    return select(func.jsonb_agg(row)).scalar_subquery()


def read_consent(
    client: Client, recent: Sequence[Sequence[Any]] | None, visible: ColumnElement[bool]
) -> Consent:
    """Where the client stands; links to messages only where `visible` lets their chat through.

    `recent` is what `recent_choices` selected.
    """
    rows = [
        (ConsentValue(value), datetime.fromisoformat(at), source, SAID.fullmatch(detail or ""))
        for value, at, source, detail in recent or ()
    ]
    messages = _find_messages({said["message"] for *_, said in rows if said}, visible)
    choices = tuple(_choice(*row, messages) for row in rows)
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
    value: ConsentValue,
    at: datetime,
    source: str,
    said: re.Match[str] | None,
    messages: dict[str | None, tuple[int, int]],
) -> Choice:
    chat_id, message_id = messages.get(said["message"], (None, None)) if said else (None, None)
    words = said["words"] if said and message_id else ""
    return Choice(value, at, source, words, chat_id, message_id)
