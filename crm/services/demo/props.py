"""The files of the demo's conversations: drawn, kept in the store, and hung on their messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crm.lib.media import workshop
from crm.models import Message, User
from crm.services import files

ROOT = Path(__file__).parents[3]
DRAWING = Path(__file__).with_name("drawing.py")
SECONDS = 60


@dataclass(frozen=True)
class Prop:
    """What a file is sent as. The names are those of drawing.py."""

    kind: str
    mime_type: str
    is_voice: bool = False


PROPS = {
    "cafetera": Prop("image", "image/jpeg"),
    "licuadora": Prop("image", "image/jpeg"),
    "pago": Prop("image", "image/png"),
    "gracias": Prop("sticker", "image/webp"),
    "cotizacion": Prop("document", "application/pdf"),
    "pedido": Prop("document", "application/pdf"),
    "luz": Prop("video", "video/mp4"),
    "voz": Prop("audio", "audio/ogg; codecs=opus", is_voice=True),
}
Props = Mapping[str, files.Stored]


def make_props(data_dir: Path) -> dict[str, files.Stored]:
    """Draw the files and keep their bytes; takes about a second. No transaction is open.

    Raises StoreUnavailable, and CalledProcessError where they cannot be drawn.
    """
    with files.spool(data_dir) as folder:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-P", str(DRAWING), str(folder)],
            stdout=subprocess.PIPE,
            env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
            timeout=SECONDS,
            check=True,
        )
        told = json.loads(done.stdout)
        return {
            name: files.store_file(_prepared(prop, told[name], folder / name))
            for name, prop in PROPS.items()
        }


def _prepared(prop: Prop, told: dict[str, Any], folder: Path) -> files.Prepared:
    return files.Prepared(
        folder / told["file"],
        prop.kind,
        prop.mime_type,
        told["file"],
        workshop.read_look(told, folder),
        is_voice=prop.is_voice,
    )


def prop_meta(prop: Prop) -> dict[str, Any]:
    """The metadata of a message with this file."""
    media = {"media": {"mime_type": prop.mime_type}}
    return {**media, "voice": True} if prop.is_voice else media


def hang_prop(message: Message, stored: files.Stored, *, author: User | None) -> None:
    """Give a message that has an id its file."""
    file = files.create_file(
        stored, purpose=files.MESSAGE, owner=("message", message.id), uploaded_by=author
    )
    file.created_at = message.position
    message.media_file_id, message.media_url = file.id, file.url
    message.media_mime_type = file.mime_type
