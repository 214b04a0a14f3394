"""One person, two names: the phone (`573...@c.us`) and the hidden id (`2...@lid`).

WhatsApp Web writes sometimes the one and sometimes the other, so that an answer may come from a
stranger. Which belongs to which is asked once, and kept among the client's identities both ways;
where both turn out to be clients already, the way in has them merged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import structlog
from sqlalchemy import select

from crm.db import db
from crm.models import ClientIdentity, IdentityKind
from crm.providers.base import CallEvent, EchoedMessage, Event, InboundMessage, Sender
from crm.providers.wppconnect.gateway import GatewayError, Pair

log = structlog.get_logger(__name__)

# A set of events names few people; more than this are asked another time.
MOST_ASKED = 10


def find_unknown_lids(events: Iterable[Event]) -> list[str]:
    """Hidden ids in these events that stand alone and that no client with a phone has."""
    alone = {
        person.lid
        for event in events
        if (person := _person(event)) is not None and person.lid and not person.wa_id
    }
    if not alone:
        return []
    known = _known_phones(alone)
    return sorted(alone - known.keys())


def with_phones(events: Sequence[Event], found: Mapping[str, str]) -> list[Event]:
    """The same events, each hidden id with the phone that we know or were just told."""
    lids = {person.lid for event in events if (person := _person(event)) and person.lid}
    phones = {**_known_phones(lids), **found} if lids else {}
    return [_with_phone(event, phones) for event in events]


def ask_for_phones(lids: Sequence[str], ask: Callable[[str], Pair]) -> dict[str, str]:
    """Ask the gateway for the phones of hidden ids; who cannot be found stays hidden.

    A call each: never inside a transaction.
    """
    found: dict[str, str] = {}
    for lid in lids[:MOST_ASKED]:
        try:
            pair = ask(f"{lid}@lid")
        except GatewayError as error:
            log.warning("lid_not_resolved", reason=error.reason)
            if error.reason == "unreachable":
                break
            continue
        if pair.phone and pair.lid in (lid, None):
            found[lid] = pair.phone
    return found


def _known_phones(lids: Iterable[str]) -> dict[str, str]:
    """lid -> phone digits, from the identities of one client."""
    lid, phone = ClientIdentity.__table__.alias("lid"), ClientIdentity.__table__.alias("phone")
    rows = db.session.execute(
        select(lid.c.value, phone.c.value)
        .join(phone, phone.c.client_id == lid.c.client_id)
        .where(
            lid.c.kind == IdentityKind.LID,
            lid.c.value.in_(sorted(lids)),
            phone.c.kind == IdentityKind.WA_ID,
        )
        .order_by(phone.c.last_seen_at, phone.c.id)
    )
    return {row[0]: row[1] for row in rows}


def _person(event: Event) -> Sender | None:
    match event:
        case InboundMessage():
            return event.sender
        case EchoedMessage():
            return event.recipient
        case CallEvent():
            return event.person
    return None


def _with_phone(event: Event, phones: Mapping[str, str]) -> Event:
    person = _person(event)
    if person is None or person.wa_id or not person.lid or person.lid not in phones:
        return event
    whole = replace(person, wa_id=phones[person.lid])
    match event:
        case InboundMessage():
            return replace(event, sender=whole)
        case EchoedMessage():
            return replace(event, recipient=whole)
        case CallEvent():
            return replace(event, person=whole)
    return event
