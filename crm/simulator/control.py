"""The orders: what tests and the phone page ask for. JSON in, JSON out, under /control."""

import json
import os
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, jsonify, request

from crm.simulator import samples, wire
from crm.simulator.bus import describe_call
from crm.simulator.config import SettingsError, number_from
from crm.simulator.customers import CustomerError, choices
from crm.simulator.faults import STAGES, FaultError
from crm.simulator.world import Conversation, Row, now

if TYPE_CHECKING:
    from crm.simulator.simulator import Simulator

bp = Blueprint("control", __name__, url_prefix="/control")


def simulator() -> "Simulator":
    found: Simulator = current_app.config["SIMULATOR"]
    return found


def asked() -> Row:
    """The request's JSON object; a wrong one is answered with 400 and a word why."""
    body = request.get_json(silent=True)
    if request.content_length and not isinstance(body, dict):
        raise CustomerError("Send a JSON object with Content-Type: application/json.")
    return body or {}


@bp.errorhandler(CustomerError)
@bp.errorhandler(FaultError)
@bp.errorhandler(SettingsError)
def refuse(error: Exception) -> tuple[Response, int]:
    return jsonify({"error": str(error)}), 400


@bp.get("/state")
def state() -> Response:
    """Everything that a page needs to draw itself."""
    sim = simulator()
    return jsonify(
        {
            "numbers": [_number(sim, row) for row in sim.world.numbers.values()],
            "customers": list(sim.world.customers.values()),
            "faults": [fault.as_row() for fault in sim.faults.on],
            "settings": _settings(sim),
            "webhook_url": sim.settings.webhook_url,
            "waiting_webhooks": sim.outbox.waiting,
            "process": os.getpid(),
        }
    )


@bp.post("/reset")
def reset() -> Response:
    """Start afresh; {"ledgers": true} empties the ledgers too."""
    simulator().reset(ledgers=bool(asked().get("ledgers")))
    return jsonify({"ok": True})


@bp.post("/settings")
def settings() -> Response:
    """Change delay_scale, limits, enforce_window, window_refused_at_once, wpp_echoes."""
    sim, body = simulator(), asked()
    unknown = set(body) - set(_settings(sim))
    if unknown:
        raise CustomerError(f"There is no setting {min(unknown)}.")
    changes: Row = {key: bool(value) for key, value in body.items() if key != "delay_scale"}
    if "delay_scale" in body:
        try:
            changes["delay_scale"] = min(max(float(body["delay_scale"]), 0.0), 1000.0)
        except (TypeError, ValueError):
            raise CustomerError("delay_scale must be a number.") from None
    sim.change_settings(changes)
    return jsonify(_settings(sim))


def _settings(sim: "Simulator") -> Row:
    return {
        "delay_scale": sim.delay_scale,
        "limits": sim.limits.on,
        "enforce_window": sim.enforce_window,
        "window_refused_at_once": sim.window_refused_at_once,
        "wpp_echoes": sim.wpp_echoes,
    }


def _number(sim: "Simulator", number: Row) -> Row:
    """A line; one of WPPConnect with the state of its session."""
    if number.get("provider") != "wppconnect":
        return number
    return {**number, "state": sim.wpp.state(number)["status"]}


# -- numbers, customers, faults ------------------------------------------------------------------


@bp.post("/numbers")
def add_number() -> Response:
    """Register a business number: id, display_phone_number, verified_name, waba_id."""
    number = number_from(asked())
    simulator().add_number(number)
    return jsonify(number)


@bp.post("/customers")
def add_customer() -> Response:
    """Create (or rename) a customer: wa_id (any way of writing a number), name."""
    body = asked()
    digits = wire.digits_of(str(body.get("wa_id") or body.get("phone") or ""))
    if not 7 <= len(digits) <= 15:
        raise CustomerError("A phone number has 7 to 15 digits, for example +57 300 555 0199.")
    name = str(body.get("name") or "").strip()[:100]
    sim = simulator()
    customer = sim.customers.find_or_create(digits, name=name)
    changes = {
        key: body[key] for key in ("username", "online", "receipts", "hidden") if key in body
    }
    if changes:
        customer = sim.customers.change(customer["wa_id"], **changes)
    return jsonify(customer)


@bp.patch("/customers/<wa_id>")
def change_customer(wa_id: str) -> Response:
    """Change name, username, online, receipts, hidden, blocked."""
    return jsonify(simulator().customers.change(wa_id, **asked()))


