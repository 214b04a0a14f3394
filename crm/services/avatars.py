"""The picture of a person: one at a time, made anew from the upload, small enough for a rail."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from crm.db import db
from crm.models import File, User
from crm.services import audit, files
from crm.services.files import AVATAR, Stored
from crm.services.files.receiving import Readable


def store_avatar(stream: Readable, *, name: str, data_dir: Path) -> Stored:
    """The uploaded picture as ours: its kind told by its bytes, a square written anew.

    Outside of transactions. Raises Invalid, FileTooLarge or StoreUnavailable; nothing is kept then.
    """
    with files.spool(data_dir) as folder:
        source = files.receive(stream, folder, most=AVATAR.most_bytes)
        prepared = files.prepare_portrait(source, name=name, folder=folder)
        return files.store_file(prepared)


def set_avatar(user: User, stored: Stored) -> None:
    """Show this one from now on; the one before goes."""
    _drop_old(user)
    file = files.create_file(stored, purpose=AVATAR, owner=("user", user.id), uploaded_by=user)
    user.avatar_url = file.url
    audit.record("profile.avatar", user, meta={"file_id": file.id})


def remove_avatar(user: User) -> None:
    if user.avatar_url is None:
        return
    _drop_old(user)
    user.avatar_url = None
    audit.record("profile.avatar", user, meta={"file_id": None})


def _drop_old(user: User) -> None:
    old = select(File).where(
        File.related_entity_type == AVATAR.entity,
        File.related_entity_id == user.id,
        File.purpose == AVATAR.name,
        File.deleted_at.is_(None),
    )
    for file in db.session.scalars(old):
        files.delete_file(file)
