"""A customer's number changes: the person stays, the number moves."""

from __future__ import annotations

from datetime import timedelta

import structlog
from sqlalchemy import select, text

from crm.db import database_now, db
from crm.lib.phone import country_of, phone_of, spellings
from crm.models import Client, ClientIdentity, IdentityKind
from crm.providers.base import InboundMessage, Json
from crm.services.clients import merge_clients

log = structlog.get_logger(__name__)

CHANGED = frozenset({"user_changed_number", "customer_changed_number"})
# Who first wrote from the new number so shortly before is the same person.
JUST_BEFORE = timedelta(days=2)

FORGET = text("""
    DELETE FROM client_identities
    WHERE client_id = :client_id AND kind = 'wa_id' AND value = ANY(CAST(:values AS text[]))
""")
ADD = text("""
    INSERT INTO client_identities (client_id, kind, value) VALUES (:client_id, :kind, :value)
    ON CONFLICT (kind, value) DO NOTHING
""")


def new_number_of(message: InboundMessage) -> Json | None:
    """What a notice of a changed number says, or None for any other message."""
    told = (message.metadata or {}).get("system")
    return told if isinstance(told, dict) and told.get("kind") in CHANGED else None


def move_number(client_id: int, message: InboundMessage) -> None:
    """The client's number is now another one. The notice again changes nothing.

    Whoever has the new number here already is the same person, if they came a moment ago; an older
    client has given that number up, and loses it. The old number may get another owner: it is no
    longer a way to recognise this client.
    """
    told = new_number_of(message) or {}
    wa_id = _digits(told.get("wa_id") or told.get("new_wa_id"))
    if wa_id is None:
        return
    at = message.sent_at or database_now()
    owner = _owner_of(wa_id)
    if owner is not None and owner.id != client_id:
        if owner.created_at >= at - JUST_BEFORE:
            _join(client_id, owner)
        else:
            _take_from(owner, wa_id)
    client = db.session.get_one(Client, client_id, with_for_update=True, populate_existing=True)
    if client.deleted_at is not None:
        return
    old = [value for value in spellings(message.sender.wa_id or "") if value]
    db.session.execute(FORGET, {"client_id": client_id, "values": old})
    db.session.execute(ADD, {"client_id": client_id, "kind": "wa_id", "value": wa_id})
    for kind in ("user_id", "parent_user_id"):
        if isinstance(value := told.get(kind), str) and value:
            db.session.execute(ADD, {"client_id": client_id, "kind": kind, "value": value[:255]})
    phones = {phone_of(value) for value in old}
    if client.phone_number is None or client.phone_number in phones:
        client.phone_number = phone_of(wa_id)
        client.country = country_of(wa_id) or client.country
    db.session.flush()
    log.info("client_number_changed", client_id=client_id)


def _digits(value: object) -> str | None:
    number = str(value or "").lstrip("+").strip()
    return number if number.isascii() and number.isdigit() and len(number) <= 255 else None


def _owner_of(wa_id: str) -> Client | None:
    values = list(spellings(wa_id))
    return db.session.scalars(
        select(Client)
        .outerjoin(ClientIdentity, ClientIdentity.client_id == Client.id)
        .where(
            (ClientIdentity.kind == IdentityKind.WA_ID) & ClientIdentity.value.in_(values)
            | Client.phone_number.in_([phone_of(value) for value in values])
        )
        .order_by(Client.id)
        .limit(1)
    ).first()


def _join(client_id: int, owner: Client) -> None:
    """They wrote from the new number before the notice came; its user id is new with the number."""
    for identity in list(owner.identities):
        if identity.kind in (IdentityKind.USER_ID, IdentityKind.PARENT_USER_ID):
            identity.client_id = client_id
    db.session.flush()
    db.session.expire_all()
    merge_clients(client_id, owner.id)


def _take_from(owner: Client, wa_id: str) -> None:
    values = list(spellings(wa_id))
    db.session.execute(FORGET, {"client_id": owner.id, "values": values})
    if owner.phone_number in {phone_of(value) for value in values}:
        owner.phone_number = None
    db.session.flush()
