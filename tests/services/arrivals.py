"""A chat that comes in at a desk, and what its customer is told."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from crm.db import atomic, db
from crm.models import Chat, Message
from crm.services import routing
from tests.factories import make_chat, make_message
from tests.services.desk import Desk


def arrive_chat(desk: Desk, text: str = "Hola", **fields: Any) -> Chat:
    """A customer writes: the chat with its first message, routed."""
    with atomic():
        chat = make_chat(campaign=desk.campaign, number=desk.number, **fields)
        make_message(chat, content=text)
    return route(chat)


def route(chat: Chat) -> Chat:
    with atomic():
        routing.route_chat(chat.id)
    db.session.expire_all()
    return db.session.get_one(Chat, chat.id)


def said(chat: Chat) -> list[str | None]:
    query = select(Message.content).where(
        Message.chat_id == chat.id, Message.direction == "outbound"
    )
    return list(db.session.scalars(query.order_by(Message.id)))


def set_terms(desk: Desk, **terms: Any) -> None:
    with atomic():
        for name, value in terms.items():
            setattr(desk.campaign, name, value)
