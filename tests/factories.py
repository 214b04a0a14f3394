"""Small builders of rows, for tests. They flush and never commit; every default can be given.

chat = make_chat(campaign=sales, status=ChatStatus.QUEUED)
make_message(chat, content="Hola")
"""

from __future__ import annotations

import functools
import itertools
import tempfile
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import current_app
from sqlalchemy import select

from crm.db import db
from crm.extensions import file_store
from crm.lib.clock import utcnow
from crm.lib.crypto import encrypt
from crm.lib.passwords import hash_password
from crm.models import (
    LOAD_STATUSES,
    AgentState,
    AgentStatus,
    Campaign,
    CampaignAgent,
    CampaignNumber,
    Chat,
    ChatOwner,
    ChatStatus,
    Client,
    ClientIdentity,
    Direction,
    File,
    IdentityKind,
    Message,
    MessageStatus,
    NumberStatus,
    Provider,
    Queue,
    QueuedMessage,
    Role,
    RoutingRule,
    RuleAction,
    User,
    UserStatus,
    WhatsappNumber,
    next_case_number,
)

PASSWORD = "correcto caballo batería grapa"
ACCESS_TOKEN = "test-access-token"

_numbers = itertools.count(1)


@functools.cache
def password_hash() -> str:
    """One hash for everybody: argon2 is slow on purpose."""
    return hash_password(PASSWORD)


def save(row: Any) -> Any:
    db.session.add(row)
    db.session.flush()
    return row


def find_role(name: str) -> Role:
    """One of the five seeded roles."""
    return db.session.scalars(select(Role).where(Role.name == name)).one()


def make_user(*, role: str | Role = "agent", **fields: Any) -> User:
    """A person who can log in with `PASSWORD`; available, with the open stretch of that state."""
    n = next(_numbers)
    user = save(
        User(
            **{
                "email": f"person{n}@example.com",
                "password_hash": password_hash(),
                "first_name": "Persona",
                "last_name": f"Número {n}",
                "role": find_role(role) if isinstance(role, str) else role,
                "status": UserStatus.ACTIVE,
                "agent_status": AgentStatus.AVAILABLE,
                **fields,
            }
        )
    )
    save(AgentState(user_id=user.id, status=user.agent_status))
    return user


def make_number(*, campaign: Campaign | None = None, **fields: Any) -> WhatsappNumber:
    """An active Meta number, linked to `campaign` where one is given."""
    n = next(_numbers)
    keys = current_app.config["CRM"].encryption_keys
    number = save(
        WhatsappNumber(
            **{
                "phone_number": f"+57601{5550000 + n}",
                "display_name": f"Línea {n}",
                "provider": Provider.META,
                "meta_phone_number_id": f"1000{n:08d}",
                "meta_business_account_id": "200000000000001",
                "meta_access_token": encrypt(ACCESS_TOKEN, keys),
                "status": NumberStatus.ACTIVE,
                "rate_limit_per_minute": 4800,
                "daily_message_limit": None,
                **fields,
            }
        )
    )
    if campaign is not None:
        link_number(campaign, number)
    return number


def make_campaign(*, number: WhatsappNumber | None = None, **fields: Any) -> Campaign:
    """An active campaign, open at all hours, without bot and without automatic texts."""
    n = next(_numbers)
    campaign = save(
        Campaign(**{"name": f"Campaña {n}", "code": f"C{n}", "bot_enabled": False, **fields})
    )
    if number is not None:
        link_number(campaign, number)
    return campaign


def link_number(campaign: Campaign, number: WhatsappNumber, **fields: Any) -> CampaignNumber:
    """Let a campaign take the number's new chats, and write from it."""
    return save(
        CampaignNumber(
            **{
                "campaign_id": campaign.id,
                "whatsapp_number_id": number.id,
                "is_primary": True,
                **fields,
            }
        )
    )


def link_agent(campaign: Campaign, user: User, **fields: Any) -> CampaignAgent:
    """Let a person work in a campaign."""
    return save(CampaignAgent(campaign_id=campaign.id, user_id=user.id, **fields))


def make_queue(campaign: Campaign, **fields: Any) -> Queue:
    return save(Queue(**{"campaign_id": campaign.id, "name": f"Cola {next(_numbers)}", **fields}))


def make_rule(campaign: Campaign, *, action: RuleAction, **fields: Any) -> RoutingRule:
    return save(
        RoutingRule(
            **{
                "campaign_id": campaign.id,
                "name": f"Regla {next(_numbers)}",
                "action": action,
                **fields,
            }
        )
    )


