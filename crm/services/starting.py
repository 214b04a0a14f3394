"""Chats that an agent begins: whom to write to, from which number, with which template.

The chat is pending and theirs: nobody waits and no target runs before the customer answers. Where
one is open with this customer on that number, it is opened instead of a second one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert

from crm.db import db
from crm.errors import Conflict, Invalid, NotFound
from crm.lib.phone import country_of, read_dialled, spellings
from crm.models import (
    Campaign,
    CampaignNumber,
    CampaignStatus,
    Chat,
    Client,
    ClientIdentity,
    File,
    IdentityKind,
    NumberStatus,
    PendingReason,
    User,
    WhatsappNumber,
)
from crm.permissions import SUPER_ADMIN, Scope
from crm.services import templates
from crm.services.chats import find_open_chat, lock_chat, open_chat, person
from crm.services.chats.pending import set_pending
from crm.services.kit import matches
from crm.services.messages import window
from crm.services.messages.consent import has_agreed

MOST_CLIENTS = 12


class NoNumber(Conflict):
    code = "no_number"
    message = "This campaign has no number that is connected: it cannot write to anybody."


class OfSomebodyElse(Conflict):
    code = "of_somebody_else"
    message = "%(agent)s attends this customer already."


@dataclass(frozen=True)
class Beginning:
    """Where a new chat would go. `open_chat_id`: it is there already."""

    client: Client
    campaign: Campaign
    number: WhatsappNumber
    open_chat_id: int | None
    window_open: bool

    @property
    def has_agreed(self) -> bool:
        """Whether advertising may be sent to the customer."""
        return has_agreed(self.client)


def find_campaigns(scope: Scope) -> list[Campaign]:
    """The active campaigns from which this person may begin a chat."""
    statement = select(Campaign).where(
        Campaign.status == CampaignStatus.ACTIVE, Campaign.deleted_at.is_(None)
    )
    if scope.role != SUPER_ADMIN:
        statement = statement.where(Campaign.id.in_(scope.campaign_ids))
    return list(db.session.scalars(statement.order_by(Campaign.name)))


def find_clients(text: str) -> list[Client]:
    """Customers by name or phone, the last contacted first."""
    digits = "".join(char for char in text if char.isdigit())
    found = matches(text, (Client.first_name, Client.last_name, Client.company))
    if len(digits) >= 4:
        found = or_(found, Client.phone_number.contains(digits, autoescape=True))
    return list(
        db.session.scalars(
            select(Client)
            .where(Client.deleted_at.is_(None), Client.is_group.is_(False), found)
            .order_by(Client.last_contact_at.desc().nulls_last(), Client.id.desc())
            .limit(MOST_CLIENTS)
        )
    )


def add_client(phone: str, *, first_name: str, created_by: int) -> Client:
    """The customer with this phone, made if nobody has it. Invalid for what is no phone.

    Every spelling that WhatsApp uses for one phone is the same person.
    """
    wa_id = read_phone(phone)
    known = db.session.scalar(
        select(Client)
        .join(ClientIdentity, ClientIdentity.client_id == Client.id)
        .where(
            ClientIdentity.kind == IdentityKind.WA_ID, ClientIdentity.value.in_(spellings(wa_id))
        )
        .limit(1)
    ) or db.session.scalar(
        select(Client).where(Client.phone_number.in_([f"+{s}" for s in spellings(wa_id)])).limit(1)
    )
    if known is not None:
        return known
    db.session.execute(
        insert(Client)
        .values(
            phone_number=f"+{wa_id}",
            first_name=first_name.strip()[:100] or None,
            country=country_of(wa_id),
            created_by=created_by,
        )
        .on_conflict_do_nothing(index_elements=["phone_number"])
    )
    return db.session.scalars(select(Client).where(Client.phone_number == f"+{wa_id}")).one()


def read_phone(text: str) -> str:
    """ "300 123 4567" or "+52 55 1234 5678" -> digits with the country's code."""
    wa_id = read_dialled(text)
    if wa_id is None:
        raise Invalid("Write the number with its country: +57 300 123 4567.")
    return wa_id


def look_ahead(scope: Scope, *, client_id: int, campaign_id: int) -> Beginning:
    """Where a chat with this customer in this campaign would stand. NotFound, NoNumber."""
    client = db.session.get(Client, client_id)
    campaign = next((row for row in find_campaigns(scope) if row.id == campaign_id), None)
    if client is None or client.deleted_at is not None or campaign is None:
        raise NotFound
    number = db.session.scalar(
        select(WhatsappNumber)
        .join(CampaignNumber, CampaignNumber.whatsapp_number_id == WhatsappNumber.id)
        .where(
            CampaignNumber.campaign_id == campaign.id,
            WhatsappNumber.deleted_at.is_(None),
            WhatsappNumber.status == NumberStatus.ACTIVE,
        )
        .order_by(CampaignNumber.is_primary.desc(), CampaignNumber.priority.desc())
        .limit(1)
    )
    if number is None:
        raise NoNumber
    found = find_open_chat(client_id=client.id, whatsapp_number_id=number.id)
    is_open = window.is_open(
        client_id=client.id, whatsapp_number_id=number.id, provider=number.provider
    )
    return Beginning(client, campaign, number, found.id if found else None, is_open)


def start_chat(
    scope: Scope,
    *,
    user: User,
    client_id: int,
    campaign_id: int,
    template_id: int | None = None,
    values: Mapping[str, str] | None = None,
    client_key: UUID | None = None,
    file: File | None = None,
) -> Chat:
    """Begin a chat with a template; without one only inside the window.

    Raises what `look_ahead` and `queue_template` raise, and Invalid where a template is needed.
    The same `client_key` again is the same message.
    """
    db.session.scalars(
        select(Client).where(Client.id == client_id).with_for_update(key_share=True, of=Client)
    ).one_or_none()
    ahead = look_ahead(scope, client_id=client_id, campaign_id=campaign_id)
    if ahead.open_chat_id is not None:
        return lock_chat(ahead.open_chat_id)
    if template_id is None and not ahead.window_open:
        raise Invalid("Choose a template: this customer has not written for a day.")
    chat, is_new = open_chat(
        client_id=client_id,
        campaign_id=campaign_id,
        whatsapp_number_id=ahead.number.id,
        actor=person(user.id),
        reason="agent_started",
    )
    if is_new:
        chat = set_pending(
            chat, actor=person(user.id), reason=PendingReason.CUSTOMER, agent_id=user.id
        )
    if template_id is not None:
        templates.queue_template(
            chat, template_id, values or {}, author=user, client_key=client_key, file=file
        )
    return chat
