"""The bodies that Meta posts: envelopes, messages, statuses."""

from collections import defaultdict
from typing import Any

Row = dict[str, Any]


# Fields that name the number they are about; the others are news of the account, with a time.
OF_A_NUMBER = frozenset({"messages", "calls", "smb_message_echoes", "history", "user_preferences"})


def envelope(number: Row, field: str, part: Row, *, at: float | None = None) -> Row:
    """One POST's object. Fields about a number carry its metadata, the others `time`."""
    entry: Row = {"id": number["waba_id"]}
    value: Row = part
    if field in OF_A_NUMBER:
        value = {
            "messaging_product": "whatsapp",
            "metadata": {
                # Meta writes the digits here, whatever the display form is.
                "display_phone_number": "".join(
                    filter(str.isdigit, number["display_phone_number"])
                ),
                "phone_number_id": number["id"],
            },
            **part,
        }
    elif at is not None:
        entry["time"] = int(at)
    entry["changes"] = [{"value": value, "field": field}]
    return {"object": "whatsapp_business_account", "entry": [entry]}


def merge(parts: list[Row]) -> Row:
    """Several parts for one number as one: Meta batches when there is much to say."""
    if len(parts) == 1:
        return parts[0]
    whole: defaultdict[str, list[Any]] = defaultdict(list)
    seen = set()
    for part in parts:
        for key, rows in part.items():
            for row in rows:
                if key == "contacts":
                    identity = (row.get("wa_id"), row.get("user_id"))
                    if identity in seen:
                        continue
                    seen.add(identity)
                whole[key].append(row)
    return dict(whole)


def contact(customer: Row) -> Row:
    """Who writes, as in `contacts[]`: a hidden number is not told."""
    row: Row = {"profile": {"name": customer["name"]}, "user_id": customer["user_id"]}
    if customer.get("username"):
        row["profile"]["username"] = customer["username"]
    if not customer.get("hidden"):
        row["wa_id"] = customer["wa_id"]
    return row


def message_part(customer: Row, message: Row) -> Row:
    """`contacts` and `messages` of an inbound message."""
    row: Row = {
        "from_user_id": customer["user_id"],
        "id": message["wamid"],
        "timestamp": str(int(message["at"])),
        "type": message["type"],
    }
    if not customer.get("hidden"):
        row = {"from": customer["wa_id"], **row}
    if message.get("context"):
        row["context"] = message["context"]
    if message.get("errors"):
        row["errors"] = message["errors"]
    if message.get("referral"):
        row["referral"] = message["referral"]
    if message.get("content") is not None:
        row[message["type"]] = message["content"]
    return {"contacts": [contact(customer)], "messages": [row]}


def status_part(customer: Row, message: Row, status: str, *, at: float, errors: list[Row]) -> Row:
    """`statuses` of an outbound message; delivered and read also name the contact."""
    row: Row = {
        "id": message["wamid"],
        "status": status,
        "timestamp": str(int(at)),
        "recipient_user_id": customer["user_id"],
    }
    if not customer.get("hidden"):
        row["recipient_id"] = customer["wa_id"]
    # What was told to us as already sent, of the demo's past, never had a price.
    if status != "failed" and message.get("pricing"):
        row["pricing"] = message["pricing"]
    if errors:
        row["errors"] = errors
    if message.get("opaque") is not None:
        row["biz_opaque_callback_data"] = message["opaque"]
    part: Row = {"statuses": [row]}
    if status in ("delivered", "read", "played"):
        part = {"contacts": [contact(customer)], **part}
    return part


def pricing(kind: str, *, category: str, window_open: bool) -> Row:
    """Per-message pricing as of July 2025: free inside the window but for marketing."""
    if kind != "template":
        return {
            "billable": False,
            "pricing_model": "PMP",
            "category": "service",
            "type": "free_customer_service",
        }
    free = window_open and category == "utility"
    return {
        "billable": not free,
        "pricing_model": "PMP",
        "category": category,
        "type": "free_customer_service" if free else "regular",
    }
