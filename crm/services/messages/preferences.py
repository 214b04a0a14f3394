"""Opting out of advertising and in again, as customers tell WhatsApp itself; kept with proof.

`clients.opt_in_date` is set while advertising is wished for; without it only service replies leave.
The newest choice counts, whatever comes first. `opt_in` goes with a word of the customer's own, or
by an agent's hand.
"""

from __future__ import annotations

from datetime import datetime
from itertools import takewhile

from sqlalchemy import select, text

from crm.db import database_now, db
from crm.models import Client, ConsentValue
from crm.providers.base import PreferenceChange
from crm.services.messages.ledger import Post
from crm.services.messages.senders import claim_clients
from crm.services.messages.threads import Number

MARKETING = "marketing_messages"

KEEP = text("""
    INSERT INTO client_consents (client_id, category, value, source, detail, occurred_at)
    VALUES (:client_id, :category, :value, :source, :detail, :at)
    ON CONFLICT DO NOTHING
""")
# The newest first; of two at the same moment the stop counts.
TOLD = text("""
    SELECT value, source, occurred_at FROM client_consents
    WHERE client_id = :client_id AND category = :category
    ORDER BY occurred_at DESC, value = 'stop' DESC
""")


def apply_preference(event: PreferenceChange, number: Number, post: Post) -> None:
    """What one customer has chosen. Inside `atomic()`."""
    if event.value not in set(ConsentValue):
        post.note("unknown_preference", event, f"the choice {event.value!r} is new")
        return
    if not event.person.identities:
        post.note("no_recipient", event, "the choice does not say whose it is")
        return
    person = claim_clients([event.person], {})[0]
    record_consent(
        person.id,
        value=ConsentValue(event.value),
        category=event.category or MARKETING,
        at=event.occurred_at,
        source="whatsapp",
        detail=event.detail,
    )


def record_consent(
    client_id: int,
    *,
    value: ConsentValue,
    at: datetime | None,
    source: str,
    category: str = MARKETING,
    detail: str = "",
) -> None:
    """Keep the proof, and let the newest choice stand on the client."""
    values = {
        "client_id": client_id,
        "category": category,
        "value": value.value,
        "source": source,
        "detail": detail or None,
        "at": at or database_now(),
    }
    db.session.execute(KEEP, values)
    if category != MARKETING:
        return
    told = db.session.execute(TOLD, values).all()
    stops = list(takewhile(lambda choice: choice.value == ConsentValue.STOP, told))
    client = db.session.scalars(
        select(Client)
        .where(Client.id == client_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).one()
    if not stops:
        client.opt_in, client.opt_in_date = True, told[0].occurred_at
    else:
        client.opt_in_date = None
        # Said to us, and not taken back since, whichever of the two came first.
        client.opt_in = client.opt_in and all(choice.source != "word" for choice in stops)
    db.session.flush()
