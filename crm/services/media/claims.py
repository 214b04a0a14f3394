"""The rows of `media_fetches`: who works on which file, and until when others keep off.

A row is written with the message itself. Who claims it holds a short lease and renews it while the
process lives, so that a killed one is noticed within seconds. Every later write carries owner and
attempt: whoever comes back too late, or was taken over by a person's *Fetch again*, writes nothing.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy import and_, extract, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert

from crm.db import db
from crm.doorbell import ring_on_commit
from crm.errors import Conflict
from crm.lib.crypto import DecryptionError, decrypt
from crm.models import FetchStatus, MediaFetch, Message, Provider, WhatsappNumber
from crm.providers.meta.client import MetaChannel
from crm.providers.wppconnect.client import WppConnectChannel
from crm.services.media.faults import fault_of
from crm.services.messages.announcing import announce_ticks, lock_chats
from crm.services.wppconnect.sessions import load_channel

log = structlog.get_logger(__name__)

# A lease is renewed this often in its length; one that was not for RENEWALS_MISSED of these belongs
# to a process that is dead or stopped, as far as a person who waits is concerned.
RENEWALS = 6
RENEWALS_MISSED = 2
# Longer than everything a fetch may wait for; what hangs beyond it is left to its lease.
LONGEST_SECONDS = 400
# The first waits; later ones are the last. With jitter, so that a number's files come one by one.
WAITS = (5, 30, 120, 600, 3600, 6 * 3600)
# As long as Meta keeps what came in.
PATIENCE_DAYS = 7
KINDS = ("image", "video", "audio", "document", "sticker")


@dataclass(frozen=True)
class Fetch:
    """A row that is ours until its lease ends, with all that the provider's client needs.

    `is_lost` is set as soon as somebody else holds it: whoever still works on it may stop.
    """

    message_id: int
    chat_id: int
    kind: str
    attempt: int
    owner: UUID
    channel: MetaChannel | WppConnectChannel
    media: Mapping[str, Any] = field(repr=False)
    is_lost: threading.Event = field(default_factory=threading.Event, repr=False)
    started: float = field(default_factory=time.monotonic, repr=False)


FIND_DUE = text("""
    SELECT DISTINCT whatsapp_number_id FROM media_fetches
    WHERE (status = 'pending' AND scheduled_at <= clock_timestamp())
       OR (status = 'processing' AND lease_until < clock_timestamp())
    ORDER BY whatsapp_number_id