def make_client(*, phone_number: str | None = "", **fields: Any) -> Client:
    """A customer with a phone, known by its `wa_id`; `phone_number=None` makes one without."""
    n = next(_numbers)
    phone = f"+57300{1000000 + n}" if phone_number == "" else phone_number
    client = save(
        Client(
            **{
                "phone_number": phone,
                "first_name": "Cliente",
                "last_name": f"Número {n}",
                "country": "CO",
                **fields,
            }
        )
    )
    if phone:
        make_identity(client, value=phone.lstrip("+"))
    return client


def make_identity(client: Client, *, value: str, **fields: Any) -> ClientIdentity:
    return save(
        ClientIdentity(
            **{"client_id": client.id, "kind": IdentityKind.WA_ID, "value": value, **fields}
        )
    )


def make_chat(
    *,
    campaign: Campaign | None = None,
    number: WhatsappNumber | None = None,
    client: Client | None = None,
    agent: User | None = None,
    **fields: Any,
) -> Chat:
    """A chat of a new client, in `new`; with `agent` in `assigned`. Its times fit its status."""
    campaign = campaign or make_campaign()
    number = number or make_number(campaign=campaign)
    client = client or make_client()
    if agent is not None:
        fields = {"assigned_agent_id": agent.id, "status": ChatStatus.ASSIGNED, **fields}
    status = ChatStatus(fields.setdefault("status", ChatStatus.NEW))
    now = utcnow()
    if status in LOAD_STATUSES:
        fields.setdefault("assigned_at", now)
        fields.setdefault("owner", ChatOwner.HUMAN)
    if status is ChatStatus.QUEUED:
        fields.setdefault("queued_at", now)
    if status is ChatStatus.ACTIVE:
        fields.setdefault("first_response_at", now)
    if status.is_final:
        fields.setdefault("closed_at", now)
    return save(
        Chat(
            **{
                "client_id": client.id,
                "campaign_id": campaign.id,
                "whatsapp_number_id": number.id,
                "case_number": next_case_number(campaign.code, campaign.timezone),
                "last_inbound_at": now,
                "last_message_at": now,
                **fields,
            }
        )
    )


def make_message(chat: Chat, *, content: str = "Hola", **fields: Any) -> Message:
    """A text of the customer, or with `direction="outbound"` one of ours.

    The chat's counters follow. Each message stands after the one before it, whatever the clock.
    """
    n = next(_numbers)
    direction = Direction(fields.setdefault("direction", Direction.INBOUND))
    is_inbound = direction is Direction.INBOUND
    moment = fields.get("position") or utcnow() + timedelta(microseconds=n)
    status = MessageStatus(
        fields.setdefault(
            "status", MessageStatus.DELIVERED if is_inbound else MessageStatus.PENDING
        )
    )
    if is_inbound or status.rank:
        fields.setdefault("whatsapp_message_id", f"wamid.TEST{n:08d}")
    if not is_inbound:
        fields.setdefault("client_key", uuid.uuid4())
    message = save(
        Message(
            **{
                "chat_id": chat.id,
                "client_id": chat.client_id,
                "whatsapp_number_id": chat.whatsapp_number_id,
                "content": content,
                "position": moment,
                **fields,
            }
        )
    )
    chat.message_count += 1
    chat.last_message_id = message.id
    chat.last_message_at = moment
    if is_inbound:
        chat.last_inbound_at = moment
        chat.unread_count += 1
        chat.waiting_since = chat.waiting_since or moment
    elif not message.is_bot_message:
        chat.waiting_since = None
    db.session.flush()
    return message


def make_file(message: Message, **fields: Any) -> File:
    """A sound that hangs on a message, with bytes in the store (they are no real sound)."""
    n = next(_numbers)
    key = f"2026/01/test{n:08d}.mp3"
    with tempfile.NamedTemporaryFile() as source:
        source.write(b"ID3 no sound")
        source.flush()
        file_store.store.put(key, Path(source.name))
    file = save(
        File(
            **{
                "filename": f"test{n:08d}.mp3",
                "original_filename": "sonido.mp3",
                "mime_type": "audio/mpeg",
                "size_bytes": 12,
                "file_path": key,
                "thumbnail_path": key,
                "playable_path": key,
                "related_entity_type": "message",
                "related_entity_id": message.id,
                **fields,
            }
        )
    )
    message.media_file_id = file.id
    db.session.flush()
    return file


def make_queued_message(
    chat: Chat, *, queue: dict[str, Any] | None = None, **fields: Any
) -> Message:
    """An outbound message with its row in the queue, due now; `queue` sets that row's columns."""
    message = make_message(chat, **{"direction": Direction.OUTBOUND, **fields})
    save(
        QueuedMessage(
            message_id=message.id,
            chat_id=chat.id,
            whatsapp_number_id=chat.whatsapp_number_id,
            **(queue or {}),
        )
    )
    return message
