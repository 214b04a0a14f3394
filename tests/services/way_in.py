"""The way in for tests: deliveries taken as the web door takes them, and what stands afterwards."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import Chat, Message
from crm.providers.meta.webhook import parse
from crm.services.messages.inbound import receive
from crm.services.messages.ledger import Post
from tests.providers.deliveries import SENDER, body, typed

NOW = int(utcnow().timestamp()) - 3600
OURS = "576015550101"


def take_in(*raws: bytes) -> None:
    """Each delivery in a transaction of its own."""
    for raw in raws:
        with atomic():
            receive([Post(raw, parse(raw))])
    db.session.expire_all()


def every(model: Any, **filters: Any) -> list[Any]:
    return list(db.session.scalars(select(model).filter_by(**filters).order_by(model.id)))


def one(model: Any, **filters: Any) -> Any:
    return db.session.scalars(select(model).filter_by(**filters)).one()


def message(wamid: str) -> Message:
    return one(Message, whatsapp_message_id=wamid)  # type: ignore[no-any-return]


def only_chat() -> Chat:
    return one(Chat)  # type: ignore[no-any-return]


def echo(wamid: str, content: str = "Con gusto", *, to: str = SENDER, at: int = NOW) -> bytes:
    """What somebody wrote on the number's own phone."""
    item = {"from": OURS, "to": to, "id": wamid, "timestamp": str(at), "type": "text"}
    item["text"] = {"body": content}  # type: ignore[assignment]
    return body(field="smb_message_echoes", message_echoes=[item])


def react(wamid: str, target: str, emoji: str, at: int = NOW) -> Any:
    return typed(wamid, "reaction", {"message_id": target, "emoji": emoji}, at=at)


def edit(wamid: str, target: str, new: str, at: int = NOW) -> Any:
    inner = {"type": "text", "text": {"body": new}}
    return typed(wamid, "edit", {"original_message_id": target, "message": inner}, at=at)


def revoke(wamid: str, target: str, at: int = NOW) -> Any:
    return typed(wamid, "revoke", {"original_message_id": target}, at=at)


def call(call_id: str, event: str, *, at: int = NOW, **fields: Any) -> bytes:
    """One step of a call that the customer makes."""
    item = {
        "id": call_id,
        "from": SENDER,
        "to": OURS,
        "event": event,
        "direction": "USER_INITIATED",
        "timestamp": str(at),
        **fields,
    }
    return body(field="calls", calls=[item])


def past(*messages: dict[str, Any], thread: str = SENDER, order: int = 1) -> bytes:
    """A piece of the number's history."""
    chunk = {
        "metadata": {"phase": 1, "chunk_order": order, "progress": 50},
        "threads": [{"id": thread, "messages": list(messages)}],
    }
    return body(field="history", history=[chunk])
