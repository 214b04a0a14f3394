"""Orders about WPPConnect lines: what happens at their phone and at their server."""

from flask import Blueprint, Response, jsonify

from crm.simulator import acts, wire
from crm.simulator.control import asked, refuse, simulator
from crm.simulator.customers import CustomerError

bp = Blueprint("wpp_control", __name__, url_prefix="/control")
bp.register_error_handler(CustomerError, refuse)


@bp.post("/wppconnect/<number_id>/<what>")
def wppconnect(number_id: str, what: str) -> Response:
    """The phone of a WPPConnect line: scan, unlink, lose (the server's browser dies), write.

    scan: with which phone (phone); without it the server does not tell whose it is.
    write: the line's owner writes to a customer on the phone itself: wa_id, text.
    """
    sim, body = simulator(), asked()
    if what == "scan":
        sim.wpp.scan(number_id, phone=wire.digits_of(str(body.get("phone") or "")))
    elif what == "unlink":
        sim.wpp.unlink(number_id)
    elif what == "lose":
        sim.wpp.lose(number_id)
    elif what == "write":
        customer = sim.customers.find_or_create(wire.digits_of(str(body.get("wa_id") or "")))
        words = str(body.get("text") or "")
        return jsonify(sim.wpp.write(number_id, customer, {"body": words}))
    else:
        raise CustomerError("what must be scan, unlink, lose or write.")
    return jsonify({"ok": True})


@bp.post("/revoke")
def revoke() -> Response:
    """A customer takes a message back: wamid."""
    sim = simulator()
    wamid = str(asked().get("wamid"))
    message = sim.world.messages.get(wamid)
    if message is None or "_" not in message["wamid"]:
        return acts.revoke(sim, wamid)
    sim.wpp.revoke(message)
    return jsonify({"ok": True})
