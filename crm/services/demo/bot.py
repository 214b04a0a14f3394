"""The one bot of the demo, and the session in which it waits for an answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from crm.db import db
from crm.lib.clock import utcnow
from crm.models import (
    BotFlow,
    BotNode,
    BotSession,
    BotSessionStatus,
    Chat,
    NodeType,
)
from crm.services.demo.house import House


def build_flow(house: House) -> BotFlow:
    """The flow behind the one chat that a bot holds."""
    flow = BotFlow(
        name="Bienvenida de Soporte",
        description="Pregunta qué se necesita y pide el serial.",
        start_node_id="menu",
        is_published=True,
        published_at=utcnow(),
        total_sessions=1,
        created_by=house.people["admin"].id,
    )
    db.session.add(flow)
    db.session.flush()
    options = [
        {"label": "Garantía", "value": "garantia", "next": "serial"},
        {"label": "Instalación", "value": "instalacion", "next": "person"},
        {"label": "Otra", "value": "otra", "next": "person"},
    ]
    nodes: list[tuple[str, NodeType, dict[str, Any]]] = [
        ("menu", NodeType.MENU, {"content": "¿Qué necesita?", "options": options}),
        (
            "serial",
            NodeType.INPUT,
            {"prompt": "Escríbame el serial.", "variable": "serial", "next": "person"},
        ),
        ("person", NodeType.TRANSFER_AGENT, {"message": "Le paso con una persona."}),
    ]
    for place, (key, kind, config) in enumerate(nodes):
        db.session.add(
            BotNode(
                flow_id=flow.id,
                node_key=key,
                node_type=kind,
                config=config,
                position_x=80 + 280 * place,
                position_y=120,
            )
        )
    return flow


def attach_bot(flow: BotFlow, chat: Chat, *, started_at: datetime, last_at: datetime) -> None:
    db.session.add(
        BotSession(
            chat_id=chat.id,
            flow_id=flow.id,
            client_id=chat.client_id,
            current_node_key="serial",
            status=BotSessionStatus.WAITING_INPUT,
            variables={"necesidad": "garantia"},
            started_at=started_at,
            last_interaction_at=last_at,
            steps_count=2,
        )
    )
