"""What a file is, told by its first bytes; names and announced types are only ever hints.

Sources: the formats' own signatures; ISO 14496-12 for `ftyp`, RFC 3533 and 7845 for Ogg and Opus.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from crm.lib.text import clean

# How many bytes `sniff` looks at.
HEAD = 4096
UNKNOWN = "application/octet-stream"
OGG_OPUS = "audio/ogg; codecs=opus"

_BRANDS = {
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"qt  ": "video/quicktime",
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"hevc": "image/heic",
    b"mif1": "image/heic",
}
_STARTS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"#!AMR\n", "audio/amr"),
    (b"fLaC", "audio/flac"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OFFICE = "application/vnd.openxmlformats-officedocument."
# Containers whose inside we do not open: the name's ending says which of the family it is.
_INSIDE = {
    "docx": (_ZIP, _OFFICE + "wordprocessingml.document"),
    "xlsx": (_ZIP, _OFFICE + "spreadsheetml.sheet"),
    "pptx": (_ZIP, _OFFICE + "presentationml.presentation"),
    "doc": (_OLE, "application/msword"),
    "xls": (_OLE, "application/vnd.ms-excel"),
    "ppt": (_OLE, "application/vnd.ms-powerpoint"),
}
_ENDINGS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
    "audio/ogg": "ogg",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/aac": "aac",
    "audio/amr": "amr",
    "audio/wav": "wav",
    "video/mp4": "mp4",
    "video/3gpp": "3gp",
    "video/webm": "webm",
    "application/pdf": "pdf",
    "application/zip": "zip",
    "text/plain": "txt",
} | {mime: ending for ending, (_, mime) in _INSIDE.items()}
# Documents whose first page we can draw. The files themselves are never shown, only that picture.
PAPERS = frozenset({"application/pdf"})
# May be shown inside a page of ours. Never anything that a browser could read as a document.
INLINE = frozenset(
    {
        "image/jpeg", "image/png", "image/gif", "image/webp",
        "audio/ogg", "audio/mpeg", "audio/mp4", "audio/aac", "audio/wav",
        "video/mp4", "video/3gpp", "video/webm",
    }
)  # fmt: skip


def sniff(head: bytes, *, name: str = "") -> str:
    """The MIME type of a file that begins with `head` ("audio/ogg; codecs=opus"), by its bytes.

    `name` only decides within a family that shares its first bytes (docx and xlsx are both zip).
    What nobody knows is text/plain if it reads as text, else application/octet-stream.
    """
    head = head[:HEAD]
    for start, mime in _STARTS:
        if head.startswith(start):
            return mime
    return _riff(head) or _iso(head) or _ogg(head) or _frames(head) or _family(head, name)


def plain(mime: str | None) -> str:
    """'audio/ogg; codecs=opus' -> 'audio/ogg'."""
    return (mime or "").partition(";")[0].strip().lower()


def ending(mime: str) -> str:
    """'image/jpeg' -> 'jpg'; 'bin' for what we have no name for."""
    return _ENDINGS.get(plain(mime), "bin")


def clean_name(name: str | None, *, mime: str = "") -> str:
    """A file name that harms nobody: no folders, controls or direction marks, 200 characters.

    Empty, or only dots, becomes "archivo" with the ending of `mime`.
    """
    name = unicodedata.normalize("NFC", clean(name or ""))
    name = re.split(r"[/\\]", name)[-1]
    name = "".join(c for c in name if unicodedata.category(c) not in {"Cc", "Cf", "Zl", "Zp"})
    name = " ".join(name.split()).strip(". ")
    if not name:
        return f"archivo.{ending(mime)}"
    if len(name) <= 200 and len(name.encode()) <= 240:
        return name
    stem, dot, tail = name.rpartition(".")
    if not dot or len(tail) > 10:
        stem, dot, tail = name, "", ""
    room = 240 - len(f"{dot}{tail}".encode())
    stem = stem.encode()[:room].decode("utf-8", "ignore")[: 200 - len(dot + tail)]
    return stem.rstrip(". ") + dot + tail


def given_name(name: Any) -> str | None:
    """What a customer calls a file, cleaned: rows and bubbles show it, and it must not deceive."""
    return clean_name(name) if isinstance(name, str) and name.strip() else None


def _riff(head: bytes) -> str | None:
    if head[:4] != b"RIFF":
        return None
    return {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}.get(head[8:12])


def _iso(head: bytes) -> str | None:
    if head[4:8] != b"ftyp":
        return None
    brand = head[8:12]
    if brand.startswith(b"3g"):
        return "video/3gpp"
    return _BRANDS.get(brand, "video/mp4")


def _ogg(head: bytes) -> str | None:
    if head[:4] == b"\x1aE\xdf\xa3":
        return "video/x-matroska" if b"matroska" in head[:64] else "video/webm"
    if head[:4] != b"OggS":
        return None
    if b"OpusHead" in head[:128]:
        return OGG_OPUS
    return "video/ogg" if b"\x80theora" in head[:256] else "audio/ogg"


def _frames(head: bytes) -> str | None:
    """MP3 and AAC without a head of their own: the sync bits of a first frame."""
    if len(head) < 2 or head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0:
        return "audio/aac"
    return "audio/mpeg" if head[1] & 0xE0 == 0xE0 and head[1] & 0x06 else None


def _family(head: bytes, name: str) -> str:
    found = _INSIDE.get(name.rpartition(".")[2].lower())
    if found and head.startswith(found[0]):
        return found[1]
    if head.startswith(_ZIP):
        return "application/zip"
    return "text/plain" if _reads_as_text(head) else UNKNOWN


def _reads_as_text(head: bytes) -> bool:
    """UTF-8 (perhaps cut in its last character) or latin-1, without control characters."""
    if not head or re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]", head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3 or not re.search(rb"[\x80-\x9f]", head)
    return True
