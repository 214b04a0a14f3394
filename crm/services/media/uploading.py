"""Files on their way out: given to the provider before the message, under the message's own lease.

Meta wants an upload first and a message with its id then; the id is remembered for each file and
number while it lives, so that a file that is sent to many, or again, is uploaded once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert

from crm.db import database_now, db
from crm.errors import DomainError
from crm.models import File, MediaUpload, Message
from crm.providers.meta.client import MetaChannel
from crm.providers.outbound import Content, Effect, Media, ProviderError
from crm.services import files
from crm.services.messages.claims import Claim, Outgoing, Settings

# Meta keeps uploads for 30 days; a day less, so that none ends between our look and theirs.
KEPT = timedelta(days=29)

RENEW = text("""
    UPDATE message_queue SET
        lease_until = clock_timestamp() + make_interval(secs => :lease), updated_at = now()
    WHERE id = :queue_id AND owner = :owner AND attempts = :attempt AND status = 'processing'
      AND submitted_at IS NULL
    RETURNING id
""")


class Uploader(Protocol):
    def upload(self, channel: MetaChannel, path: Path, mime_type: str, *, filename: str) -> str: ...


Unit = Callable[[Callable[[], Any]], Any]
"""Runs a piece of work in a transaction of its own."""


def has_file(content: Content) -> bool:
    """Is a file the message, or its header?"""
    return _media_of(content) is not None


def needs_upload(content: Content) -> bool:
    """Is there a file in it (or in its header) that the provider does not have yet?"""
    media = _media_of(content)
    return media is not None and not (media.media_id or media.link)


def attach(
    outgoing: Outgoing,
    uploader: Uploader,
    *,
    settings: Settings,
    unit: Unit,
    spool: Callable[[], AbstractContextManager[Path]],
) -> Outgoing:
    """The same message with the provider's id of its file. Uploads where none is known.

    Raises ProviderError: RETRY where the file or the provider is away, PERMANENT where it is gone.
    No transaction is open while bytes move.
    """
    claim, channel = outgoing.claim, outgoing.channel
    assert isinstance(channel, MetaChannel), "only Meta takes uploads; see lend"
    file, media_id = unit(lambda: _find(claim))
    if file is None:
        raise _lost()
    if media_id is None:
        # Long enough for the whole transfer; who took over meanwhile has another attempt.
        if not unit(lambda: _renew(claim, seconds=max(settings.lease_seconds, 200))):
            raise _superseded()
        try:
            with spool() as folder:
                path = files.copy_to(file, folder / "out")
                media_id = uploader.upload(
                    channel, path, file.mime_type, filename=file.original_filename
                )
        except DomainError as error:
            raise _away(error) from error
        unit(lambda: remember_upload(file.id, claim.number_id, media_id))
    content = _with_id(outgoing.message.content, media_id)
    return replace(outgoing, message=replace(outgoing.message, content=content))


def lend(outgoing: Outgoing, folder: Path, *, settings: Settings, unit: Unit) -> Outgoing:
    """The same message with its file on this machine's disk, for a provider that takes the bytes
    with the message (WPPConnect). `folder` lives as long as the call.

    Raises ProviderError as `attach` does. The lease grows by what a large file takes.
    """
    claim = outgoing.claim
    file, _ = unit(lambda: _find(claim))
    if file is None:
        raise _lost()
    if not unit(lambda: _renew(claim, seconds=max(settings.lease_seconds, 200))):
        raise _superseded()
    try:
        path = files.copy_to(file, folder / "out")
    except DomainError as error:
        raise _away(error) from error
    changes = {"path": str(path), "mime_type": file.mime_type, "filename": file.original_filename}
    content: Any = outgoing.message.content
    if isinstance(content, Media):
        content = replace(content, **changes)
    else:
        content = replace(content, header=replace(content.header, **changes))
    return replace(outgoing, message=replace(outgoing.message, content=content))


def forget_upload(claim: Claim) -> None:
    """The provider may not know the id any more: the next try uploads anew."""
    file_id = select(Message.media_file_id).where(Message.id == claim.message_id).scalar_subquery()
    db.session.execute(
        delete(MediaUpload).where(
            MediaUpload.file_id == file_id, MediaUpload.whatsapp_number_id == claim.number_id
        )
    )


def remember_upload(file_id: int, number_id: int, media_id: str) -> None:
    values = {"media_id": media_id, "expires_at": database_now() + KEPT}
    row = insert(MediaUpload).values(file_id=file_id, whatsapp_number_id=number_id, **values)
    db.session.execute(
        row.on_conflict_do_update(index_elements=["file_id", "whatsapp_number_id"], set_=values)
    )


def _find(claim: Claim) -> tuple[File | None, str | None]:
    """The message's file, and its id at the provider while that is good."""
    row = db.session.execute(
        select(File, MediaUpload.media_id)
        .join(Message, Message.media_file_id == File.id)
        .outerjoin(
            MediaUpload,
            (MediaUpload.file_id == File.id)
            & (MediaUpload.whatsapp_number_id == claim.number_id)
            & (MediaUpload.expires_at > database_now()),
        )
        .where(Message.id == claim.message_id, File.deleted_at.is_(None))
    ).one_or_none()
    return (row[0], row[1]) if row else (None, None)


def _renew(claim: Claim, *, seconds: float) -> bool:
    fence = {"queue_id": claim.queue_id, "owner": claim.owner, "attempt": claim.attempt}
    return db.session.execute(RENEW, {**fence, "lease": seconds}).first() is not None


def _media_of(content: Content) -> Media | None:
    if isinstance(content, Media):
        return content
    header = getattr(content, "header", None)
    return header if isinstance(header, Media) else None


def _with_id(content: Content, media_id: str) -> Content:
    if isinstance(content, Media):
        return replace(content, media_id=media_id, path=None)
    with_header: Any = content
    return replace(with_header, header=replace(with_header.header, media_id=media_id, path=None))


def _lost() -> ProviderError:
    return ProviderError(
        "The file of this message is no longer there.", effect=Effect.PERMANENT, code="file_lost"
    )


def _superseded() -> ProviderError:
    return ProviderError("Somebody else sends it.", effect=Effect.RETRY, code="superseded")


def _away(error: DomainError) -> ProviderError:
    if error.http_status == 404:
        return _lost()
    return ProviderError(
        "Files cannot be read right now.", effect=Effect.RETRY, code="store", detail=error.code
    )
