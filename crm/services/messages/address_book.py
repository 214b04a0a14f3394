"""Names: the address book of a number's phone, and what groups are called."""

from __future__ import annotations

from sqlalchemy import text

from crm.db import db
from crm.lib.phone import spellings
from crm.providers.base import ContactChange, GroupChange, Sender
from crm.services.messages.ledger import Post
from crm.services.messages.news import is_news
from crm.services.messages.senders import claim_clients
from crm.services.messages.threads import Number

KEEP = text("""
    INSERT INTO phone_contacts (whatsapp_number_id, wa_id, full_name, first_name, occurred_at)
    VALUES (:number_id, :wa_id, :full_name, :first_name, COALESCE(:at, now()))
    ON CONFLICT (whatsapp_number_id, wa_id) DO UPDATE
    SET full_name = EXCLUDED.full_name, first_name = EXCLUDED.first_name,
        occurred_at = EXCLUDED.occurred_at
    WHERE phone_contacts.occurred_at <= EXCLUDED.occurred_at
    RETURNING wa_id
""")

# A name that somebody typed here is never overwritten; one that came from the profile is.
NAME = text("""
    UPDATE clients c SET first_name = left(:full_name, 100), updated_at = now()
    FROM client_identities i
    WHERE i.client_id = c.id AND i.kind = 'wa_id' AND i.value = ANY(CAST(:wa_ids AS text[]))
      AND COALESCE(c.last_name, '') = ''
      AND (COALESCE(c.first_name, '') = '' OR c.first_name = left(i.profile_name, 100))
""")

NAME_GROUP = text("""
    UPDATE clients SET first_name = left(:subject, 100), updated_at = now() WHERE id = :id
""")


def remember_contact(event: ContactChange, number: Number, post: Post) -> None:
    """Somebody stands in the phone's address book, or no longer does. Inside `atomic()`."""
    newer = db.session.scalar(
        KEEP,
        {
            "number_id": number.id,
            "wa_id": event.wa_id,
            "full_name": event.full_name or event.first_name,
            "first_name": event.first_name,
            "at": event.occurred_at,
        },
    )
    name = event.full_name or event.first_name
    if newer and name:
        wa_ids = list(spellings(event.wa_id))
        db.session.execute(NAME, {"full_name": name, "wa_ids": wa_ids})


def name_group(event: GroupChange, number: Number, post: Post) -> None:
    """A group is created or called otherwise; what else happens in it is its members' affair."""
    if not event.subject or not is_news(f"group:{event.group_id}:subject", event.occurred_at):
        return
    group = claim_clients([Sender(group_id=event.group_id)], {})[0]
    db.session.execute(NAME_GROUP, {"id": group.id, "subject": event.subject})
