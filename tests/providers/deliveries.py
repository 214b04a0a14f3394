"""Deliveries of Meta's for tests: bodies made by hand, signed; the files of both collections."""

from __future__ import annotations

import hashlib
import hmac
import json
import warnings
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

SECRET = "test-app-secret"
PHONE_NUMBER_ID = "106540352242922"
SENDER = "573001234567"
OWN = Path(__file__).parent / "payloads"
# Bodies of Meta's own and of other projects, kept outside of this repository.
COLLECTED = Path(__file__).parents[2] / "../shared/whatsapp/payloads"


def sign(raw: bytes, secret: str = SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}", "Content-Type": "application/json"}


def post(client: FlaskClient, raw: bytes, secret: str = SECRET) -> int:
    """Deliver a signed body; the status of the answer."""
    return client.post("/webhooks/meta", data=raw, headers=sign(raw, secret)).status_code


def body(
    *messages: Any, number: str = PHONE_NUMBER_ID, field: str = "messages", **value: Any
) -> bytes:
    """A delivery with these messages, each sender in `contacts` as Ana María."""
    named = [message.get("from") for message in messages if isinstance(message, dict)]
    senders = [sender for sender in named if isinstance(sender, str)]
    contacts = [{"profile": {"name": "Ana María"}, "wa_id": s} for s in dict.fromkeys(senders)]
    change = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "576015550101", "phone_number_id": number},
        **({"contacts": contacts, "messages": list(messages)} if messages else {}),
        **value,
    }
    entry = {"id": "200000000000001", "changes": [{"field": field, "value": change}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def words(message_id: str, content: str = "Hola", **fields: Any) -> dict[str, Any]:
    """A text message; `sender` and `at` (unix seconds) for other writers and times."""
    return {
        "from": fields.pop("sender", SENDER),
        "id": message_id,
        "timestamp": str(fields.pop("at", 1780000000)),
        "type": "text",
        "text": {"body": content},
        **fields,
    }


def typed(message_id: str, kind: str, part: Any, **fields: Any) -> dict[str, Any]:
    """A message of another type."""
    message = words(message_id, type=kind, **fields)
    del message["text"]
    return message | {kind: part}


def status(message_id: str, word: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": message_id,
        "status": word,
        "timestamp": "1780000000",
        "recipient_id": SENDER,
        **fields,
    }


def own_files() -> list[Path]:
    return sorted(OWN.glob("*.json"))


def collected_files() -> list[Path]:
    """Meta's files of the collection; one loud line where it is missing."""
    files = sorted(COLLECTED.glob("cloud-*.json"))
    if not files:
        warnings.warn(
            f"NOT PROVEN: no collected Meta deliveries at {COLLECTED}; only our own were read",
            stacklevel=1,
        )
    return files


def values(raw: bytes) -> list[dict[str, Any]]:
    """Every change's value in a body, found the plain way, without the parser under test."""
    data = json.loads(raw)
    found = []
    for entry in data.get("entry") or []:
        changes = entry.get("changes") if isinstance(entry, dict) else None
        found += [
            {**change["value"], "field": change.get("field")}
            for change in (changes if isinstance(changes, list) else [])
            if isinstance(change, dict) and isinstance(change.get("value"), dict)
        ]
    return found


def phone_number_ids(raw: bytes) -> list[str]:
    ids = [value.get("metadata", {}).get("phone_number_id") for value in values(raw)]
    return list(dict.fromkeys(str(i) for i in ids if i))


def _has_recipient(echo: Any) -> bool:
    return isinstance(echo, dict) and bool(echo.get("to") or echo.get("to_user_id"))


def message_ids(raw: bytes) -> list[str]:
    """The distinct ids of all that stands in a thread: messages, echoes, calls, a number's past."""
    found: list[Any] = []
    for value in values(raw):
        if value["field"] in ("messages", "history"):
            found += value.get("messages") or []
        if value["field"] == "calls":
            found += [*(value.get("calls") or []), *(value.get("statuses") or [])]
        # An echo to nobody finds no chat: it stays in the ledger.
        found += [echo for echo in value.get("message_echoes") or [] if _has_recipient(echo)]
        for chunk in value.get("history") or []:
            for thread in chunk.get("threads") or []:
                found += thread.get("messages") or []
    ids = [item["id"] for item in found if isinstance(item, dict) and item.get("id")]
    return list(dict.fromkeys(ids))
