"""What one delivery holds, event by event, and where in the product that stands."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, select

from crm.db import db
from crm.models import Chat, Client, Message, Provider, Template, WebhookEvent
from crm.providers.base import Event
from crm.providers.meta.webhook import parse as parse_meta
from crm.services.inbox.naming import name_client
from crm.services.ledger.kinds import Content, content_of
from crm.services.wppconnect.arrivals import read_again

MOST_BYTES = 4 * 1024 * 1024
MOST_LINES = 50


@dataclass(frozen=True)
class Place:
    """Where a message of a delivery stands, and the customer's name (empty where there is none)."""

    chat_id: int
    message_id: int
    name: str


@dataclass(frozen=True)
class Places:
    """What of some deliveries one person may go to, by the provider's ids."""

    messages: dict[str, Place]
    templates: dict[str, int]


def find_places(
    contents: Iterable[Content], *, visible: ColumnElement[bool], phones_visible: bool
) -> Places:
    """The messages and templates that are named, in two queries at most.

    `visible` is `permissions.visible_chats(scope)`: of the other chats nothing is told.
    """
    messages: set[str] = set()
    templates: set[str] = set()
    for content in contents:
        if content.id:
            (templates if content.what == "template" else messages).add(content.id)
    return Places(
        _find_messages(messages, visible, phones_visible=phones_visible) if messages else {},
        _find_templates(templates) if templates else {},
    )


def _find_messages(
    ids: Collection[str], visible: ColumnElement[bool], *, phones_visible: bool
) -> dict[str, Place]:
    rows = db.session.execute(
        select(
            Message.whatsapp_message_id,
            Message.id,
            Message.chat_id,
            Client.id.label("client_id"),
            Client.first_name,
            Client.last_name,
            Client.phone_number,
        )
        .join(Chat, Chat.id == Message.chat_id)
        .join(Client, Client.id == Chat.client_id)
        .where(Message.whatsapp_message_id.in_(ids), visible)
    )
    return {
        row.whatsapp_message_id: Place(
            row.chat_id,
            row.id,
            name_client(
                client_id=row.client_id,
                first_name=row.first_name,
                last_name=row.last_name,
                phone_number=row.phone_number,
                phones_visible=phones_visible,
            ).shown,
        )
        for row in rows
    }


def _find_templates(ids: Collection[str]) -> dict[str, int]:
    """One of each, where several numbers of an account share it."""
    rows = db.session.execute(
        select(Template.template_id, Template.id)
        .where(Template.template_id.in_(ids))
        .order_by(Template.id.desc())
    )
    return {row.template_id: row.id for row in rows}


def find_contents(delivery_id: int) -> list[Content]:
    """The events in it as the provider's reader finds them today; empty where it finds none."""
    found = db.session.execute(
        select(WebhookEvent.provider, WebhookEvent.body, WebhookEvent.whatsapp_number_id).where(
            WebhookEvent.id == delivery_id
        )
    ).one_or_none()
    if found is None or len(found.body) > MOST_BYTES:
        return []
    raw = bytes(found.body)
    try:
        events: Sequence[Event] = (
            parse_meta(raw)
            if found.provider is Provider.META
            else read_again(raw, number_id=found.whatsapp_number_id)
        )
    except (ValueError, RecursionError):
        return []
    return [content_of(event) for event in events[:MOST_LINES]]
