"""Who may have a file: whoever may see what it belongs to."""

from __future__ import annotations

from sqlalchemy import exists, select

from crm.db import db
from crm.errors import NotFound
from crm.models import Chat, File, Message
from crm.permissions import Scope, visible_chats


def load_file(scope: Scope, file_id: int) -> File:
    """The file, if this person may have it; NotFound otherwise, whether it exists or not.

    A message's file: who may see its chat (and holds `files.read`), and who uploaded it while it
    has not been sent. What a revoked message carried needs `messages.read_revoked`. A template's
    sample: who reads templates.
    """
    file = db.session.get(File, file_id)
    if file is None or file.deleted_at is not None or not _may_have(scope, file):
        raise NotFound
    return file


def find_public(filename: str) -> File | None:
    """A logo or an avatar by its unguessable name."""
    return db.session.scalar(
        select(File).where(
            File.filename == filename, File.is_public.is_(True), File.deleted_at.is_(None)
        )
    )


def _may_have(scope: Scope, file: File) -> bool:
    if file.is_public:
        return True
    if file.purpose == "template_sample":
        return scope.can("templates.read")
    if file.purpose != "message" or not scope.can("files.read"):
        return False
    if file.uploaded_by_user_id == scope.user_id and file.related_entity_id is None:
        return True
    stands = (
        select(Message.id)
        .join(Chat, Chat.id == Message.chat_id)
        .where(Message.media_file_id == file.id, visible_chats(scope))
    )
    if not scope.can("messages.read_revoked"):
        stands = stands.where(Message.deleted_at.is_(None))
    return bool(db.session.scalar(select(exists(stands))))
