"""What people do beside writing: edit, take back, call; and what the line's own phone writes."""

from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify

from crm.simulator import webhooks, wire
from crm.simulator.control import asked, refuse, simulator
from crm.simulator.customers import CustomerError
from crm.simulator.world import Row, now

if TYPE_CHECKING:
    from crm.simulator.simulator import Simulator

bp = Blueprint("acts", __name__, url_prefix="/control")
bp.register_error_handler(CustomerError, refuse)

# As WhatsApp has it.
EDIT_SECONDS = 15 * 60
REVOKE_SECONDS = 2 * 24 * 3600


@bp.post("/edit")
def edit() -> Response:
    """A customer edits a text of theirs, within 15 minutes: wamid, text."""
    sim, body = simulator(), asked()
    message = own_message(sim, str(body.get("wamid")), seconds=EDIT_SECONDS)
    words = str(body.get("text") or "").strip()
    if message["type"] != "text" or not 0 < len(words) <= 4096:
        raise CustomerError("A text of at most 4096 characters can be edited into another one.")
    inner = {"type": "text", "text": {"body": words}}
    _change(sim, message, "edit", {"original_message_id": message["wamid"], "message": inner})
    return _marked(sim, message, {"content": {"body": words}, "edited": True})


def revoke(sim: "Simulator", wamid: str) -> Response:
    """A customer of a Meta line takes a message back, within two days."""
    message = own_message(sim, wamid, seconds=REVOKE_SECONDS)
    _change(sim, message, "revoke", {"original_message_id": message["wamid"]})
    return _marked(sim, message, {"revoked": True})


@bp.post("/call")
def call() -> Response:
    """A customer calls a Meta line, and nobody answers: number_id, wa_id."""
    sim, body = simulator(), asked()
    number, customer = meta_pair(sim, body)
    own = wire.digits_of(number["display_phone_number"])
    row = {
        "id": "wacid." + wire.new_wamid(customer["wa_id"], outbound=False)[6:],
        "from": customer["wa_id"],
        "to": own,
        "direction": "USER_INITIATED",
        "timestamp": str(int(now())),
    }
    contacts = [webhooks.contact(customer)]
    for step in ({"event": "connect"}, {"event": "terminate", "status": "FAILED"}):
        post(sim, number, "calls", {"contacts": contacts, "calls": [{**row, **step}]})
    return jsonify({"ok": True})


@bp.post("/write")
def write() -> Response:
    """Somebody writes on the phone of a Meta line: number_id, wa_id, text."""
    sim, body = simulator(), asked()
    number, customer = meta_pair(sim, body)
    words = str(body.get("text") or "").strip()
    if not 0 < len(words) <= 4096:
        raise CustomerError("Write something, at most 4096 characters.")
    message: Row = {
        "wamid": wire.new_wamid(customer["wa_id"], outbound=True),
        "number_id": number["id"],
        "wa_id": customer["wa_id"],
        "direction": "out",
        "type": "text",
        "at": now(),
        "status": "delivered",
        "content": {"body": words},
        "pricing": {},
    }
    sim.world.record({"e": "message", "message": message})
    sim.tell_message(message)
    echo = {
        "from": wire.digits_of(number["display_phone_number"]),
        "to": customer["wa_id"],
        "to_user_id": customer["user_id"],
        "id": message["wamid"],
        "timestamp": str(int(message["at"])),
        "type": "text",
        "text": {"body": words},
    }
    part = {"contacts": [webhooks.contact(customer)], "message_echoes": [echo]}
    post(sim, number, "smb_message_echoes", part)
    return jsonify(message)


def own_message(sim: "Simulator", wamid: str, *, seconds: float) -> Row:
    """A message that a customer of a Meta line wrote, and that is young enough."""
    message = sim.world.messages.get(wamid)
    if message is None or message["direction"] != "in" or message.get("revoked"):
        raise CustomerError("That message is not the customer's, or is gone already.")
    if sim.world.numbers[message["number_id"]].get("provider") == "wppconnect":
        raise CustomerError("On a WPPConnect line messages can only be taken back.")
    if now() - message["at"] > seconds:
        raise CustomerError("It is too late to change this message.")
    return message


def meta_pair(sim: "Simulator", body: Row) -> tuple[Row, Row]:
    """The Meta line and the customer that an order names; raises CustomerError."""
    number = sim.world.numbers.get(str(body.get("number_id")))
    if number is None or number.get("provider") == "wppconnect":
        raise CustomerError("This needs a line of Meta.")
    return number, sim.customers.load(str(body.get("wa_id")))


def _change(sim: "Simulator", message: Row, kind: str, content: Row) -> None:
    """Tell the CRM of an edit or a deletion: a message of its own that names the other one."""
    customer = sim.world.customers[message["wa_id"]]
    number = sim.world.numbers[message["number_id"]]
    said = {
        "wamid": wire.new_wamid(customer["wa_id"], outbound=False),
        "at": now(),
        "type": kind,
        "content": content,
    }
    post(sim, number, "messages", webhooks.message_part(customer, said))


def post(sim: "Simulator", number: Row, field: str, part: Row) -> None:
    """Have a part of a webhook delivered, unless the account is not subscribed."""
    if number["waba_id"] in sim.world.unsubscribed:
        return
    row = sim.outbox.row(number["id"], field, part)
    sim.world.record({"e": "out", "out": row})
    sim.outbox.schedule(row, delay=0.25 * sim.delay_scale)


def _marked(sim: "Simulator", message: Row, changes: Row) -> Response:
    sim.world.record({"e": "mark", "wamid": message["wamid"], "set": changes})
    changed = sim.world.messages[message["wamid"]]
    sim.tell_message(changed)
    return jsonify(changed)
