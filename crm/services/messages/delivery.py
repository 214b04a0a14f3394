"""The way from the queue to the provider: claim, start, and what is due.

One row is claimed at the moment of sending, under a lease and with a fence (`owner`, `attempts`)
that every later write carries: who comes back after somebody else took over writes nothing. Just
before the call `submitted_at` is committed; from there on, silence means "uncertain" and never
"again". Within a chat the rows leave in the order in which they were written, one at a time.

The calls themselves happen between these transactions, in crm/jobs/messages.py.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import select, text

from crm.db import db
from crm.lib.crypto import DecryptionError, decrypt
from crm.models import (
    Client,
    ClientIdentity,
    IdentityKind,
    Message,
    MessageStatus,
    MessageType,
    NumberStatus,
    Provider,
    WhatsappNumber,
)
from crm.providers.meta import codes
from crm.providers.meta.client import MetaChannel
from crm.providers.outbound import Effect, OutboundMessage, ProviderError, Recipient
from crm.providers.wppconnect.client import WppConnectChannel
from crm.services.messages import window
from crm.services.messages.backoff import Backoff
from crm.services.messages.consent import is_unwanted
from crm.services.messages.contents import read_content
from crm.services.wppconnect import outgoing

log = structlog.get_logger(__name__)

# How far ahead of its even pace a number may run: a tenth of a second's worth of messages.
BURST_SECONDS = 0.1
# On WPPConnect each pause between two messages is drawn from this range of the even one.
JITTER = (0.6, 1.4)


@dataclass(frozen=True)
class Settings:
    """What the delivery needs to know of the configuration. Times in seconds."""

    graph_url: str
    encryption_keys: tuple[str, ...] = field(repr=False)
    lease_seconds: float = 30
    uncertain_hold_seconds: float = 30
    unresolved_seconds: float = 600
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(frozen=True)
class Claim:
    """A row that is ours until the lease ends. `attempt` and `owner` are the fence."""

    queue_id: int
    message_id: int
    chat_id: int
    number_id: int
    owner: UUID
    attempt: int
    is_probe: bool = False
    """The number was refused before; this message tries whether it is taken again."""


@dataclass(frozen=True)
class Claimed:
    """What `claim_due` got, and after how many seconds the number has room for more (0 = now)."""

    claims: list[Claim]
    wait_seconds: float = 0.0


@dataclass(frozen=True)
class Outgoing:
    """Everything that the provider's client needs; no database is touched while it works."""

    claim: Claim
    channel: MetaChannel | WppConnectChannel
    message: OutboundMessage


# Rows of numbers that may send (or probe) now, and leases that ran out. Each part stops at the
# first row it finds per number.
FIND_DUE_NUMBERS = text("""
    SELECT n.id FROM whatsapp_numbers n
    LEFT JOIN number_pace p ON p.whatsapp_number_id = n.id
    WHERE (n.deleted_at IS NULL AND n.sending_paused_at IS NULL
           AND (n.status = 'active' OR (n.status = 'error' AND p.held_until <= clock_timestamp()))
           AND EXISTS (SELECT FROM message_queue q
                       WHERE q.whatsapp_number_id = n.id AND q.status = 'pending'
                         AND q.scheduled_at <= clock_timestamp()))
       OR EXISTS (SELECT FROM message_queue q
                  WHERE q.whatsapp_number_id = n.id AND q.status = 'processing'
                    AND q.lease_until < clock_timestamp())
       OR EXISTS (SELECT FROM message_queue q JOIN messages m ON m.id = q.message_id
                  WHERE q.whatsapp_number_id = n.id AND q.status = 'uncertain'
                    AND q.submitted_at < clock_timestamp() - make_interval(secs => :unresolved)
                    AND m.error_code IS DISTINCT FROM 'unresolved')
    ORDER BY n.id
""")

LOCK_PACE = text("""
    SELECT n.status, n.provider, n.rate_limit_per_minute, p.held_until, p.hold_tries,
           extract(epoch FROM p.free_at - clock_timestamp())::float AS ahead_seconds,
           p.held_until <= clock_timestamp() AS may_probe
    FROM number_pace p JOIN whatsapp_numbers n ON n.id = p.whatsapp_number_id
    WHERE n.id = :number_id AND n.deleted_at IS NULL AND n.sending_paused_at IS NULL
    FOR UPDATE OF p
""")

ADD_PACE = text("""
    INSERT INTO number_pace (whatsapp_number_id)
    SELECT id FROM whatsapp_numbers WHERE id = :number_id
    ON CONFLICT DO NOTHING
""")

