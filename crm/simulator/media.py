"""Files that travel: uploaded by the CRM or sent by a customer, kept in the data folder."""

import hashlib
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from crm.simulator import wire
from crm.simulator.errors import GraphError, invalid_parameter, known_error, unknown_object
from crm.simulator.world import Row, World, now

if TYPE_CHECKING:
    from crm.simulator.config import Settings

URL_SECONDS = 5 * 60
UPLOADED_DAYS = 30
RECEIVED_DAYS = 7
MEGABYTE = 1024 * 1024
DOCUMENTS = (
    "text/plain",
    "application/pdf",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    # Not on Meta's list, and taken all the same.
    "application/zip",
    "text/csv",
)
# MIME type: (kind, largest size in bytes)
ALLOWED = {
    **dict.fromkeys(
        ("audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"),
        ("audio", 16 * MEGABYTE),
    ),
    **dict.fromkeys(("image/jpeg", "image/png"), ("image", 5 * MEGABYTE)),
    **dict.fromkeys(("video/mp4", "video/3gpp"), ("video", 16 * MEGABYTE)),
    "image/webp": ("sticker", 500 * 1024),
    **dict.fromkeys(DOCUMENTS, ("document", 100 * MEGABYTE)),
}
LARGEST = 100 * MEGABYTE


class MediaStore:
    """Media by id; the bytes are files, the rest lives in the journal."""

    def __init__(self, world: World, settings: "Settings") -> None:
        self._world = world
        self._base_url = settings.base_url
        self._folder = settings.data_dir / "media"
        self._folder.mkdir(parents=True, exist_ok=True)
        # Links given out: token -> (media id, good until, on the monotonic clock).
        self._links: dict[str, tuple[str, float]] = {}

    def keep(self, content: bytes, mime_type: str, *, origin: str, filename: str = "") -> Row:
        """Store a file; `origin` is `uploaded` (by the business) or `received` (by it)."""
        media_id = wire.new_numeric_id()
        (self._folder / media_id).write_bytes(content)
        row = {
            "id": media_id,
            "mime_type": mime_type,
            "sha256": hashlib.sha256(content).hexdigest(),
            "file_size": len(content),
            "origin": origin,
            "filename": filename,
            "at": now(),
        }
        self._world.record({"e": "media", "media": row})
        return row

    def upload(self, content: bytes, mime_type: str, *, filename: str) -> Row:
        """An upload by the business, held against Meta's list of types and sizes."""
        plain = mime_type.partition(";")[0].strip().lower()
        if plain not in ALLOWED:
            raise invalid_parameter(
                "Param file must be a file with one of the following types: "
                f"{', '.join(sorted(ALLOWED))}. Received file of type '{mime_type}'."
            )
        if not content:
            raise invalid_parameter("Param file must not be empty.")
        kind, largest = ALLOWED[plain]
        if len(content) > largest:
            raise known_error(
                131053, details=f"File is too big: {len(content)} bytes; {kind} allows {largest}."
            )
        return self.keep(content, mime_type, origin="uploaded", filename=filename)

    def find(self, media_id: str) -> Row | None:
        """The row of a file that has not expired, else None."""
        row = self._world.media.get(media_id)
        if row is None:
            return None
        days = UPLOADED_DAYS if row["origin"] == "uploaded" else RECEIVED_DAYS
        return row if now() - row["at"] < days * 86400 else None

    def check_sendable(self, media_id: str, kind: str) -> None:
        """Refuse an id that is nobody's or a file of another kind."""
        row = self.find(media_id)
        if row is None or row["origin"] != "uploaded":
            raise invalid_parameter(
                f"Param {kind}['id'] is not a valid whatsapp business account media attachment ID"
            )
        actual = ALLOWED[row["mime_type"].partition(";")[0].strip().lower()][0]
        if actual != kind and kind != "document":
            raise known_error(131053, details=f"Unsupported {kind} mime type {row['mime_type']}.")

    def describe(self, media_id: str) -> Row:
        """The answer of GET /{media id}: a link good for five minutes."""
        row = self.find(media_id)
        if row is None:
            raise unknown_object(media_id, verb="get")
        for token, (_, until) in list(self._links.items()):
            if until < time.monotonic():
                del self._links[token]
        token = secrets.token_urlsafe(16)
        self._links[token] = (media_id, time.monotonic() + URL_SECONDS)
        return {
            "url": f"{self._base_url}/whatsapp_business/attachments/?mid={media_id}&hash={token}",
            "mime_type": row["mime_type"],
            "sha256": row["sha256"],
            "file_size": row["file_size"],
            "id": media_id,
            "messaging_product": "whatsapp",
        }

    def download(self, media_id: str, token: str) -> tuple[Path, str]:
        """The file behind a link; 404 when the link has expired, as Meta does."""
        found, until = self._links.get(token, ("", 0.0))
        row = self.find(media_id)
        if found != media_id or until < time.monotonic() or row is None:
            raise GraphError(
                404, {"message": "Media URL has expired", "type": "OAuthException", "code": 100}
            )
        return self._folder / media_id, row["mime_type"]

    def path(self, media_id: str) -> Path:
        """Where the bytes lie, for the phone page."""
        return self._folder / media_id

    def delete(self, media_id: str) -> None:
        if self.find(media_id) is None:
            raise unknown_object(media_id, verb="delete")
        self._world.record({"e": "media_deleted", "id": media_id})
        (self._folder / media_id).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget all files."""
        self._links.clear()
        for path in self._folder.iterdir():
            path.unlink()
