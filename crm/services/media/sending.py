"""From an uploaded file to a message of ours in the queue."""

from __future__ import annotations

from uuid import UUID

from crm.errors import Conflict
from crm.lib.media import types
from crm.models import Chat, File, Message, User
from crm.providers.outbound import Media, MediaKind
from crm.services.messages.outbound import queue_outbound


class SentAlready(Conflict):
    code = "sent_already"
    message = "This file has been sent already."


def queue_file(
    chat: Chat,
    file: File,
    *,
    author: User | None,
    caption: str = "",
    client_key: UUID | None = None,
    reply_to: Message | None = None,
) -> Message:
    """Write the message of a file and queue it, as `queue_outbound` does; its errors rise.

    What kind it is was decided when it was uploaded. A sound carries no caption. Raises SentAlready
    for a file that belongs to another message.
    """
    message = queue_outbound(
        chat,
        describe_file(file, caption=caption),
        author=author,
        client_key=client_key,
        reply_to=reply_to,
        file=file,
    )
    if file.related_entity_id not in (None, message.id):
        raise SentAlready
    file.related_entity_type, file.related_entity_id = "message", message.id
    message.media_url = file.url
    return message


def describe_file(file: File, *, caption: str = "") -> Media:
    """A file as what leaves; the provider's id comes with the upload."""
    facts = file.meta or {}
    kind = MediaKind(facts.get("kind", "document"))
    return Media(
        kind=kind,
        mime_type=types.plain(file.mime_type),
        caption=caption.strip() or None if kind is not MediaKind.AUDIO else None,
        filename=file.original_filename if kind is MediaKind.DOCUMENT else None,
        voice=bool(facts.get("voice")),
    )
