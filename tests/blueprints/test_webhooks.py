"""What Meta's deliveries become, through HTTP, on a real database."""

import hashlib
import hmac
import json
import threading
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, text

from crm.db import db
from crm.models import Chat, Client, Message, WebhookEvent, WhatsappNumber
from tests.factories import make_campaign, make_number

SECRET = "test-app-secret"
PHONE_NUMBER_ID = "106540352242922"


def sign(raw: bytes, secret: str = SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}", "Content-Type": "application/json"}


def body(*messages: dict[str, Any], number: str = PHONE_NUMBER_ID, **value: Any) -> bytes:
    """A delivery of Meta's with these messages, each from 573001234567 unless it says more."""
    contacts = [
        {"profile": {"name": "Ana María"}, "wa_id": sender}
        for sender in dict.fromkeys(message.get("from", "573001234567") for message in messages)
    ]
    change = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "576015550101", "phone_number_id": number},
        **({"contacts": contacts, "messages": list(messages)} if messages else {}),
        **value,
    }
    entry = {"id": "200000000000001", "changes": [{"field": "messages", "value": change}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def words(message_id: str, content: str = "Hola", **fields: Any) -> dict[str, Any]:
    return {
        "from": "573001234567",
        "id": message_id,
        "timestamp": "1780000000",
        "type": "text",
        "text": {"body": content},
        **fields,
    }


def post(client: FlaskClient, raw: bytes, secret: str = SECRET) -> int:
    return client.post("/webhooks/meta", data=raw, headers=sign(raw, secret)).status_code


def count(model: Any) -> int:
    return db.session.scalar(select(func.count()).select_from(model)) or 0


@pytest.fixture
def number(app: Flask) -> WhatsappNumber:
    number = make_number(campaign=make_campaign(), meta_phone_number_id=PHONE_NUMBER_ID)
    db.session.commit()
    return number


def test_it_stores_a_message_with_its_client_and_chat(
    client: FlaskClient, number: WhatsappNumber
) -> None:
    raw = body(words("wamid.1"))
    assert post(client, raw) == 200
    message = db.session.scalars(select(Message)).one()
    assert (message.content, message.direction, message.status) == ("Hola", "inbound", "delivered")
    person = db.session.scalars(select(Client)).one()
    assert (person.phone_number, person.first_name, person.country) == (
        "+573001234567", "Ana María", "CO"
    )  # fmt: skip
    chat = db.session.scalars(select(Chat)).one()
    assert (chat.status, chat.message_count, chat.unread_count) == ("new", 1, 1)
    assert chat.last_message_id == message.id
    event = db.session.scalars(select(WebhookEvent)).one()
    assert (event.body, event.status, event.whatsapp_number_id) == (raw, "processed", number.id)