""")
CLAIM = text("""
    WITH due AS (
        SELECT message_id FROM media_fetches
        WHERE (status = 'pending' AND scheduled_at <= clock_timestamp())
           OR (status = 'processing' AND lease_until < clock_timestamp())
        ORDER BY scheduled_at, message_id
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
    UPDATE media_fetches f SET
        status = 'processing', owner = :owner, attempts = attempts + 1, updated_at = now(),
        lease_until = clock_timestamp() + make_interval(secs => :lease)
    FROM due WHERE f.message_id = due.message_id
    RETURNING f.message_id, f.attempts
""")
RENEW = text("""
    UPDATE media_fetches SET lease_until = clock_timestamp() + make_interval(secs => :lease)
    WHERE message_id = :message_id AND owner = :owner AND attempts = :attempt
      AND status = 'processing'
    RETURNING message_id
""")
# As if nobody had tried: an end of ours says nothing about the file.
GIVE_BACK = text("""
    UPDATE media_fetches SET
        status = 'pending', owner = NULL, attempts = attempts - 1, lease_until = NULL,
        scheduled_at = clock_timestamp(), updated_at = now()
    WHERE message_id = :message_id AND owner = :owner AND attempts = :attempt
      AND status = 'processing'
""")
END = text("""
    UPDATE media_fetches SET
        status = :status, error_code = :code, lease_until = NULL, updated_at = now(),
        scheduled_at = clock_timestamp() + make_interval(secs => :wait)
    WHERE message_id = :message_id AND owner = :owner AND attempts = :attempt
      AND status = 'processing'
    RETURNING extract(epoch FROM clock_timestamp() - created_at)::float AS age
""")


def find_due_fetches() -> list[int]:
    """The numbers for which a file is due. Reads only, for the clock."""
    return list(db.session.scalars(FIND_DUE))


def claim_fetches(
    *, limit: int, lease_seconds: float, graph_url: str, keys: tuple[str, ...]
) -> list[Fetch]:
    """Claim up to `limit` due rows, oldest first. What cannot be asked for ends here."""
    # New with each claim, so that it fences by itself: *Fetch again* counts attempts anew.
    owner = uuid4()
    claimed = db.session.execute(
        CLAIM, {"owner": owner, "limit": limit, "lease": lease_seconds}
    ).all()
    attempts = {row.message_id: row.attempts for row in claimed}
    found = db.session.execute(
        select(Message, WhatsappNumber)
        .join(WhatsappNumber, WhatsappNumber.id == Message.whatsapp_number_id)
        .where(Message.id.in_(attempts))
        .order_by(Message.id)
    )
    fetches = []
    for message, number in found:
        fetch = Fetch(
            message_id=message.id,
            chat_id=message.chat_id,
            kind=str(message.message_type),
            attempt=attempts[message.id],
            owner=owner,
            channel=MetaChannel(number.meta_phone_number_id or "", "", graph_url),
            media=(message.meta or {}).get("media") or {},
        )
        if message.media_file_id is not None:
            end(fetch, FetchStatus.DONE)
        elif not isinstance(fetch.media.get("id"), str):
            end_with_fault(fetch, "no_id")
        elif channel := _channel(number, graph_url=graph_url, keys=keys):
            fetches.append(replace(fetch, channel=channel))
        else:
            end_with_fault(fetch, "token" if number.provider is Provider.META else "away")
    return fetches


def _channel(
    number: WhatsappNumber, *, graph_url: str, keys: tuple[str, ...]
) -> MetaChannel | WppConnectChannel | None:
    """Whom to ask; None where nobody can be asked now."""
    if number.provider is Provider.WPPCONNECT:
        return load_channel(number.id, keys=keys)
    token = _token(number, keys)
    return MetaChannel(number.meta_phone_number_id or "", token, graph_url) if token else None


def _token(number: WhatsappNumber, keys: tuple[str, ...]) -> str | None:
    try:
        return decrypt(number.meta_access_token or "", keys)
    except DecryptionError:
        return None


def renew_leases(running: Collection[Fetch], *, lease_seconds: float) -> None:
    """Keep what is being fetched; tell those that are somebody else's by now (`is_lost`)."""
    now = time.monotonic()
    for fetch in running:
        if fetch.is_lost.is_set() or now - fetch.started > LONGEST_SECONDS:
            continue
        if db.session.scalar(RENEW, {**_fence(fetch), "lease": lease_seconds}) is None:
            fetch.is_lost.set()


def end_with_fault(fetch: Fetch, code: str) -> bool:
    """True where the row was still ours."""
    wait = WAITS[min(fetch.attempt, len(WAITS)) - 1] * random.uniform(0.8, 1.2)
    status = FetchStatus.PENDING if fault_of(code).retries else FetchStatus.FAILED
    age = end(fetch, status, code=code, wait=wait)
    if age is None:
        return False
    if status is FetchStatus.PENDING and age > PATIENCE_DAYS * 86400:
        fetched = db.session.get_one(MediaFetch, fetch.message_id)
        fetched.status, fetched.error_code = FetchStatus.FAILED, "gone"
    log.info("media_not_fetched", message_id=fetch.message_id, code=code, attempt=fetch.attempt)
    return True


def end(
    fetch: Fetch, status: FetchStatus, *, code: str | None = None, wait: float = 0
) -> float | None:
    """The age of the row in seconds; None where it is no longer ours."""
    return db.session.scalar(
        END, {**_fence(fetch), "status": status.value, "code": code, "wait": wait}
    )


def _fence(fetch: Fetch) -> dict[str, Any]:
    return {"message_id": fetch.message_id, "owner": fetch.owner, "attempt": fetch.attempt}


def give_back(running: Iterable[Fetch]) -> None:
    """Leave these to whoever comes next, now: this worker ends. Once it is committed they are lost
    for whoever still works on them."""
    for fetch in running:
        db.session.execute(GIVE_BACK, _fence(fetch))


class NothingToFetch(Conflict):
    code = "nothing_to_fetch"
    message = "This file is here already, or on its way."


def fetch_again(message: Message, *, lease_seconds: float) -> None:
    """A person's *Fetch again*: due now, with fresh patience. NothingToFetch if it is here.

    Also if somebody fetches it this very moment. Who has not renewed the lease as often as a living
    process does is taken over at once; the lease itself may have seconds to go.
    """
    if message.media_file_id is not None or str(message.message_type) not in KINDS:
        raise NothingToFetch
    lock_chats([message.chat_id])
    row = insert(MediaFetch).values(
        message_id=message.id, whatsapp_number_id=message.whatsapp_number_id
    )
    left = extract("epoch", MediaFetch.lease_until - func.clock_timestamp())
    is_quiet = left < lease_seconds * (1 - RENEWALS_MISSED / RENEWALS)
    taken = db.session.scalar(
        row.on_conflict_do_update(
            index_elements=["message_id"],
            set_={
                "status": FetchStatus.PENDING.value,
                "scheduled_at": text("clock_timestamp()"),
                "created_at": text("clock_timestamp()"),
                "attempts": 0,
                "owner": None,
                "error_code": None,
                "lease_until": None,
            },
            where=or_(
                MediaFetch.status != FetchStatus.PROCESSING.value,
                and_(MediaFetch.status == FetchStatus.PROCESSING.value, is_quiet),
            ),
        ).returning(MediaFetch.message_id)
    )
    if taken is None:
        raise NothingToFetch
    ring_on_commit("media.fetch", message.whatsapp_number_id)
    announce_ticks({message.id: message.chat_id})
