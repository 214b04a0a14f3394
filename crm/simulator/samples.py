"""Ready-made things that a customer sends with one press."""

import base64
import binascii
import json
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
    "order": (
        "order",
        {
            "catalog_id": "700000000000001",
            "text": "Para mañana, por favor",
            "product_items": [
                {
                    "product_retailer_id": "FREIDORA-4L",
                    "quantity": 1,
                    "item_price": 289900,
                    "currency": "COP",
                },
                {
                    "product_retailer_id": "BOLSAS-X50",
                    "quantity": 2,
                    "item_price": 12500,
                    "currency": "COP",
                },
            ],
        },
    ),
    "form": (
        "interactive",
        {
            "type": "nfm_reply",
            "nfm_reply": {
                "name": "flow",
                "body": "Sent",
                "response_json": json.dumps(
                    {"flow_token": "t", "ciudad": "Cali", "fecha": "sábado", "personas": 4}
                ),
            },
        },
    ),
    "permission": (
        "interactive",
        {
            "type": "call_permission_reply",
            "call_permission_reply": {"response": "accept", "response_source": "user_action"},
        },
    ),
    "ad": ("text", {"body": "Hola, vi su anuncio. ¿Todavía hay?"}),
}
FURTHER: dict[str, Row] = {
    "unsupported": {"errors": [status_error(131051)]},
    "ad": {
        "referral": {
            "source_url": "https://fb.me/3cr4Wqqkv",
            "source_id": "120226305854810726",
            "source_type": "ad",
            "headline": "Freidoras de aire, 20 % menos",
            "body": "Solo esta semana, con envío gratis en Bogotá y Medellín.",
            "media_type": "image",
            "image_url": "https://scontent.xx.fbcdn.net/v/anuncio.jpg",
            "ctwa_clid": "Aff-n8ZTODiE79d22KtAwQKj9e",
        }
    },
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
    """What else the webhook carries: why it is unsupported, which advertisement it came from."""
    return FURTHER.get(name, {})


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
