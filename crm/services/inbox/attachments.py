"""The file of a message, as a bubble shows it: here, on its way, or why it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crm.lib.media import types
from crm.models import FetchStatus, File, Message
from crm.services.media.faults import fault_of

# The largest a picture gets in a bubble, and the smallest, in CSS pixels.
MOST = 320
LEAST = 96
BARS = 64
# (width, height) of the waveform's drawing: a bar each 3 units.
WAVE = (BARS * 3, 28)
KINDS = frozenset({"image", "video", "audio", "document", "sticker"})


@dataclass(frozen=True)
class Attachment:
    """`state`: here, coming (perhaps after a fault, `reason`), failed, missing (nobody asked yet).

    `reason` is an English msgid. `box` are the pixels that a picture takes in the page.
    """

    state: str
    kind: str
    name: str
    url: str = ""
    mime_type: str = ""
    size_bytes: int | None = None
    seconds: int | None = None
    pages: int | None = None
    is_locked: bool = False
    box: tuple[int, int] = (MOST, MOST)
    has_thumbnail: bool = False
    wave: str = ""
    is_voice: bool = False
    reason: str = ""

    @property
    def form(self) -> str:
        """'PDF', 'DOCX': what stands on a document's sheet."""
        tail = self.name.rpartition(".")[2] if "." in self.name else ""
        return (tail if 0 < len(tail) <= 5 else types.ending(self.mime_type)).upper()

    @property
    def is_shown(self) -> bool:
        """Is it a picture (or film) that can be drawn in the page?"""
        return self.state == "here" and types.plain(self.mime_type) in types.INLINE


def attachment_of(
    message: Message, file: File | None, fetch_status: FetchStatus | None, fetch_code: str | None
) -> Attachment | None:
    """None for a message without a file."""
    kind = str(message.message_type)
    if kind == "template" and file is not None:
        # The header's picture, film or document.
        kind = str((file.meta or {}).get("kind", "document"))
    if kind not in KINDS:
        return None
    meta = message.meta or {}
    told: dict[str, Any] = meta.get("media") or {}
    shown = types.given_name(told.get("filename")) or ""
    is_voice = bool(meta.get("voice"))
    if file is not None and file.deleted_at is None:
        return _here(kind, file, shown or file.original_filename, is_voice)
    state, reason = _state(fetch_status, fetch_code)
    mime = str(told.get("mime_type") or message.media_mime_type or "")
    return Attachment(state, kind, shown, mime_type=mime, is_voice=is_voice, reason=reason)


def _state(status: FetchStatus | None, code: str | None) -> tuple[str, str]:
    if status in (FetchStatus.PENDING, FetchStatus.PROCESSING):
        return "coming", fault_of(code).words if code else ""
    if status is FetchStatus.FAILED:
        return "failed", fault_of(code).words
    return "missing", ""


def _here(kind: str, file: File, name: str, is_voice: bool) -> Attachment:
    return Attachment(
        "here",
        kind,
        name,
        url=file.url,
        mime_type=file.mime_type,
        size_bytes=file.size_bytes,
        seconds=file.duration_seconds,
        pages=(file.meta or {}).get("pages"),
        is_locked=bool((file.meta or {}).get("locked")),
        box=fit(file.width, file.height),
        has_thumbnail=file.thumbnail_path is not None,
        wave=draw_wave((file.meta or {}).get("peaks") or []),
        is_voice=is_voice,
    )


def fit(width: int | None, height: int | None) -> tuple[int, int]:
    """The box of a picture: never larger than it is, never a sliver, known before it has come."""
    if not width or not height:
        return MOST, MOST * 3 // 4
    scale = min(MOST / width, MOST / height, 1.0)
    return (
        min(max(round(width * scale), LEAST), MOST),
        min(max(round(height * scale), LEAST), MOST),
    )


def draw_wave(peaks: list[Any]) -> str:
    """The path of a waveform, a stroke for each bar; a flat line of dots where nothing is known."""
    middle = WAVE[1] / 2
    strokes = []
    for at in range(BARS):
        peak = peaks[at] if at < len(peaks) and isinstance(peaks[at], int) else 0
        half = max(0.5, min(peak, 100) / 100 * (middle - 2))
        strokes.append(f"M{at * 3 + 1.5:g} {middle - half:.1f}v{2 * half:.1f}")
    return "".join(strokes)
