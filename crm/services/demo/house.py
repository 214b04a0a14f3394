"""The demo's company: its people, its two numbers (the simulator's), campaigns and queues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from crm.db import db
from crm.lib.clock import utcnow
from crm.lib.crypto import encrypt
from crm.lib.passwords import hash_password
from crm.models import (
    AgentState,
    AgentStatus,
    Campaign,
    CampaignAgent,
    CampaignNumber,
    NumberStatus,
    Provider,
    Queue,
    QuickReply,
    Role,
    RoutingRule,
    RoutingStrategy,
    RuleAction,
    Template,
    TemplateStatus,
    User,
    WhatsappNumber,
)
from crm.services.wppconnect.orders import connect

DOMAIN = "demo.charla.local"
# What the simulated WhatsApp hands out when nobody tells it otherwise.
WABA = "200000000000001"
ACCESS_TOKEN = "simulator-token"  # noqa: S105 - known to all, and good for the simulator only


@dataclass(frozen=True)
class Person:
    key: str
    first_name: str
    last_name: str
    role: str
    campaigns: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()

    @property
    def email(self) -> str:
        return f"{self.key}@{DOMAIN}"


PEOPLE = (
    Person("admin", "Andrés", "Cárdenas", "super_admin"),
    Person("marta", "Marta", "Ríos", "supervisor", ("VENTAS", "SOPORTE")),
    Person("laura", "Laura", "Gómez", "agent", ("VENTAS",), ("mayoristas", "ingles")),
    Person("jhon", "Jhon", "Restrepo", "agent", ("VENTAS", "SOPORTE"), ("garantias",)),
    Person("yuliana", "Yuliana", "Ospina", "agent", ("SOPORTE",), ("tecnico", "garantias")),
)

# Around the clock, so that whoever tries the demo at night is served like anybody else.
ALWAYS: dict[str, Any] = {
    day: [{"start": "00:00", "end": "00:00"}]
    for day in ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
}
OFFICE_HOURS: dict[str, Any] = {
    **{
        day: [{"start": "07:00", "end": "12:30"}, {"start": "13:30", "end": "19:00"}]
        for day in ("monday", "tuesday", "wednesday", "thursday", "friday")
    },
    "saturday": [{"start": "08:00", "end": "13:00"}],
    "holidays": {
        "2026-12-08": "Inmaculada Concepción",
        "2026-12-25": "Navidad",
        "2027-01-01": "Año Nuevo",
        "2027-01-11": "Día de los Reyes Magos",
    },
}

# A chat goes back to the queue when its agent stays silent. Nobody has signed in yet when the demo
# begins, and its chats shall still be with their agents when somebody does.
PATIENCE = 8 * 3600

CAMPAIGNS: dict[str, dict[str, Any]] = {
    "VENTAS": {
        "name": "Ventas",
        "description": "Catálogo, cotizaciones y pedidos.",
        "priority": 10,
        "business_hours": ALWAYS,
        "sla_first_response_seconds": 120,
        "sla_resolution_seconds": 7200,
        "take_back_seconds": PATIENCE,
        "routing_strategy": RoutingStrategy.ROUND_ROBIN,
        "queue_message": "Gracias por escribirnos. Es el número {{position}} en la fila y ya lo "
        "atendemos.",
        "closed_message": "Fue un gusto atenderle. Su caso es el {{case_number}}.",
        "csat_enabled": True,
        "csat_question": "¿Cómo califica la atención, de 1 a 5?",
    },
    "SOPORTE": {
        "name": "Soporte",
        "description": "Garantías, instalaciones y fallas.",
        "priority": 5,
        "business_hours": OFFICE_HOURS,
        "sla_first_response_seconds": 300,
        "sla_resolution_seconds": 86400,
        "take_back_seconds": PATIENCE,
        "routing_strategy": RoutingStrategy.LEAST_BUSY,
        "offline_message": "Nuestro horario es de lunes a viernes de 7:00 a 19:00 y los sábados "
        "de 8:00 a 13:00. Le respondemos al abrir.",
        "closed_message": "Cerramos su caso {{case_number}}. Si algo falla, escríbanos de nuevo.",
    },
}
# code -> (phone, display name, phone_number_id)
NUMBERS = {
    "VENTAS": ("+576015550101", "Línea Ventas", "100000000000001"),
    "SOPORTE": ("+576015550102", "Línea Soporte", "100000000000002"),
}
# A phone behind the simulated WPPConnect server: phone, display name, session.
PHONE = ("+576015550103", "Línea Mostrador", "mostrador")
# code -> (name, priority), the first is the campaign's usual one
QUEUES = {
    "VENTAS": (("General", 0), ("Mayoristas", 5)),
    "SOPORTE": (("Soporte técnico", 0), ("Garantías", 3)),
}
# code -> (name, conditions, what it does), the first is asked first
RULES: dict[str, tuple[tuple[str, dict[str, Any], dict[str, Any]], ...]] = {
    "VENTAS": (
        (
            "Garantías van a Soporte",
            {"keyword": "garantía, garantías"},
            {"action": RuleAction.TRANSFER_CAMPAIGN, "campaign": "SOPORTE"},
        ),
        (
            "Clientes mayoristas primero",
            {"client_tag": "mayorista"},
            {"action": RuleAction.ASSIGN_QUEUE, "queue": "Mayoristas", "set_priority": "high"},
        ),
        (
            "Preguntan al por mayor",
            {"keyword": "mayor, mayorista, docena, docenas"},
            {"action": RuleAction.ASSIGN_QUEUE, "queue": "Mayoristas"},
        ),
        ("Todo lo demás", {}, {"action": RuleAction.ASSIGN_QUEUE, "queue": "General"}),
    ),
    "SOPORTE": (
        (
            "Garantías",
            {"keyword": "garantía, garantías, factura"},
            {"action": RuleAction.ASSIGN_QUEUE, "queue": "Garantías"},
        ),
        ("Todo lo demás", {}, {"action": RuleAction.ASSIGN_QUEUE, "queue": "Soporte técnico"}),
    ),
}
# campaign code or None for everybody, shortcut, title, text
QUICK_REPLIES = (
    (None, "/saludo", "Saludo", "Buen día, gracias por escribirnos. ¿En qué le puedo ayudar?"),
    (None, "/espera", "Un momento", "Permítame un momento, por favor; ya lo verifico."),
    (None, "/gracias", "Despedida", "Con mucho gusto. Que tenga un excelente día."),
    ("VENTAS", "/pago", "Formas de pago", "Recibimos PSE, tarjeta, Nequi y pago contra entrega."),
    ("VENTAS", "/envio", "Envíos", "El envío tarda de 2 a 4 días hábiles en ciudades principales."),
    ("SOPORTE", "/serial", "Pedir el serial", "¿Me confirma el serial? Está debajo del equipo."),
)
# name, category, body, names of the variables: what the simulator has approved
TEMPLATES = (
    (
        "seguimiento_pedido",
        "UTILITY",
        "Hola, {{1}}. Su pedido {{2}} ya va en camino. ¿Podemos ayudarle en algo más?",
        ["nombre", "pedido"],
    ),
    (
        "recordatorio_cita",
        "UTILITY",
        "Hola, {{1}}. Le esperamos el {{2}} a las {{3}}.",
        ["nombre", "día", "hora"],
    ),
)


@dataclass(frozen=True)
class House:
    """What the conversations hang on, by key and code."""

    people: dict[str, User]
    campaigns: dict[str, Campaign]
    numbers: dict[str, WhatsappNumber]
    queues: dict[str, Queue]


def build_house(*, password: str, access_token: str, keys: Sequence[str]) -> House:
    people = hire_people(password)
    campaigns = {
        code: Campaign(code=code, bot_enabled=False, **fields) for code, fields in CAMPAIGNS.items()
    }
    numbers = {
        code: WhatsappNumber(
            phone_number=phone,
            display_name=name,
            provider=Provider.META,
            meta_phone_number_id=phone_number_id,
            meta_business_account_id=WABA,
            meta_access_token=encrypt(access_token, keys),
            meta_verified_name=name,
            meta_quality_rating="GREEN",
            status=NumberStatus.ACTIVE,
            connection_status="CONNECTED",
            last_connected_at=utcnow(),
            rate_limit_per_minute=4800,
            daily_message_limit=None,
        )
        for code, (phone, name, phone_number_id) in NUMBERS.items()
    }
    db.session.add_all([*people.values(), *campaigns.values(), *numbers.values()])
    db.session.flush()
    queues = {
        name: Queue(campaign_id=campaigns[code].id, name=name, priority=priority)
        for code, rows in QUEUES.items()
        for name, priority in rows
    }
    db.session.add_all(queues.values())
    db.session.flush()
    write_rules(campaigns, queues)
    link_house(people, campaigns, numbers)
    furnish(campaigns, numbers, author=people["admin"])
    db.session.flush()
    return House(people, campaigns, numbers, queues)


def add_phone(house: House, *, gateway_url: str, secret_key: str, keys: Sequence[str]) -> None:
    """The number that speaks through WPPConnect; its session starts with the workers."""
    phone, name, session = PHONE
    number = WhatsappNumber(
        phone_number=phone,
        display_name=name,
        provider=Provider.WPPCONNECT,
        wppconnect_server_url=gateway_url,
        wppconnect_session_name=session,
        wppconnect_api_key=encrypt(secret_key, keys),
        status=NumberStatus.PENDING,
        rate_limit_per_minute=20,
        daily_message_limit=1000,
    )
    db.session.add(number)
    db.session.flush()
    db.session.add(
        CampaignNumber(
            campaign_id=house.campaigns["VENTAS"].id,
            whatsapp_number_id=number.id,
            is_primary=False,
        )
    )
    connect(number, keys=keys)


def hire_people(password: str) -> dict[str, User]:
    roles = {role.name: role for role in db.session.scalars(select(Role))}
    return {
        person.key: User(
            email=person.email,
            # A hash for each: equal hashes would show that the password is the same.
            password_hash=hash_password(password),
            first_name=person.first_name,
            last_name=person.last_name,
            role=roles[person.role],
        )
        for person in PEOPLE
    }


def write_rules(campaigns: dict[str, Campaign], queues: dict[str, Queue]) -> None:
    for code, rows in RULES.items():
        for place, (name, conditions, deed) in enumerate(reversed(rows), start=1):
            queue, campaign = queues.get(deed.get("queue", "")), deed.get("campaign")
            db.session.add(
                RoutingRule(
                    campaign_id=campaigns[code].id,
                    name=name,
                    priority=place * 10,
                    conditions=conditions or None,
                    action=deed["action"],
                    target_queue_id=queue.id if queue else None,
                    target_campaign_id=campaigns[campaign].id if campaign else None,
                    set_priority=deed.get("set_priority"),
                )
            )


def link_house(
    people: dict[str, User], campaigns: dict[str, Campaign], numbers: dict[str, WhatsappNumber]
) -> None:
    """Who works where, which number serves what, and everybody offline until they sign in."""
    for code, number in numbers.items():
        link = CampaignNumber(
            campaign_id=campaigns[code].id, whatsapp_number_id=number.id, is_primary=True
        )
        db.session.add(link)
    for person in PEOPLE:
        user = people[person.key]
        db.session.add(AgentState(user_id=user.id, status=AgentStatus.OFFLINE))
        for code in person.campaigns:
            db.session.add(
                CampaignAgent(
                    campaign_id=campaigns[code].id, user_id=user.id, skills=list(person.skills)
                )
            )


def furnish(
    campaigns: dict[str, Campaign], numbers: dict[str, WhatsappNumber], *, author: User
) -> None:
    """Quick replies, and the templates that the simulator has approved."""
    for code, shortcut, title, content in QUICK_REPLIES:
        db.session.add(
            QuickReply(
                campaign_id=campaigns[code].id if code else None,
                shortcut=shortcut,
                title=title,
                content=content,
                created_by=author.id,
            )
        )
    for number in numbers.values():
        for name, category, body, variables in TEMPLATES:
            db.session.add(
                Template(
                    whatsapp_number_id=number.id,
                    template_name=name,
                    language="es",
                    category=category,
                    body_content=body,
                    variables=variables,
                    status=TemplateStatus.APPROVED,
                    created_by=author.id,
                )
            )