@bp.get("/faults")
def list_faults() -> Response:
    """The faults that are on, and the kinds there are with their stage."""
    return jsonify({"faults": [row.as_row() for row in simulator().faults.on], "kinds": STAGES})


@bp.post("/faults")
def add_fault() -> Response:
    """Switch a fault on: kind, and perhaps number_id, wa_id, probability, count, seconds, code."""
    return jsonify(simulator().faults.add(asked()).as_row())


@bp.delete("/faults")
@bp.delete("/faults/<int:fault_id>")
def remove_faults(fault_id: int | None = None) -> Response:
    """Switch off one by id, a kind by ?kind=, or all."""
    removed = simulator().faults.remove(fault_id=fault_id, kind=request.args.get("kind"))
    return jsonify({"removed": removed})


# -- what customers do ---------------------------------------------------------------------------


@bp.post("/say")
def say() -> Response:
    """A customer writes.

    number_id, wa_id, name?, and one of: text; sample (a name from samples.py); kind + content;
    file {base64, mime_type, filename?, caption?, voice?}. quote (wamid)? at (unix seconds)?
    """
    sim, body = simulator(), asked()
    number_id = str(body.get("number_id") or next(iter(sim.world.numbers)))
    digits = wire.digits_of(str(body.get("wa_id") or ""))
    if not 7 <= len(digits) <= 15:
        raise CustomerError("wa_id must be a phone number of 7 to 15 digits.")
    customer = sim.customers.find_or_create(digits, name=str(body.get("name") or "").strip()[:100])
    if number_id not in sim.world.numbers:
        raise CustomerError(f"There is no business number {number_id}.")
    kind, content = _content(sim, body)
    quote = str(body.get("quote") or "")
    at = body.get("at")
    message = sim.customers.say(
        number_id,
        customer["wa_id"],
        kind=kind,
        content=content,
        context=sim.customers.quote(number_id, quote) if quote else body.get("context"),
        extra={
            **samples.further(str(body.get("sample") or "")),
            **{key: body[key] for key in ("errors", "referral") if key in body},
        },
        at=float(at) if isinstance(at, int | float) else None,
    )
    return jsonify(message)


def _content(sim: "Simulator", body: Row) -> tuple[str, Any]:
    if "text" in body:
        words = str(body["text"])
        if not words.strip():
            raise CustomerError("An empty message cannot be sent.")
        if len(words) > 4096:
            raise CustomerError("WhatsApp takes at most 4096 characters.")
        return "text", {"body": words}
    if "sample" in body:
        return samples.content(sim.media, str(body["sample"]))
    if "file" in body:
        return samples.file_content(sim.media, body["file"])
    return str(body.get("kind") or ""), body.get("content")


@bp.post("/press")
def press() -> Response:
    """Press a button or choose a row: number_id, wa_id, wamid, choice (its id or payload)."""
    body = asked()
    return jsonify(
        simulator().customers.press(
            str(body.get("number_id")),
            str(body.get("wa_id")),
            wamid=str(body.get("wamid")),
            choice=str(body.get("choice")),
        )
    )


@bp.post("/played")
def played() -> Response:
    """The customer listens to a voice note of the business: wamid."""
    if not simulator().receipts.played(str(asked().get("wamid"))):
        raise CustomerError("That message is not a voice note from the business.")
    return jsonify({"ok": True})


@bp.post("/look")
def look() -> Response:
    """Open or leave a chat on the phone without a page: number_id, wa_id, on (default true)."""
    sim, body = simulator(), asked()
    wa_id = str(body.get("wa_id"))
    sim.customers.load(wa_id)
    sim.customers.look(str(body.get("number_id")), wa_id, on=bool(body.get("on", True)))
    return jsonify({"ok": True})


@bp.post("/window")
def window() -> Response:
    """Move the customer's last word back: number_id, wa_id, hours (default 25 = closed)."""
    body = asked()
    try:
        hours = float(body.get("hours", 25))
    except (TypeError, ValueError):
        raise CustomerError("hours must be a number.") from None
    simulator().customers.move_window(
        str(body.get("number_id")), str(body.get("wa_id")), hours=hours
    )
    return jsonify({"ok": True})


@bp.post("/webhook")
def webhook() -> Response:
    """Have any update delivered, signed and retried: number_id, field, value (without metadata)."""
    sim, body = simulator(), asked()
    number_id = str(body.get("number_id") or next(iter(sim.world.numbers)))
    if number_id not in sim.world.numbers or not isinstance(body.get("value"), dict):
        raise CustomerError("number_id must be registered and value must be an object.")
    out = sim.outbox.row(number_id, str(body.get("field") or "messages"), body["value"])
    sim.world.record({"e": "out", "out": out})
    sim.outbox.schedule(out)
    return jsonify({"id": out["id"]})


