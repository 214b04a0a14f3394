"""A chat of the usual people's, as the dialogs of a chat meet it."""

from __future__ import annotations

from typing import Any

from crm.db import db
from crm.models import Chat, User
from tests.cast import Cast
from tests.factories import make_chat, make_message


def chat_of(cast: Cast, agent: User | None, **fields: Any) -> Chat:
    """A committed chat of this agent's with a message in it, or one that waits."""
    chat = make_chat(
        campaign=cast.sales,
        number=cast.number,
        agent=agent,
        queue_id=cast.queue.id,
        **{"status": "active" if agent else "queued", **fields},
    )
    make_message(chat)
    db.session.commit()
    return chat


def read(chat: Chat) -> Chat:
    """As it stands in the database now."""
    db.session.expire_all()
    return db.session.get_one(Chat, chat.id)
