"""From a message that came in to its file: claimed in Postgres, fetched outside of transactions.

A row of `media_fetches` is written with the message itself. Who claims it holds a lease; every
later write carries owner and attempt, so that whoever comes back too late writes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from uuid import UUID

import structlog
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from crm.db import db
from crm.doorbell import ring_on_commit
from crm.errors import Conflict
from crm.lib.crypto import DecryptionError, decrypt
from crm.lib.media import types, workshop
from crm.lib.media.workshop import Look, Unreadable
from crm.models import (
    AlarmKind,
    FetchStatus,
    File,
    MediaFetch,
    Message,
    Provider,
    WhatsappNumber,
)
from crm.providers.meta.client import MetaChannel
from crm.providers.meta.media import Fetched, FetchFault, MediaInfo, sha256_of_webhook
from crm.providers.wppconnect.client import WppConnectChannel
from crm.services import alarms, files
from crm.services.files.purposes import INBOUND_CAPS
from crm.services.media.faults import fault_of
from crm.services.messages.announcing import announce_ticks, lock_chats
from crm.services.wppconnect.sessions import load_channel

log = structlog.get_logger(__name__)

LEASE_SECONDS = 300
# The first waits; later ones are the last. With jitter, so that a number's files come one by one.
WAITS = (5, 30, 120, 600, 3600, 6 * 3600)
# As long as Meta keeps what came in.
PATIENCE_DAYS = 7
# Faults of our own store: no customer or provider can mend them.
STORE_FAULTS = ("no_room", "store")
KINDS = ("image", "video", "audio", "document", "sticker")


@dataclass(frozen=True)
class Fetch:
    """A row that is ours until its lease ends, with all that the provider's client needs."""

    message_id: int
    chat_id: int
    kind: str
    attempt: int
    owner: UUID
    channel: MetaChannel | WppConnectChannel
    media: Mapping[str, Any] = field(repr=False)


class Source(Protocol):
    """Where a provider keeps what came in."""

    def find(self, channel: Any, media_id: str) -> MediaInfo: ...

    def download(self, channel: Any, url: str, target: BinaryIO, *, most: int) -> Fetched: ...


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