# A row waits while anything before it in its chat is pending (a back-off holds the chat too) or on
# its way, and for a while behind one whose outcome is unknown. Failed ones release at once.
CLAIM = text("""
    WITH due AS (
        SELECT q.id FROM message_queue q
        WHERE q.whatsapp_number_id = :number_id AND q.status = 'pending'
          AND q.scheduled_at <= clock_timestamp()
          AND NOT EXISTS (
              SELECT FROM message_queue e
              WHERE e.chat_id = q.chat_id AND e.id < q.id
                AND e.status IN ('pending', 'processing', 'uncertain')
                AND (e.status <> 'uncertain' OR e.processing_completed_at
                     > clock_timestamp() - make_interval(secs => :hold)))
        ORDER BY q.priority DESC, q.scheduled_at, q.id
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
    UPDATE message_queue q SET
        status = 'processing', owner = :owner, attempts = attempts + 1, submitted_at = NULL,
        processing_started_at = clock_timestamp(), processing_completed_at = NULL,
        lease_until = clock_timestamp() + make_interval(secs => :lease), updated_at = now()
    FROM due WHERE q.id = due.id
    RETURNING q.id, q.message_id, q.chat_id, q.attempts
""")

MOVE_PACE = text("""
    UPDATE number_pace SET
        free_at = GREATEST(free_at, clock_timestamp()) + make_interval(secs => :seconds),
        held_until = CASE WHEN :is_probe
                          THEN clock_timestamp() + make_interval(secs => :lease)
                          ELSE held_until END
    WHERE whatsapp_number_id = :number_id
""")

SUBMIT = text("""
    UPDATE message_queue SET
        submitted_at = clock_timestamp(), updated_at = now(),
        lease_until = clock_timestamp() + make_interval(secs => :lease)
    WHERE id = :queue_id AND owner = :owner AND attempts = :attempt AND status = 'processing'
      AND submitted_at IS NULL AND lease_until > clock_timestamp()
    RETURNING id
""")

COMPLETE_TOLD = text("""
    UPDATE message_queue SET
        status = 'completed', processing_completed_at = clock_timestamp(), lease_until = NULL,
        updated_at = now()
    WHERE id = :queue_id AND owner = :owner AND attempts = :attempt AND status = 'processing'
""")

NEXT_DUE = text("""
    SELECT extract(epoch FROM min(scheduled_at) - clock_timestamp())::float
    FROM message_queue WHERE status = 'pending' AND scheduled_at > clock_timestamp()
""")


def find_due_numbers(*, unresolved_seconds: float = 600) -> list[int]:
    """The numbers for which there is something to do: rows due, leases over, outcomes still open.

    Reads only, so that the clock may ask and ring.
    """
    return list(db.session.scalars(FIND_DUE_NUMBERS, {"unresolved": unresolved_seconds}))


def find_next_due_seconds() -> float | None:
    """Seconds until the next row is due that is not due yet; None if there is none."""
    return db.session.scalar(NEXT_DUE)


def claim_due(number_id: int, *, owner: UUID, settings: Settings, limit: int = 1) -> Claimed:
    """Claim up to `limit` due rows of a number, for calls that start at once.

    The number's pace is kept here, under its lock, so that it holds over all workers together. A
    number that the provider refuses gets one row as a probe when its time has come.
    """
    pace = _lock_pace(number_id)
    if pace is None:
        return Claimed([])
    is_probe = pace.status == NumberStatus.ERROR and bool(pace.may_probe)
    if pace.status != NumberStatus.ACTIVE and not is_probe:
        return Claimed([])
    seconds_each = 60 / pace.rate_limit_per_minute if pace.rate_limit_per_minute else 0.0
    if pace.provider == Provider.WPPCONNECT:
        # A phone that writes like clockwork is taken for a machine: no two pauses are alike.
        seconds_each *= random.uniform(*JITTER)
    room = _room(pace.ahead_seconds, seconds_each)
    if room < 1:
        return Claimed([], wait_seconds=max(pace.ahead_seconds - BURST_SECONDS, 0.001))
    rows = db.session.execute(
        CLAIM,
        {
            "number_id": number_id,
            "hold": settings.uncertain_hold_seconds,
            "limit": 1 if is_probe else min(limit, room),
            "owner": owner,
            "lease": settings.lease_seconds,
        },
    ).all()
    if rows:
        db.session.execute(
            MOVE_PACE,
            {
                "number_id": number_id,
                "seconds": seconds_each * len(rows),
                "is_probe": is_probe,
                "lease": settings.lease_seconds,
            },
        )
    return Claimed(
        [
            Claim(row.id, row.message_id, row.chat_id, number_id, owner, row.attempts, is_probe)
            for row in rows
        ]
    )


