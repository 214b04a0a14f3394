"""What files are for, how large they may be, and what WhatsApp takes.

Source of WhatsApp's limits: Meta's Cloud API, media reference (audio and video 16 MB, images 5 MB,
documents 100 MB).
"""

from __future__ import annotations

from dataclasses import dataclass

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Purpose:
    """`is_public`: served to anybody who knows its unguessable address. `entity` is what the file
    belongs to (files.related_entity_type)."""

    name: str
    entity: str
    most_bytes: int
    is_public: bool = False


MESSAGE = Purpose("message", "message", 100 * MEGABYTE)
AVATAR = Purpose("avatar", "user", 8 * MEGABYTE, is_public=True)
LOGO = Purpose("logo", "setting", 4 * MEGABYTE, is_public=True)
TEMPLATE_SAMPLE = Purpose("template_sample", "template", 16 * MEGABYTE)


@dataclass(frozen=True)
class Limits:
    """What one kind of message may carry: bytes at most, and MIME types without parameters."""

    most_bytes: int
    types: frozenset[str]


LIMITS = {
    "image": Limits(5 * MEGABYTE, frozenset({"image/jpeg", "image/png"})),
    "video": Limits(16 * MEGABYTE, frozenset({"video/mp4", "video/3gpp"})),
    "audio": Limits(
        16 * MEGABYTE,
        frozenset({"audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"}),
    ),
    "document": Limits(100 * MEGABYTE, frozenset()),
}
# Documents of these types are on Meta's list; others are mostly taken, and nobody promises it.
SURE_DOCUMENTS = frozenset(
    {
        "text/plain",
        "application/pdf",
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    }
)
# What a picture may be before we make a JPEG or PNG of it.
PICTURES = frozenset({"image/jpeg", "image/png", "image/webp", "image/bmp", "image/tiff"})
# What comes in may be larger than what may go out: kinds of the customer's messages, in bytes.
INBOUND_CAPS = {
    "image": 16 * MEGABYTE,
    "sticker": 2 * MEGABYTE,
    "audio": 32 * MEGABYTE,
    "video": 100 * MEGABYTE,
    "document": 100 * MEGABYTE,
}
