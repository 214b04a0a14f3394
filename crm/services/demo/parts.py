"""What the demo's people say that is neither words nor a file: carts, cards, buttons, calls.

A line of a talk names one in brackets: `c 2 [pedido-cafe] Para mañana, por favor`. The shapes are
those that the webhook and the composer write.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from crm.models import MessageType


@dataclass(frozen=True)
class Part:
    """`answers`: it quotes our last message, as a pressed button does. `original`: what it said
    before its writer edited it. `is_deleted`: its writer took it back."""

    kind: MessageType
    meta: dict[str, Any] = field(default_factory=dict)
    answers: bool = False
    original: str | None = None
    is_deleted: bool = False


def _item(name: str, quantity: int, price: int) -> dict[str, Any]:
    return {
        "product_retailer_id": name,
        "quantity": quantity,
        "item_price": price,
        "currency": "COP",
    }


PARTS = {
    "anuncio": Part(
        MessageType.TEXT,
        {
            "referral": {
                "source_type": "ad",
                "source_id": "120226305854810726",
                "source_url": "https://fb.me/3cr4Wqqkv",
                "headline": "Freidoras de aire, 20 % menos",
                "body": "Solo esta semana, con envío gratis en Bogotá y Medellín.",
                "media_type": "image",
            }
        },
    ),
    "pedido-repuestos": Part(
        MessageType.ORDER,
        {
            "order": {
                "catalog_id": "700000000000001",
                "text": "¿Me sirven para la máquina de la línea Plata?",
                "product_items": [
                    _item("Empaque espresso 58 mm", 2, 18900),
                    _item("Canastilla doble", 1, 46500),
                ],
            }
        },
    ),
    "menu": Part(
        MessageType.INTERACTIVE,
        {
            "interactive": {
                "type": "button",
                "buttons": [
                    {"id": "garantia", "title": "Garantía"},
                    {"id": "instalacion", "title": "Instalación"},
                    {"id": "otra", "title": "Otra"},
                ],
            }
        },
    ),
    "garantia": Part(
        MessageType.BUTTON_REPLY,
        {"reply": {"id": "garantia", "title": "Garantía"}},
        answers=True,
    ),
    "horarios": Part(
        MessageType.INTERACTIVE,
        {
            "interactive": {
                "type": "list",
                "button": "Ver horarios",
                "sections": [
                    {
                        "title": "Hoy",
                        "rows": [
                            {"id": "h1", "title": "3 de la tarde"},
                            {"id": "h2", "title": "5 de la tarde", "description": "Técnico Rubén"},
                        ],
                    }
                ],
            }
        },
    ),
    "cinco": Part(
        MessageType.LIST_REPLY,
        {"reply": {"id": "h2", "title": "5 de la tarde", "description": "Técnico Rubén"}},
        answers=True,
    ),
    "llamada": Part(
        MessageType.CALL,
        {"call": {"direction": "inbound", "state": "missed", "steps": ["connect", "terminate"]}},
    ),
    "portero": Part(
        MessageType.CONTACT,
        {
            "contacts": [
                {
                    "name": {
                        "formatted_name": "Edilberto Marín",
                        "first_name": "Edilberto",
                        "last_name": "Marín",
                    },
                    "org": {"company": "Edificio Los Urapanes", "title": "Portería"},
                    "phones": [
                        {"phone": "+57 320 555 0111", "type": "CELL", "wa_id": "573205550111"}
                    ],
                }
            ]
        },
    ),
    "editado": Part(MessageType.TEXT, original="Sí, y 3 planchas industriales"),
    "borrado": Part(MessageType.TEXT, is_deleted=True),
}