def claim_fetches(*, owner: UUID, limit: int, graph_url: str, keys: tuple[str, ...]) -> list[Fetch]:
    """Claim up to `limit` due rows, oldest first. What cannot be asked for ends here."""
    claimed = db.session.execute(
        CLAIM, {"owner": owner, "limit": limit, "lease": LEASE_SECONDS}
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
            _end(fetch, FetchStatus.DONE)
        elif not isinstance(fetch.media.get("id"), str):
            end_with_fault(fetch, "no_id")
        elif channel := _channel(number, graph_url=graph_url, keys=keys):
            fetches.append(_with(fetch, channel))
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


def _with(fetch: Fetch, channel: MetaChannel | WppConnectChannel) -> Fetch:
    return Fetch(
        fetch.message_id,
        fetch.chat_id,
        fetch.kind,
        fetch.attempt,
        fetch.owner,
        channel,
        fetch.media,
    )


def fetch_file(fetch: Fetch, source: Source, folder: Path) -> files.Stored:
    """Fetch the bytes, check and measure them, and keep them. No transaction is open.

    Raises FetchFault with a key of FAULTS, and StoreUnavailable.
    """
    target = folder / "given"
    info = source.find(fetch.channel, str(fetch.media["id"]))
    most = INBOUND_CAPS.get(fetch.kind, INBOUND_CAPS["document"])
    if info.size is not None and info.size > most:
        raise FetchFault("too_big")
    with open(target, "wb") as file:
        fetched = source.download(fetch.channel, info.url, file, most=most)
    wanted = {info.sha256, sha256_of_webhook(fetch.media.get("sha256"))} - {None}
    if wanted and fetched.sha256 not in wanted:
        raise FetchFault("changed")
    return files.store_file(prepare(target, fetch.kind, fetch.media, folder))


def prepare(
    source: Path, kind: str, media: Mapping[str, Any], folder: Path, *, is_voice: bool = False
) -> files.Prepared:
    """What came in as it will be kept: its bytes untouched, its type by its own bytes.

    FetchFault wrong_type for a picture, sound or film that is none: nobody knows what it is.
    """
    with open(source, "rb") as file:
        head = file.read(types.HEAD)
    name = media.get("filename")
    mime = types.sniff(head, name=name if isinstance(name, str) else "")
    if kind == "audio" and mime in {"video/mp4", "video/3gpp", "video/webm"}:
        mime = mime.replace("video/", "audio/")  # a container with only sound in it
    family = {"sticker": "image"}.get(kind, kind)
    if family != "document" and not mime.startswith(f"{family}/"):
        raise FetchFault("wrong_type")
    try:
        look = Look() if family == "document" else workshop.look_at(source, mime, folder=folder)
    except Unreadable as error:
        # Kept all the same: the customer did send it, and another program may read it.
        log.info("media_not_measured", kind=kind, mime=mime, reason=error.reason)
        look = Look()
    shown = types.clean_name(name if isinstance(name, str) else None, mime=mime)
    if not name:
        shown = f"{'nota-de-voz' if is_voice else kind}.{types.ending(mime)}"
    return files.Prepared(source, kind, mime, shown, look, is_voice=is_voice)


def record_file(fetch: Fetch, stored: files.Stored) -> File | None:
    """Hang the file on its message and tell the browsers. None where somebody else was faster."""
    lock_chats([fetch.chat_id])
    if _end(fetch, FetchStatus.DONE) is None:
        return None
    message = db.session.get_one(Message, fetch.message_id, with_for_update={"key_share": True})
    file = files.create_file(stored, purpose=files.MESSAGE, owner=("message", message.id))
    message.media_file_id = file.id
    message.media_url = file.url
    message.media_mime_type = file.mime_type
    alarms.end_alarm(AlarmKind.STORE_FULL)
    announce_ticks({message.id: message.chat_id})
    return file


def record_fault(fetch: Fetch, code: str) -> None:
    """Note why it did not come; the browsers show it. Tried again later where that may help."""
    lock_chats([fetch.chat_id])
    if not end_with_fault(fetch, code):
        return
    announce_ticks({fetch.message_id: fetch.chat_id})
    if code in STORE_FAULTS:
        alarms.raise_alarm(AlarmKind.STORE_FULL, facts={"reason": code})


def end_with_fault(fetch: Fetch, code: str) -> bool:
    """True where the row was still ours."""
    wait = WAITS[min(fetch.attempt, len(WAITS)) - 1] * random.uniform(0.8, 1.2)
    status = FetchStatus.PENDING if fault_of(code).retries else FetchStatus.FAILED
    age = _end(fetch, status, code=code, wait=wait)
    if age is None:
        return False
    if status is FetchStatus.PENDING and age > PATIENCE_DAYS * 86400:
        fetched = db.session.get_one(MediaFetch, fetch.message_id)
        fetched.status, fetched.error_code = FetchStatus.FAILED, "gone"
    log.info("media_not_fetched", message_id=fetch.message_id, code=code, attempt=fetch.attempt)
    return True


def _end(
    fetch: Fetch, status: FetchStatus, *, code: str | None = None, wait: float = 0
) -> float | None:
    """The age of the row in seconds; None where it is no longer ours."""
    return db.session.scalar(
        END,
        {
            "status": status.value,
            "code": code,
            "wait": wait,
            "message_id": fetch.message_id,
            "owner": fetch.owner,
            "attempt": fetch.attempt,
        },
    )


class NothingToFetch(Conflict):
    code = "nothing_to_fetch"
    message = "This file is here already, or on its way."


def fetch_again(message: Message) -> None:
    """A person's *Fetch again*: due now, with fresh patience. NothingToFetch if it is here."""
    if message.media_file_id is not None or str(message.message_type) not in KINDS:
        raise NothingToFetch
    lock_chats([message.chat_id])
    row = insert(MediaFetch).values(
        message_id=message.id, whatsapp_number_id=message.whatsapp_number_id
    )
    db.session.execute(
        row.on_conflict_do_update(
            index_elements=["message_id"],
            set_={
                "status": FetchStatus.PENDING.value,
                "scheduled_at": text("clock_timestamp()"),
                "created_at": text("clock_timestamp()"),
                "attempts": 0,
                "error_code": None,
                "lease_until": None,
            },
            where=MediaFetch.status != FetchStatus.PROCESSING.value,
        )
    )
    ring_on_commit("media.fetch", message.whatsapp_number_id)
    announce_ticks({message.id: message.chat_id})
