"""What the server posts, on its way in: read, completed with what is known of people, stored.

A file in the body was cut out while it came in (crm/lib/base64_cutter.py) and lies in the spool;
the ledger keeps the body with the file's name in its place. The media job takes it from there, or,
where it is gone, asks the server for it again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crm.lib.base64_cutter import Cut, Piece
from crm.providers.base import EchoedMessage, Event, InboundMessage, Other
from crm.providers.meta.webhook import read_json
from crm.providers.wppconnect.kinds import MEDIA
from crm.providers.wppconnect.webhook import SESSION_EVENTS, parse
from crm.services.messages.ledger import Post

Json = dict[str, Any]
# A text that was taken for a file is put back; longer ones than this nobody writes.
LONGEST_TEXT = 200_000
ABANDONED_SECONDS = 24 * 3600
# Events whose body is the file of a message.
CARRIERS = frozenset({"onmessage", "onselfmessage"})


@dataclass(frozen=True)
class Arrival:
    """One POST, read. `news` is about the session itself."""

    post: Post
    spooled: Path | None = None

    @property
    def news(self) -> Other | None:
        for event in self.post.events:
            if isinstance(event, Other) and event.field in SESSION_EVENTS:
                return event
        return None

    @property
    def keeps_file(self) -> bool:
        """Whether the message that was read wants the file that was cut out."""
        return any(
            isinstance(event, InboundMessage | EchoedMessage) and _spool_of(event) is not None
            for event in self.post.events
        )


def read_arrival(cut: Cut, *, number_id: int, folder: Path) -> Arrival:
    """Read one POST. ValueError for what is no JSON.

    Of the pieces that were cut out, the message's own file stays in the spool; everything else is
    put back (a long text of letters only, a QR code) or left out.
    """
    body = read_json(cut.json)
    if not isinstance(body, dict):
        cut.discard()
        return Arrival(Post(cut.json, parse(body, number_id=number_id), provider="wppconnect"))
    has_file = body.get("type") in MEDIA and body.get("event") in CARRIERS
    piece = cut.pieces.get(str(body.get("body"))) if has_file else None
    if has_file and piece is None:
        piece = _small_piece(body, folder)
    for name, other in cut.pieces.items():
        if other is not piece:
            _put_back(body, name, cut, is_wanted=not _is_media(body))
    file = {"name": piece.path.name, "size": piece.size, "sha256": piece.sha256} if piece else None
    events = parse(body, number_id=number_id, file=file)
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    post = Post(raw, events, provider="wppconnect", number_id=number_id)
    arrival = Arrival(post, piece.path if piece else None)
    if piece is not None and not arrival.keeps_file:
        piece.path.unlink(missing_ok=True)
    return arrival


def _is_media(body: Json) -> bool:
    return body.get("type") in MEDIA


def _put_back(body: Json, name: str, cut: Cut, *, is_wanted: bool) -> None:
    """Replace a piece's name by its text, or by nothing: an ack of media brings the whole file."""
    piece = cut.pieces[name]
    text = cut.text_of(name) if is_wanted and piece.size < LONGEST_TEXT else None
    for key, value in body.items():
        if value == name:
            body[key] = text
    piece.path.unlink(missing_ok=True)


def _small_piece(body: Json, folder: Path) -> Piece | None:
    """A file so small that it was not cut out: it goes to the spool all the same."""
    try:
        content = base64.b64decode(body.get("body") or "", validate=True)
    except (TypeError, ValueError, binascii.Error):
        content = b""
    body["body"] = None
    if not content:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"cut-{secrets.token_hex(12)}-0"
    path.write_bytes(content)
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    body["body"] = path.name
    return Piece(path, len(content), digest)


def _spool_of(event: Event) -> str | None:
    media = (getattr(event, "metadata", None) or {}).get("media") or {}
    return media.get("spool")


def clear_arrivals(folder: Path) -> int:
    """Remove files that nobody has taken for a day; how many. The server still has them."""
    before = time.time() - ABANDONED_SECONDS
    left = [path for path in folder.glob("cut-*") if path.stat().st_mtime < before]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def read_again(body: bytes, *, number_id: int | None) -> Sequence[Event]:
    """A body of the ledger, for a replay; its file, if the spool still has it, is the one named."""
    found = read_json(body)
    return parse(found, number_id=number_id or 0)
