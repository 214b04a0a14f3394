"""Finds or creates the clients behind a set of inbound messages, and locks their rows.

A client is known by identities: WhatsApp number, business-scoped user id, and so on. Any one that
matches is enough; those that are new are added to the client. Two transactions that meet the same
newcomer at the same instant queue up on advisory locks, so that one creates and the other finds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from sqlalchemy import text

from crm.db import db
from crm.doorbell import ring_on_commit
from crm.lib.phone import country_of, phone_of, spellings
from crm.providers.base import Sender

Identity = tuple[str, str]


@dataclass
class Person:
    """A client's row as far as the way in needs it; locked until the end of the transaction."""

    id: int
    is_blocked: bool
    is_nameless: bool
    identities: set[Identity] = field(default_factory=set)


FIND = text("""
    SELECT i.kind, i.value, c.id, c.is_blocked, COALESCE(c.first_name, '') = '' AS is_nameless
    FROM unnest(CAST(:kinds AS text[]), CAST(:values AS text[])) AS wanted(kind, value)
    JOIN client_identities i ON i.kind = wanted.kind AND i.value = wanted.value
    JOIN clients c ON c.id = i.client_id
    ORDER BY c.id
    FOR NO KEY UPDATE OF c
""")

FIND_BY_PHONE = text("""
    SELECT phone_number, id, is_blocked, COALESCE(first_name, '') = '' AS is_nameless
    FROM clients WHERE phone_number = ANY(CAST(:phones AS text[]))
    ORDER BY id
    FOR NO KEY UPDATE
""")

# Waits for other transactions that are just creating one of these people. Sorted by the caller.
QUEUE_UP = text("SELECT pg_advisory_xact_lock(key) FROM unnest(CAST(:keys AS bigint[])) AS key")

# Somebody whom the number's phone knows by name is called so here.
CREATE = text("""
    INSERT INTO clients (phone_number, first_name, country, is_group)
    SELECT :phone, COALESCE(
               (SELECT left(full_name, 100) FROM phone_contacts
                WHERE wa_id = ANY(CAST(:wa_ids AS text[])) AND full_name IS NOT NULL
                ORDER BY occurred_at DESC LIMIT 1), :first_name), :country, :is_group
    ON CONFLICT (phone_number) DO NOTHING
    RETURNING id
""")

ADD_IDENTITIES = text("""
    INSERT INTO client_identities (client_id, kind, value, profile_name, username)
    SELECT client_id, kind, value, profile_name, username
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
         AS r(client_id int, kind text, value text, profile_name text, username text)
    ON CONFLICT (kind, value) DO NOTHING
""")


def claim_clients(senders: Sequence[Sender], known: dict[Identity, Person]) -> list[Person]:
    """The client of each sender, in order, found or created, its row locked.

    `known` holds those that are locked already. A sender without any identity becomes a client of
    their own each time: nobody can be recognised by a name.
    """
    strangers = [sender for sender in senders if not any(i in known for i in sender.identities)]
    if strangers:
        _queue_up(strangers)
        find_people(known, {i for sender in strangers for i in _wider(sender)})
        _find_by_phone(known, strangers)
    people = [_recognise(known, sender) for sender in senders]
    pairs = list(zip(senders, people, strict=True))
    _remember(pairs)
    for sender, person in pairs:
        for other in {known[i].id for i in sender.identities if i in known} - {person.id}:
            # Two clients turn out to be one person, who came without a number before.
            ring_on_commit("clients.merge", f"{person.id}:{other}")
    return people


def _wider(sender: Sender) -> Iterable[Identity]:
    """Identities plus the other spellings of the number."""
    for kind, value in sender.identities:
        if kind == "wa_id":
            yield from (("wa_id", spelling) for spelling in spellings(value))
        else:
            yield kind, value


def find_people(known: dict[Identity, Person], wanted: set[Identity]) -> None:
    """Add to `known` the clients with these identities; waits for their rows and locks them."""
    if not wanted:
        return
    pairs = sorted(wanted)
    rows = db.session.execute(
        FIND, {"kinds": [kind for kind, _ in pairs], "values": [value for _, value in pairs]}
    )
    people = {person.id: person for person in known.values()}
    for kind, value, client_id, blocked, nameless in rows:
        person = people.setdefault(client_id, Person(client_id, blocked, nameless))
        person.identities.add((kind, value))
        known[kind, value] = person


def _find_by_phone(known: dict[Identity, Person], strangers: list[Sender]) -> None:
    """Clients who were imported or created by hand have a phone and no identity yet."""
    phones = {
        phone: ("wa_id", value)
        for sender in strangers
        for kind, value in _wider(sender)
        if kind == "wa_id" and (phone := phone_of(value))
    }
    if not phones:
        return
    people = {person.id: person for person in known.values()}
    rows = db.session.execute(FIND_BY_PHONE, {"phones": sorted(phones)})
    for phone, client_id, blocked, nameless in rows:
        person = people.setdefault(client_id, Person(client_id, blocked, nameless))
        known.setdefault(phones[phone], person)


def _queue_up(strangers: list[Sender]) -> None:
    keys = {_lock_key(i) for sender in strangers for i in _wider(sender)}
    if keys:
        db.session.execute(QUEUE_UP, {"keys": sorted(keys)})


def _lock_key(identity: Identity) -> int:
    digest = hashlib.blake2b(":".join(("client", *identity)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _recognise(known: dict[Identity, Person], sender: Sender) -> Person:
    # Chained: the other spellings are worked out only where the first do not fit.
    for identity in chain(sender.identities, _wider(sender)):
        if person := known.get(identity):
            return person
    person = _create(sender)
    for identity in _wider(sender):
        known[identity] = person
    return person


def _create(sender: Sender) -> Person:
    number = sender.wa_id or sender.other_wa_id
    first_name = (sender.profile_name or "")[:100].strip() or None
    values: dict[str, Any] = {
        "phone": phone_of(number),
        "first_name": first_name,
        "country": country_of(number),
        "wa_ids": list(spellings(number)) if number else [],
        "is_group": sender.group_id is not None,
    }
    client_id = db.session.execute(CREATE, values).scalar()
    if client_id is not None:
        return Person(client_id, False, first_name is None)
    # Somebody typed the same phone into the client form a moment ago.
    row = db.session.execute(FIND_BY_PHONE, {"phones": [values["phone"]]}).one()
    return Person(row.id, row.is_blocked, row.is_nameless)


def _remember(pairs: list[tuple[Sender, Person]]) -> None:
    """Add what is new about a known client: a user id, a second spelling."""
    rows = []
    for sender, person in pairs:
        for identity in sender.identities:
            if identity in person.identities:
                continue
            person.identities.add(identity)
            rows.append(
                {
                    "client_id": person.id,
                    "kind": identity[0],
                    "value": identity[1],
                    "profile_name": sender.profile_name,
                    "username": (sender.username or "")[:100] or None,
                }
            )
    if rows:
        db.session.execute(ADD_IDENTITIES, {"rows": json.dumps(rows)})