@bp.post("/verify")
def verify() -> Response:
    """Do Meta's GET handshake with the CRM and say how it went."""
    sim = simulator()
    challenge = wire.new_numeric_id()
    query = urlencode(
        {
            "hub.mode": "subscribe",
            "hub.verify_token": asked().get("verify_token", sim.settings.verify_token),
            "hub.challenge": challenge,
        }
    )
    try:
        status, answer = sim.poster.get(query)
    except OSError as error:
        return jsonify({"ok": False, "status": 0, "answer": str(error)})
    shown = answer.decode("utf-8", "replace")
    return jsonify({"ok": status == 200 and shown == challenge, "status": status, "answer": shown})


@bp.post("/outbox/hurry")
def hurry() -> Response:
    """Try every waiting webhook now."""
    simulator().outbox.hurry()
    return jsonify({"ok": True})


@bp.post("/templates/<template_id>/status")
def template_status(template_id: str) -> Response:
    """Decide about a template: status, reason?."""
    body = asked()
    if template_id not in simulator().world.templates:
        raise CustomerError(f"There is no template {template_id}.")
    current_app.config["GRAPH"].templates.set_status(
        template_id,
        str(body.get("status") or "APPROVED").upper(),
        reason=str(body.get("reason") or "NONE"),
    )
    return jsonify({"ok": True})


# -- what can be read ----------------------------------------------------------------------------


@bp.get("/accepted")
def accepted() -> Response:
    """The ledger of accepted sends, oldest first; ?last=N for the end only."""
    return _ledger(simulator().accepted)


@bp.get("/acknowledged")
def acknowledged() -> Response:
    """The ledger of webhooks answered with 200, oldest first; ?last=N."""
    return _ledger(simulator().acknowledged)


def _ledger(ledger: Any) -> Response:
    last = request.args.get("last", type=int)
    rows = deque(ledger.rows(), maxlen=last) if last else list(ledger.rows())
    return Response(
        json.dumps({"rows": list(rows)}, ensure_ascii=True), mimetype="application/json"
    )


@bp.get("/outbox")
def outbox() -> Response:
    """Webhooks not yet answered with 200."""
    return jsonify({"waiting": list(simulator().world.outbox.values())})


@bp.get("/calls")
def calls() -> Response:
    """The last calls in both directions, newest first, for the inspector."""
    return jsonify({"calls": [describe_call(row) for row in reversed(simulator().bus.calls)]})


@bp.get("/phones/<wa_id>")
def phone(wa_id: str) -> Response:
    """What a customer's phone shows: the customer and their chats with all messages."""
    sim = simulator()
    customer = sim.customers.load(wa_id)
    chats = [
        describe_chat(sim, chat)
        for (_, owner), chat in sim.world.conversations.items()
        if owner == wa_id
    ]
    return jsonify({"customer": customer, "chats": chats})


@bp.get("/phones/<wa_id>/<number_id>")
def phone_chat(wa_id: str, number_id: str) -> Response:
    """One chat of a phone."""
    sim = simulator()
    customer = sim.customers.load(wa_id)
    if number_id not in sim.world.numbers:
        raise CustomerError(f"There is no business number {number_id}.")
    chat = describe_chat(sim, sim.world.conversation(number_id, wa_id))
    return jsonify({"customer": customer, "chat": chat})


def describe_chat(sim: "Simulator", chat: Conversation) -> Row:
    """A chat as JSON; messages carry what may be pressed on them."""
    return {
        "number_id": chat.number_id,
        "wa_id": chat.wa_id,
        "unread": chat.unread,
        "last_inbound": chat.last_inbound,
        "window_open": sim.window_open(chat.number_id, chat.wa_id),
        "typing": chat.typing_until > now(),
        "messages": [describe_message(sim, row) for row in chat.messages],
    }


def describe_message(sim: "Simulator", message: Row) -> Row:
    """A message as a phone sees it: `shown` is False for what never reached it."""
    row = dict(message)
    if message["direction"] == "out":
        row["shown"] = message["status"] in ("delivered", "read", "played")
        row["choices"] = [
            {
                "id": reply.get("id") or reply.get("payload"),
                "title": reply.get("title") or reply.get("text"),
                "description": reply.get("description"),
            }
            for _, content in choices(message, sim)
            for reply in [content.get("button_reply") or content.get("list_reply") or content]
        ]
    return row