def _lock_pace(number_id: int) -> Any:
    pace = db.session.execute(LOCK_PACE, {"number_id": number_id}).one_or_none()
    if pace is None:
        db.session.execute(ADD_PACE, {"number_id": number_id})
        pace = db.session.execute(LOCK_PACE, {"number_id": number_id}).one_or_none()
    return pace


def _room(ahead_seconds: float, seconds_each: float) -> int:
    """How many messages may start now: a bucket that holds BURST_SECONDS, at least one."""
    if not seconds_each:
        return 1_000_000 if ahead_seconds <= 0 else 0
    ahead = max(ahead_seconds, 0.0)
    if ahead > BURST_SECONDS:
        return 0
    return math.floor((BURST_SECONDS - ahead) / seconds_each) + 1


def load_outgoing(claim: Claim, *, settings: Settings) -> Outgoing:
    """Read what is to be sent. Raises ProviderError where it must not (or cannot) leave any more.

    Everything that was checked when the message was queued is checked again: hours may lie between.
    """
    message, client, number = db.session.execute(
        select(Message, Client, WhatsappNumber)
        .join(Client, Client.id == Message.client_id)
        .join(WhatsappNumber, WhatsappNumber.id == Message.whatsapp_number_id)
        .where(Message.id == claim.message_id)
        .execution_options(populate_existing=True)
    ).one()
    if client.is_blocked:
        raise _refusal("blocked")
    template = (message.meta or {}).get("template")
    if template is not None and is_unwanted(client, template):
        raise _refusal("opted_out")
    if message.message_type != MessageType.TEMPLATE and not window.is_open(
        client_id=client.id, whatsapp_number_id=number.id, provider=number.provider
    ):
        raise _refusal("window_closed")
    quote = (message.meta or {}).get("quote") or {}
    leaving = OutboundMessage(
        to=_recipient(client),
        content=read_content(message),
        opaque_id=f"{message.client_key}.{claim.attempt}",
        reply_to=quote.get("message_id"),
    )
    if number.provider is Provider.WPPCONNECT:
        leaving = outgoing.with_server_names(leaving)
    return Outgoing(claim=claim, channel=_channel(number, settings), message=leaving)


def mark_submitted(claim: Claim, *, settings: Settings) -> bool:
    """Hold the fence and note that the call begins; commit it before the call. False: do not call.

    False also where a receipt has meanwhile told that an earlier try did arrive.
    """
    fence = {"queue_id": claim.queue_id, "owner": claim.owner, "attempt": claim.attempt}
    status = db.session.scalar(select(Message.status).where(Message.id == claim.message_id))
    if status != MessageStatus.PENDING:
        db.session.execute(COMPLETE_TOLD, fence)
        return False
    row = db.session.execute(SUBMIT, {**fence, "lease": settings.lease_seconds}).first()
    return row is not None


def _channel(number: WhatsappNumber, settings: Settings) -> MetaChannel | WppConnectChannel:
    if number.provider is Provider.WPPCONNECT:
        return outgoing.channel_of(number, keys=settings.encryption_keys)
    if not (number.meta_phone_number_id and number.meta_access_token):
        raise _stopped("no_token")
    try:
        token = decrypt(number.meta_access_token, settings.encryption_keys)
    except DecryptionError:
        log.error("number_token_unreadable", number_id=number.id)
        raise _stopped("token_unreadable") from None
    return MetaChannel(
        phone_number_id=number.meta_phone_number_id,
        access_token=token,
        graph_url=settings.graph_url,
    )


def _recipient(client: Client) -> Recipient:
    """WhatsApp's own id of the person, then the number on file, then Meta's id of who hides it.

    The id comes first because WhatsApp's spelling is not always the number's (Mexico's 521,
    Brazil's ninth digit), and because people edit the number on file.
    """
    known = db.session.execute(
        select(ClientIdentity.kind, ClientIdentity.value)
        .where(ClientIdentity.client_id == client.id)
        .order_by(ClientIdentity.last_seen_at.asc(), ClientIdentity.id.asc())
    ).all()
    newest = {row.kind: row.value for row in known}
    if phone := newest.get(IdentityKind.WA_ID):
        return Recipient(phone=phone)
    if client.phone_number:
        return Recipient(phone=client.phone_number.lstrip("+"))
    if user_id := newest.get(IdentityKind.USER_ID):
        return Recipient(user_id=user_id)
    if lid := newest.get(IdentityKind.LID):
        return Recipient(lid=lid)
    raise _refusal("recipient_missing")


def _refusal(code: str) -> ProviderError:
    return ProviderError(codes.OURS[code], effect=Effect.PERMANENT, code=code)


def _stopped(code: str) -> ProviderError:
    return ProviderError(codes.OURS[code], effect=Effect.CHANNEL, code=code)
