"""From a prepared file to bytes in the store and a row, and back."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import exists, func, or_, select

from crm.db import database_now, db
from crm.errors import Conflict, NotFound
from crm.extensions import file_store
from crm.lib.clock import utcnow
from crm.lib.file_store import Missing, StoreError
from crm.lib.media import types, workshop
from crm.lib.media.workshop import Unreadable
from crm.models import File, Message, StorageType, User
from crm.services.files.preparing import Prepared
from crm.services.files.purposes import Purpose
from crm.services.files.receiving import refusal, spool

log = structlog.get_logger(__name__)

# How long what nobody sent, and what was deleted, is kept.
DRAFT_KEPT = timedelta(days=1)
DELETED_KEPT = timedelta(days=30)
ROWS_AT_ONCE = 200
# What one person may have uploaded and not sent.
MOST_UNSENT = 1024**3


class TooManyDrafts(Conflict):
    code = "too_many_drafts"
    message = "Too much has been uploaded and not sent. Send it, or try again tomorrow."


@dataclass(frozen=True)
class Stored:
    """Bytes that lie in the store, with all that their row will say."""

    filename: str
    key: str
    thumbnail_key: str | None
    storage_type: StorageType
    size_bytes: int
    sha256: str
    prepared: Prepared


def store_file(prepared: Prepared) -> Stored:
    """Put the bytes (and the thumbnail) into the store under names of ours. No transaction is open.

    Raises StoreUnavailable, or StoreFull; nothing is kept then.
    """
    filename = f"{secrets.token_hex(20)}.{types.ending(prepared.mime_type)}"
    key = f"{utcnow():%Y/%m}/{filename}"
    thumbnail = prepared.look.thumbnail
    thumbnail_key = f"{key.rpartition('.')[0]}.thumbnail.webp" if thumbnail else None
    store = file_store.store
    try:
        store.put(key, prepared.path)
        if thumbnail and thumbnail_key:
            store.put(thumbnail_key, thumbnail)
    except StoreError as error:
        log.warning("file_not_stored", reason=str(error), bytes=prepared.path.stat().st_size)
        _drop(key)
        raise refusal(error) from error
    return Stored(
        filename=filename,
        key=key,
        thumbnail_key=thumbnail_key,
        storage_type=StorageType(store.kind),
        size_bytes=prepared.path.stat().st_size,
        sha256=hash_of(prepared.path),
        prepared=prepared,
    )


def create_file(
    stored: Stored,
    *,
    purpose: Purpose,
    owner: tuple[str, int] | None = None,
    uploaded_by: User | None = None,
) -> File:
    """The row. `owner` is what it belongs to, ("user", 5); None while a message is written."""
    prepared, look = stored.prepared, stored.prepared.look
    file = File(
        filename=stored.filename,
        original_filename=prepared.name,
        mime_type=prepared.mime_type[:100],
        size_bytes=stored.size_bytes,
        storage_type=stored.storage_type,
        file_path=stored.key,
        thumbnail_path=stored.thumbnail_key,
        sha256=stored.sha256,
        width=look.width,
        height=look.height,
        # A sound of half a second is still one: zero would look like "not known".
        duration_seconds=None if look.seconds is None else max(1, round(look.seconds)),
        meta=_facts(prepared),
        purpose=purpose.name,
        is_public=purpose.is_public,
        uploaded_by_user_id=uploaded_by.id if uploaded_by else None,
        related_entity_type=owner[0] if owner else None,
        related_entity_id=owner[1] if owner else None,
    )
    db.session.add(file)
    db.session.flush()
    return file


def check_quota(user_id: int) -> None:
    """Raise TooManyDrafts where somebody has uploaded a lot and sent nothing of it."""
    waiting = db.session.scalar(
        select(func.sum(File.size_bytes)).where(
            File.uploaded_by_user_id == user_id,
            File.related_entity_id.is_(None),
            File.purpose == "message",
            File.deleted_at.is_(None),
        )
    )
    if (waiting or 0) > MOST_UNSENT:
        raise TooManyDrafts


def _facts(prepared: Prepared) -> dict[str, Any]:
    facts: dict[str, Any] = {"kind": prepared.kind}
    if prepared.look.peaks:
        facts["peaks"] = list(prepared.look.peaks)
    if prepared.is_voice:
        facts["voice"] = True
    if prepared.look.pages:
        facts["pages"] = prepared.look.pages
    if prepared.look.is_locked:
        facts["locked"] = True
    if prepared.look.is_animated:
        facts["animated"] = True
    return facts


def read_file(key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
    """The bytes under a key of a row. Raises NotFound where they are gone, StoreUnavailable."""
    try:
        return file_store.store.read(key, start=start, length=length)
    except Missing as error:
        log.error("file_missing", key=key)
        raise NotFound("This file is no longer there.") from error
    except StoreError as error:
        raise refusal(error) from error


def size_of(key: str) -> int:
    """Bytes under a key. Raises as `read_file` does."""
    try:
        return file_store.store.size(key)
    except Missing as error:
        raise NotFound("This file is no longer there.") from error
    except StoreError as error:
        raise refusal(error) from error


def copy_to(file: File, target: Path) -> Path:
    """The whole file on this machine's disk, for a decoder or an upload."""
    with open(target, "wb") as out:
        for piece in read_file(file.file_path):
            out.write(piece)
    return target


def make_playable(file: File, *, data_dir: Path) -> str | None:
    """Make the copy that every browser plays and keep it; its key, or None if that cannot be.

    The caller writes the key into the row. No transaction is open.
    """
    with spool(data_dir) as folder:
        source = copy_to(file, folder / "given")
        try:
            made = workshop.make_playable(source, file.mime_type, folder=folder)
        except Unreadable as error:
            log.info("no_playable_copy", file_id=file.id, reason=error.reason)
            return None
        key = f"{file.file_path.rpartition('.')[0]}.playable.m4a"
        try:
            file_store.store.put(key, made.path)
        except StoreError as error:
            raise refusal(error) from error
    return key


def delete_file(file: File) -> None:
    """Nobody gets it any more; the bytes follow after some days."""
    file.deleted_at = database_now()


def tidy() -> list[File]:
    """Rows whose bytes may go: deleted long ago, or uploaded and never sent. Marks the latter.

    The door commits, removes the bytes with `remove_bytes`, and calls again while there are more.
    """
    now = func.now()
    never_sent = (
        (File.purpose == "message")
        & File.related_entity_id.is_(None)
        & (File.created_at < now - DRAFT_KEPT)
        & ~exists(select(Message.id).where(Message.media_file_id == File.id))
    )
    long_gone = File.deleted_at < now - DELETED_KEPT
    rows = db.session.scalars(
        select(File)
        .where(or_(never_sent, long_gone), File.size_bytes > 0)
        .order_by(File.id)
        .limit(ROWS_AT_ONCE)
        .with_for_update(skip_locked=True)
    ).all()
    for file in rows:
        file.deleted_at = file.deleted_at or database_now()
        file.size_bytes = 0
    return list(rows)


def drop_stored(stored: Stored) -> None:
    """Bytes whose row was not written after all."""
    for key in (stored.key, stored.thumbnail_key):
        if key:
            _drop(key)


def remove_bytes(file: File) -> None:
    for key in (file.file_path, file.thumbnail_path, file.playable_path):
        if key:
            _drop(key)


def hash_of(path: Path) -> str:
    """SHA-256 as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _drop(key: str) -> None:
    try:
        file_store.store.delete(key)
    except StoreError as error:
        log.warning("bytes_not_removed", key=key, reason=str(error))
