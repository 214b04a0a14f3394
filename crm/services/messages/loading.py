"""What claimed rows say and where they go: read for many at once, just before the call.

Everything that was checked when a message was queued is checked again: hours may lie between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import structlog
from sqlalchemy import text

from crm.db import db
from crm.lib.crypto import DecryptionError, decrypt
from crm.models import IdentityKind, MessageType, Provider
from crm.providers.meta import codes
from crm.providers.meta.client import MetaChannel
from crm.providers.outbound import Deletion, Edit, Effect, OutboundMessage, ProviderError, Recipient
from crm.providers.wppconnect.client import WppConnectChannel
from crm.services.messages import limits, window
from crm.services.messages.claims import Claim, Outgoing, Settings
from crm.services.messages.consent import is_unwanted
from crm.services.messages.contents import read_content
from crm.services.wppconnect import outgoing

log = structlog.get_logger(__name__)

Channel = MetaChannel | WppConnectChannel
Loaded = Outgoing | ProviderError
"""What leaves, or why it must not (or cannot) leave any more."""

# One statement for all, in plain SQL: through the mapper it was half of what a send cost.
READ = text("""
    SELECT m.id, m.message_type, m.content, m.metadata AS meta, m.media_mime_type, m.media_file_id,
           m.client_key, c.phone_number, c.is_blocked, c.opt_in, c.opt_in_date,
           (SELECT max(last_inbound_at) FROM chats
            WHERE client_id = m.client_id AND whatsapp_number_id = m.whatsapp_number_id
           ) AS last_word_at,
           -- Of each kind the newest.
           (SELECT json_object_agg(kind, value) FROM (
                SELECT DISTINCT ON (kind) kind, value FROM client_identities
                WHERE client_id = m.client_id ORDER BY kind, last_seen_at DESC, id DESC) AS newest
           ) AS identities,
           clock_timestamp() AS now
    FROM messages m JOIN clients c ON c.id = m.client_id
    WHERE m.id = ANY(CAST(:ids AS bigint[]))
""")

READ_RECIPIENT = text("""
    SELECT phone_number,
           (SELECT json_object_agg(kind, value) FROM (
                SELECT DISTINCT ON (kind) kind, value FROM client_identities
                WHERE client_id = c.id ORDER BY kind, last_seen_at DESC, id DESC) AS newest
           ) AS identities
    FROM clients c WHERE id = :client_id
""")

READ_NUMBERS = text("""
    SELECT id, provider, meta_phone_number_id, meta_access_token, wppconnect_server_url,
           wppconnect_session_name, daily_message_limit, limit_action
    FROM whatsapp_numbers WHERE id = ANY(CAST(:ids AS int[]))
""")


def load_outgoing(claims: Sequence[Claim], *, settings: Settings) -> list[Loaded]:
    """Read what is to be sent, in the order of `claims`.

    A ProviderError stands for what must not (or cannot) leave any more.
    """
    found = db.session.execute(READ, {"ids": [claim.message_id for claim in claims]})
    rows = {row.id: row for row in found}
    wanted = sorted({claim.number_id for claim in claims})
    numbers = {row.id: row for row in db.session.execute(READ_NUMBERS, {"ids": wanted})}
    loaded: list[Loaded] = []
    for claim in claims:
        try:
            number = numbers[claim.number_id]
            loaded.append(_load(claim, rows[claim.message_id], number, settings=settings))
        except ProviderError as error:
            loaded.append(error)
        except Exception:
            # A row that nobody can read must not stop the others, now or ever again.
            log.exception("message_unreadable", message_id=claim.message_id)
            loaded.append(_refusal("crashed"))
    return loaded


def _load(claim: Claim, row: Any, number: Any, *, settings: Settings) -> Outgoing:
    is_open = window.is_open_at(
        row.now, last_word_at=row.last_word_at, provider=Provider(number.provider)
    )
    template = (row.meta or {}).get("template")
    if row.is_blocked:
        raise _refusal("blocked")
    if template is not None and is_unwanted(row, template):
        raise _refusal("opted_out")
    if row.message_type != MessageType.TEMPLATE and not is_open:
        raise _refusal("window_closed")
    content = read_content(row)
    counts = not isinstance(content, Edit | Deletion) and (
        number.provider == Provider.WPPCONNECT or not is_open
    )
    if counts and limits.is_refused(number, claim, settings=settings):
        raise _refusal("daily_limit")
    quote = (row.meta or {}).get("quote") or {}
    leaving = OutboundMessage(
        to=_recipient(row.phone_number, row.identities or {}),
        content=content,
        opaque_id=f"{row.client_key}.{claim.attempt}",
        reply_to=quote.get("message_id"),
    )
    if number.provider == Provider.WPPCONNECT:
        leaving = outgoing.with_server_names(leaving)
    return Outgoing(claim, channel_of(number, settings), leaving, counts=counts)


def find_recipient(client_id: int) -> Recipient:
    """Who this client is at WhatsApp. ProviderError where nobody knows."""
    found = db.session.execute(READ_RECIPIENT, {"client_id": client_id}).one()
    return _recipient(found.phone_number, found.identities or {})


def channel_of(number: Any, settings: Settings) -> Channel:
    """What opens the number. ProviderError (CHANNEL) where something is missing."""
    if number.provider == Provider.WPPCONNECT:
        return outgoing.channel_of(number, keys=settings.encryption_keys)
    if not (number.meta_phone_number_id and number.meta_access_token):
        raise _stopped("no_token")
    try:
        token = _open(number.meta_access_token, settings.encryption_keys)
    except DecryptionError:
        log.error("number_token_unreadable", number_id=number.id)
        raise _stopped("token_unreadable") from None
    return MetaChannel(
        phone_number_id=number.meta_phone_number_id,
        access_token=token,
        graph_url=settings.graph_url,
    )


@lru_cache(maxsize=64)
def _open(ciphertext: str, keys: tuple[str, ...]) -> str:
    """A few tokens are opened thousands of times."""
    return decrypt(ciphertext, keys)


def _recipient(phone_number: str | None, newest: Mapping[str, str]) -> Recipient:
    """WhatsApp's own id of the person, then the number on file, then Meta's id of who hides it.

    The id comes first because WhatsApp's spelling is not always the number's (Mexico's 521,
    Brazil's ninth digit), and because people edit the number on file.
    """
    if phone := newest.get(IdentityKind.WA_ID):
        return Recipient(phone=phone)
    if phone_number:
        return Recipient(phone=phone_number.lstrip("+"))
    if user_id := newest.get(IdentityKind.USER_ID):
        return Recipient(user_id=user_id)
    if lid := newest.get(IdentityKind.LID):
        return Recipient(lid=lid)
    raise _refusal("recipient_missing")


def _refusal(code: str) -> ProviderError:
    return ProviderError(codes.OURS[code], effect=Effect.PERMANENT, code=code)


def _stopped(code: str) -> ProviderError:
    return ProviderError(codes.OURS[code], effect=Effect.CHANNEL, code=code)
