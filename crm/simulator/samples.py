"""Ready-made things that a customer sends with one press."""

import base64
import binascii
from pathlib import Path
from typing import Any

from crm.simulator.customers import CustomerError
from crm.simulator.errors import status_error
from crm.simulator.media import LARGEST, MediaStore
from crm.simulator.world import Row

FOLDER = Path(__file__).parent / "samples"

# name: (type, file, mime type, further fields)
FILES: dict[str, tuple[str, str, str, Row]] = {
    "photo": ("image", "photo.jpg", "image/jpeg", {}),
    "video": ("video", "video.mp4", "video/mp4", {}),
    "voice": ("audio", "voice.ogg", "audio/ogg; codecs=opus", {"voice": True}),
    "sticker": ("sticker", "sticker.webp", "image/webp", {"animated": False}),
    "document": ("document", "pedido.pdf", "application/pdf", {"filename": "pedido.pdf"}),
}
OTHERS: dict[str, tuple[str, Any]] = {
    "location": (
        "location",
        {
            "latitude": 4.5981,
            "longitude": -74.0758,
            "name": "Plaza de Bolívar",
            "address": "Cra. 7 # 11-10, Bogotá",
        },
    ),
    "contact": (
        "contacts",
        [
            {
                "name": {
                    "formatted_name": "Tomás Rincón",
                    "first_name": "Tomás",
                    "last_name": "Rincón",
                },
                "phones": [{"phone": "+57 320 555 0111", "type": "CELL", "wa_id": "573205550111"}],
            }
        ],
    ),
    "unsupported": ("unsupported", {"type": "poll_creation"}),
}


def content(media: MediaStore, name: str) -> tuple[str, Any]:
    """(type, content) of a sample; files become media of their own each time."""
    if name in OTHERS:
        return OTHERS[name]
    if name not in FILES:
        raise CustomerError(f"sample must be one of {', '.join(sorted({*FILES, *OTHERS}))}")
    kind, file, mime_type, more = FILES[name]
    row = media.keep((FOLDER / file).read_bytes(), mime_type, origin="received", filename=file)
    return kind, {**_media(row), **more}


def further(name: str) -> Row:
    """What else the webhook carries: an unsupported message says so in `errors`."""
    return {"errors": [status_error(131051)]} if name == "unsupported" else {}


def file_content(media: MediaStore, file: Any) -> tuple[str, Any]:
    """(type, content) of a file that the customer picked: {base64, mime_type, ...}."""
    if not isinstance(file, dict):
        raise CustomerError("file must be an object with base64 and mime_type.")
    try:
        raw = base64.b64decode(str(file.get("base64") or ""), validate=True)
    except binascii.Error:
        raise CustomerError("file.base64 is not base64.") from None
    if not 0 < len(raw) <= LARGEST:
        raise CustomerError("A file has 1 byte to 100 MB.")
    mime_type = str(file.get("mime_type") or "application/octet-stream")
    kind = mime_type.partition("/")[0]
    if mime_type == "image/webp":
        kind = "sticker"
    elif kind not in ("image", "audio", "video"):
        kind = "document"
    filename = str(file.get("filename") or "")[:240]
    row = _media(media.keep(raw, mime_type, origin="received", filename=filename))
    if kind == "document" and filename:
        row["filename"] = filename
    if kind == "audio":
        row["voice"] = bool(file.get("voice"))
    if kind == "sticker":
        row["animated"] = False
    elif file.get("caption") and kind != "audio":
        row["caption"] = str(file["caption"])[:1024]
    return kind, row


def _media(row: Row) -> Row:
    # In webhooks the hash is base64 of the digest; GET /{media id} answers hex.
    digest = base64.b64encode(bytes.fromhex(row["sha256"])).decode()
    return {"id": row["id"], "mime_type": row["mime_type"], "sha256": digest}
