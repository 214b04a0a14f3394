"""What reaches a business without being a message in this chat: a new number, a group, the past.

Meta tells it in webhooks of their own. Each is one press on the phone's page, so that whoever tries
the product can see what becomes of it.
"""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify

from crm.simulator import webhooks, wire
from crm.simulator.acts import meta_pair, post
from crm.simulator.control import asked, refuse, simulator
from crm.simulator.customers import CustomerError
from crm.simulator.world import Row, now

if TYPE_CHECKING:
    from crm.simulator.simulator import Simulator

bp = Blueprint("news", __name__, url_prefix="/control")
bp.register_error_handler(CustomerError, refuse)

GROUP = "120363000000000001"
DAY = 24 * 3600
# Two days ago, as it stands on the phone of a line that comes to the Cloud API.
PAST = (
    (2 * DAY, False, "Hola, ¿tienen domicilio los domingos?"),
    (2 * DAY - 300, True, "Hola, sí, hasta las 3 de la tarde."),
    (DAY, False, "Listo, gracias. El domingo les escribo."),
)


@bp.post("/news")
def news() -> Response:
    """Let something happen to a customer of a Meta line: number_id, wa_id, kind (of KINDS).

    Answers {"customer"}: who the customer is afterwards.
    """
    sim, body = simulator(), asked()
    number, customer = meta_pair(sim, body)
    happens = KINDS.get(str(body.get("kind")))
    if happens is None:
        raise CustomerError(f"kind must be one of {', '.join(sorted(KINDS))}")
    return jsonify({"customer": happens(sim, number, customer) or customer})


def _new_number(sim: "Simulator", number: Row, customer: Row) -> Row:
    """The customer goes on under another number; WhatsApp tells it in the old chat."""
    while (fresh := customer["wa_id"][:-4] + f"{random.randrange(10_000):04d}") in (
        sim.world.customers
    ):
        pass
    words = f"{customer['name']} cambió de {customer['wa_id']} a {fresh}"
    said = {
        "wamid": wire.new_wamid(customer["wa_id"], outbound=False),
        "at": now(),
        "type": "system",
        "content": {"type": "user_changed_number", "wa_id": fresh, "body": words},
    }
    post(sim, number, "messages", webhooks.message_part(customer, said))
    moved = sim.customers.introduce({**customer, "wa_id": fresh})
    sim.customers.change(customer["wa_id"], online=False)
    return moved


def _group(sim: "Simulator", number: Row, customer: Row) -> None:
    """A word in a group of which the line is a member."""
    said = {
        "wamid": wire.new_wamid(customer["wa_id"], outbound=False),
        "at": now(),
        "type": "text",
        "content": {"body": "Buenas a todos, ¿a qué hora es la reunión?"},
    }
    part = webhooks.message_part(customer, said)
    part["messages"][0]["group_id"] = GROUP
    post(sim, number, "messages", part)


def _past(sim: "Simulator", number: Row, customer: Row) -> None:
    """The last of a history that comes when a line joins: both sides, days ago."""
    own = wire.digits_of(number["display_phone_number"])
    rows = []
    for ago, is_ours, words in PAST:
        people = {"from": own, "to": customer["wa_id"]} if is_ours else {"from": customer["wa_id"]}
        rows.append(
            {
                **people,
                "id": wire.new_wamid(customer["wa_id"], outbound=is_ours),
                "timestamp": str(int(now() - ago)),
                "type": "text",
                "text": {"body": words},
                "history_context": {"status": "READ"},
            }
        )
    chunk = {
        "metadata": {"phase": 2, "chunk_order": 1, "progress": 100},
        "threads": [{"id": customer["wa_id"], "messages": rows}],
    }
    post(sim, number, "history", {"history": [chunk]})


def _choose(value: str) -> "Happening":
    def choose(sim: "Simulator", number: Row, customer: Row) -> None:
        """What the customer says about advertising in WhatsApp's own settings."""
        row = {
            "wa_id": customer["wa_id"],
            "user_id": customer["user_id"],
            "category": "marketing_messages",
            "value": value,
            "detail": f"User requested to {value} marketing messages",
            "timestamp": int(now()),
        }
        part = {"contacts": [webhooks.contact(customer)], "user_preferences": [row]}
        post(sim, number, "user_preferences", part)

    return choose


Happening = Callable[["Simulator", Row, Row], Row | None]
KINDS: dict[str, Happening] = {
    "number": _new_number,
    "group": _group,
    "history": _past,
    "stop": _choose("stop"),
    "resume": _choose("resume"),
}
