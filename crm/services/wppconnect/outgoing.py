"""A message of ours on its way to a WPPConnect server: its channel, and the server's names.

We keep `<number id>:<id>`; the server's calls take the whole name, `false_573...@c.us_3A...`. It
stands in the metadata of what came through it, and of what it sent for us.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog
from sqlalchemy import select

from crm.db import db
from crm.lib.crypto import DecryptionError, decrypt
from crm.models import Direction, Message, WhatsappNumber
from crm.providers.outbound import Deletion, Edit, OutboundMessage, Reaction
from crm.providers.wppconnect.client import WppConnectChannel
from crm.providers.wppconnect.ids import gateway_id
from crm.providers.wppconnect.payloads import refusal
from crm.services.wppconnect.sessions import find_session

log = structlog.get_logger(__name__)


def channel_of(number: WhatsappNumber, *, keys: Sequence[str]) -> WppConnectChannel:
    """The way to the number's server. ProviderError where it has none yet."""
    session = find_session(number.id)
    if session is None or not session.token:
        raise refusal("wpp_disconnected")
    try:
        token = decrypt(session.token, keys)
    except DecryptionError:
        log.error("number_token_unreadable", number_id=number.id)
        raise refusal("wpp_token") from None
    return WppConnectChannel(
        number.id, number.wppconnect_server_url or "", number.wppconnect_session_name or "", token
    )


def with_server_names(message: OutboundMessage) -> OutboundMessage:
    """The message with the ids that it quotes or speaks of as the server's calls take them."""
    if isinstance(message.content, Reaction | Edit | Deletion):
        target = _name_of(message.content.message_id, message)
        return replace(message, content=replace(message.content, message_id=target))
    if message.reply_to:
        return replace(message, reply_to=_name_of(message.reply_to, message))
    return message


def _name_of(stored: str, message: OutboundMessage) -> str:
    row = db.session.execute(
        select(Message.meta, Message.direction).where(Message.whatsapp_message_id == stored)
    ).one_or_none()
    if row is not None and (known := (row.meta or {}).get("gateway_id")):
        return str(known)
    # Of before names were kept: put together as WhatsApp Web does it.
    mine = row is not None and row.direction is Direction.OUTBOUND
    to = message.to
    chat = f"{to.phone}@c.us" if to.phone else f"{to.lid}@lid"
    return f"{'true' if mine else 'false'}_{chat}_{gateway_id(stored)}"
