"""The files of a chat, for its panel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from crm.db import db
from crm.models import Chat, File, Message
from crm.services.inbox.attachments import Attachment, attachment_of

MOST = 60


@dataclass(frozen=True)
class ChatFile:
    """One file: where in the thread it stands, and what it is."""

    message_id: int
    at: datetime
    outbound: bool
    attachment: Attachment


@dataclass(frozen=True)
class ChatFiles:
    """Newest first. `pictures` are shown small, `papers` are documents and sounds by name."""

    pictures: tuple[ChatFile, ...]
    papers: tuple[ChatFile, ...]


def list_files(chat: Chat) -> ChatFiles:
    """The newest files that were sent and received in a chat; stickers and voice notes aside."""
    rows = db.session.execute(
        select(Message, File)
        .join(File, File.id == Message.media_file_id)
        .where(
            Message.chat_id == chat.id,
            Message.deleted_at.is_(None),
            File.deleted_at.is_(None),
            Message.message_type.in_(("image", "video", "document", "audio")),
        )
        .order_by(Message.position.desc(), Message.id.desc())
        .limit(MOST)
    )
    found = []
    for message, file in rows:
        attachment = attachment_of(message, file, None, None)
        if attachment is not None and not attachment.is_voice:
            outbound = message.direction == "outbound"
            found.append(ChatFile(message.id, message.position, outbound, attachment))
    pictures = tuple(row for row in found if row.attachment.kind in {"image", "video"})
    return ChatFiles(pictures, tuple(row for row in found if row not in pictures))
