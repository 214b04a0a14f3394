"""From a message that came in to its file: fetched outside of transactions, checked, kept.

Who may work on it, and until when: claims.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import structlog

from crm.db import db
from crm.lib.media import types, workshop
from crm.lib.media.workshop import Look, Unreadable
from crm.models import AlarmKind, FetchStatus, File, Message
from crm.providers.meta.media import Fetched, FetchFault, MediaInfo, sha256_of_webhook
from crm.services import alarms, files
from crm.services.files.purposes import INBOUND_CAPS
from crm.services.media.claims import Fetch, end, end_with_fault
from crm.services.messages.announcing import announce_ticks, lock_chats

log = structlog.get_logger(__name__)

# Faults of our own store: no customer or provider can mend them.
STORE_FAULTS = ("no_room", "store")


class Superseded(Exception):
    """Somebody else fetches this file by now: whatever was half done is dropped."""


class Source(Protocol):
    """Where a provider keeps what came in."""

    def find(self, channel: Any, media_id: str) -> MediaInfo: ...

    def download(self, channel: Any, url: str, target: BinaryIO, *, most: int) -> Fetched: ...

    def release(self) -> None:
        """The file is in our store: what was put aside for it may go."""


class _Watched:
    """A file whose writer is stopped as soon as the fetch belongs to somebody else."""

    def __init__(self, file: BinaryIO, fetch: Fetch) -> None:
        self._file = file
        self._fetch = fetch

    def write(self, piece: bytes) -> int:
        _check_ours(self._fetch)
        return self._file.write(piece)


def _check_ours(fetch: Fetch) -> None:
    if fetch.is_lost.is_set():
        raise Superseded


def fetch_file(fetch: Fetch, source: Source, folder: Path) -> files.Stored:
    """Fetch the bytes, check and measure them, and keep them. No transaction is open.

    Raises FetchFault with a key of FAULTS, StoreUnavailable, and Superseded.
    """
    target = folder / "given"
    info = source.find(fetch.channel, str(fetch.media["id"]))
    most = INBOUND_CAPS.get(fetch.kind, INBOUND_CAPS["document"])
    if info.size is not None and info.size > most:
        raise FetchFault("too_big")
    with open(target, "wb") as file:
        target_of_ours = cast(BinaryIO, _Watched(file, fetch))
        fetched = source.download(fetch.channel, info.url, target_of_ours, most=most)
    wanted = {info.sha256, sha256_of_webhook(fetch.media.get("sha256"))} - {None}
    if wanted and fetched.sha256 not in wanted:
        raise FetchFault("changed")
    prepared = prepare(target, fetch.kind, fetch.media, folder)
    _check_ours(fetch)
    return files.store_file(prepared)


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
        is_seen = family != "document" or mime in types.PAPERS
        look = workshop.look_at(source, mime, folder=folder) if is_seen else Look()
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
    if end(fetch, FetchStatus.DONE) is None:
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
