"""What an empty simulator starts with: customers, what they have said so far, and some templates.

Without a history there are three customers who have not written yet.
"""

import json
from pathlib import Path
from typing import Any

from crm.simulator.world import Row

CUSTOMERS = [
    {"wa_id": "573015550142", "name": "Carolina Restrepo"},
    {"wa_id": "573005550187", "name": "Jhon Gutiérrez"},
    {"wa_id": "573105550163", "name": "María Paz Ñáñez"},
]


def _body(text: str, *examples: str) -> dict[str, Any]:
    component: dict[str, Any] = {"type": "BODY", "text": text}
    if examples:
        component["example"] = {"body_text": [list(examples)]}
    return component


def _replies(*titles: str) -> dict[str, Any]:
    return {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": row} for row in titles]}


TEMPLATES: list[dict[str, Any]] = [
    {
        "name": "hello_world",
        "language": "en_US",
        "category": "UTILITY",
        "components": [
            {"type": "HEADER", "format": "TEXT", "text": "Hello World"},
            _body("Welcome! This message shows that the connection works."),
            {"type": "FOOTER", "text": "Charla"},
        ],
    },
    {
        "name": "seguimiento_pedido",
        "language": "es",
        "category": "UTILITY",
        "components": [
            _body(
                "Hola, {{1}}. Su pedido {{2}} ya va en camino. ¿Podemos ayudarle en algo más?",
                "Carolina",
                "A-1042",
            ),
            {"type": "FOOTER", "text": "Charla"},
        ],
    },
    {
        "name": "recordatorio_cita",
        "language": "es",
        "category": "UTILITY",
        "components": [
            {"type": "HEADER", "format": "TEXT", "text": "Recordatorio de su cita"},
            _body("Hola, {{1}}. Le esperamos el {{2}} a las {{3}}.", "Jhon", "lunes", "10:00"),
            _replies("Confirmo", "Cambiar la hora"),
        ],
    },
    {
        "name": "retomar_conversacion",
        "language": "es",
        "category": "MARKETING",
        "parameter_format": "NAMED",
        "components": [
            {
                "type": "BODY",
                "text": "Hola, {{nombre}}. Quedó pendiente nuestra conversación: ¿la retomamos?",
                "example": {
                    "body_text_named_params": [{"param_name": "nombre", "example": "María Paz"}]
                },
            },
            _replies("Sí, sigamos", "No, gracias"),
        ],
    },
    {
        "name": "oferta_pausada",
        "language": "es",
        "category": "MARKETING",
        "status": "PAUSED",
        "components": [_body("Esta semana, envío gratis en toda la tienda.")],
    },
]


def read_history(file: Path | None) -> tuple[list[Row], list[Row]]:
    """(customers, messages) of a history; where there is none, CUSTOMERS.

    A customer has `wa_id` and `name`, and what `Customers.change` names; a message is a row of the
    journal. What cannot be read counts as absent: a simulated phone is no reason not to start.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file else {}
        return found["customers"], found["messages"]
    except (OSError, ValueError, KeyError, TypeError):
        return CUSTOMERS, []
