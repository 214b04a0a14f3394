"""The catalogue of tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select, update

from crm.db import db
from crm.errors import Conflict, NotFound
from crm.lib.text import fold
from crm.models import ChatTag, ClientTag, Tag
from crm.services.kit import ListQuery, Page, WrongField, find_page


def load_tag(tag_id: int, *, lock: bool = False) -> Tag:
    statement = select(Tag).where(Tag.id == tag_id)
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    tag = db.session.scalar(statement)
    if tag is None:
        raise NotFound
    return tag


def find_tags(query: ListQuery) -> Page:
    """Rows of (tag, clients, chats) that carry it."""

    def carried(model: Any) -> Any:
        counted = select(func.count()).select_from(model).where(model.tag == Tag.name)
        return counted.correlate(Tag).scalar_subquery()

    statement = select(Tag, carried(ClientTag), carried(ChatTag))
    if status := query.filters.get("status"):
        statement = statement.where(Tag.is_active.is_(status == "on"))
    return find_page(
        statement,
        query,
        search=(Tag.label,),
        sorts={"name": Tag.name, "created": Tag.created_at},
        default=(Tag.name,),
        key=Tag.id,
    )


def state_of(tag: Tag) -> dict[str, Any]:
    return {"label": tag.label, "colour": tag.colour, "is_active": tag.is_active}


def create_tag(values: Mapping[str, Any], *, created_by: int) -> Tag:
    tag = Tag(created_by=created_by)
    _write(tag, values)
    db.session.add(tag)
    db.session.flush()
    return tag


def update_tag(tag: Tag, values: Mapping[str, Any]) -> Tag:
    """Rename and recolour; what carries the tag follows the name."""
    before = tag.name
    _write(tag, values)
    if tag.name != before:
        for model in (ClientTag, ChatTag):
            db.session.execute(update(model).where(model.tag == before).values(tag=tag.name))
    db.session.flush()
    return tag


def delete_tag(tag: Tag) -> None:
    """Conflict while something carries it; then it can be switched off."""
    for model in (ClientTag, ChatTag):
        if db.session.scalar(select(model.id).where(model.tag == tag.name).limit(1)):
            raise Conflict("Chats or customers carry this tag. Switch it off instead of deleting.")
    db.session.delete(tag)


def _write(tag: Tag, values: Mapping[str, Any]) -> None:
    name = fold(values["label"]).strip()
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"tag:{name}"))))
    with db.session.no_autoflush:
        taken = db.session.scalar(select(Tag).where(Tag.name == name, Tag.id != (tag.id or 0)))
    if taken is not None:
        raise WrongField("There is the tag %(name)s already.", field_name="label", name=taken.label)
    tag.name, tag.label = name[:50], values["label"]
    tag.colour, tag.is_active = values["colour"], values["is_active"]
