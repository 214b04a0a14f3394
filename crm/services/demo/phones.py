"""What lies in the demo customers' own phones: the same conversations, as their side keeps them.

The simulated WhatsApp starts with it. Without it the phones would be empty beside a full inbox, and
every answer in a demo chat would be refused, because its customer never wrote.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import contains_eager

from crm.db import db
from crm.models import (
    ClientIdentity,
    Direction,
    IdentityKind,
    Message,
    MessageType,
    Provider,
    WhatsappNumber,
)

Row = dict[str, Any]

# Shown as a line of text on the phone: the files themselves lie with us, not with the provider.
WORDS = {
    MessageType.IMAGE: "📷 Foto",
    MessageType.VIDEO: "🎬 Video",
    MessageType.AUDIO: "🎤 Nota de voz",
    MessageType.DOCUMENT: "📄 Documento",
    MessageType.STICKER: "Sticker",
    MessageType.CALL: "📞 Llamada perdida",
}
# Kinds whose metadata is Meta's own object, under Meta's own name.
SAME = {
    MessageType.LOCATION: "location",
    MessageType.REACTION: "reaction",
    MessageType.CONTACT: "contacts",
    MessageType.ORDER: "order",
}
# Who hides the number has one all the same; it is only never shown to the business.
HIDDEN_PHONES = 573_990_000_000


def describe_phones() -> Row:
    """`customers` and `messages` as `crm.simulator.seed.take_history` reads them."""
    customers: dict[int, Row] = {}
    for identity in db.session.scalars(
        select(ClientIdentity).order_by(ClientIdentity.last_seen_at, ClientIdentity.id)
    ):
        customers.setdefault(identity.client_id, _customer(identity))
    rows = db.session.scalars(
        select(Message)
        .join(Message.whatsapp_number)
        .where(WhatsappNumber.provider == Provider.META)
        .options(contains_eager(Message.whatsapp_number))
        .order_by(Message.position, Message.id)
    ).all()
    return {
        "customers": list(customers.values()),
        "messages": [_message(row, customers[row.client_id]["wa_id"]) for row in rows],
    }


def _customer(identity: ClientIdentity) -> Row:
    hidden = identity.kind is IdentityKind.USER_ID
    customer: Row = {
        "wa_id": str(HIDDEN_PHONES + identity.client_id) if hidden else identity.value,
        "name": identity.profile_name,
        "hidden": hidden,
    }
    if hidden:
        customer["user_id"] = identity.value
    if identity.username:
        customer["username"] = identity.username
    return customer


def _message(row: Message, wa_id: str) -> Row:
    number = row.whatsapp_number
    meta = row.meta or {}
    kind, content = _content(row, meta)
    message: Row = {
        "wamid": row.whatsapp_message_id,
        "number_id": number.meta_phone_number_id,
        "wa_id": wa_id,
        "direction": "in" if row.direction is Direction.INBOUND else "out",
        "type": kind,
        "at": row.position.timestamp(),
        "status": row.status.value,
        "content": content,
        "revoked": row.deleted_at is not None,
        "edited": "edited" in meta,
    }
    if quote := meta.get("quote"):
        sender = number.phone_number.removeprefix("+")
        message["context"] = {"from": sender, "id": quote["message_id"]}
    return message


def _content(row: Message, meta: Row) -> tuple[str, Row]:
    """The message under its kind's own name, as Meta's webhook has it."""
    for kind, name in SAME.items():
        if row.message_type is kind and name in meta:
            return name, meta[name]
    words = WORDS.get(row.message_type)
    return "text", {"body": ": ".join(part for part in (words, row.content) if part)}
