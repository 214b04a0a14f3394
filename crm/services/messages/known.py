"""What is known about a set of deliveries, read and locked in one statement.

Numbers, clients by identity, messages that are stored already, and open chats: everything that the
usual delivery needs. A statement for each would cost as much as storing the messages does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from crm.providers.base import Event, InboundMessage
from crm.services.messages.prepared import Prepared
from crm.services.messages.senders import Identity, Person, find_people
from crm.services.messages.threads import Key, Number, Thread, lock_open

# The clients are locked without waiting: who waited would wake up with chats and messages read
# before the other transaction committed. Rows that are locked elsewhere are left out and read
# again by statements of their own, in the usual order. What slips between this statement's
# snapshot and its locks is caught by the unique indexes, and looked at again before a chat opens.
READ = Prepared(
    "read_known",
    {"numbers": "text[]", "kinds": "text[]", "values": "text[]", "ids": "text[]"},
    """
    WITH number AS (
        SELECT DISTINCT ON (n.id) n.id, k.phone_number_id, c.id AS campaign_id, n.uses_phone
        FROM whatsapp_numbers n
        CROSS JOIN LATERAL (SELECT CASE n.provider WHEN 'meta' THEN n.meta_phone_number_id
                                   ELSE 'wppconnect:' || n.id END AS phone_number_id) k
        LEFT JOIN campaign_numbers l ON l.whatsapp_number_id = n.id
        LEFT JOIN campaigns c
               ON c.id = l.campaign_id AND c.status IN ('active', 'paused') AND c.deleted_at IS NULL
        WHERE k.phone_number_id = ANY($1) AND n.deleted_at IS NULL
        ORDER BY n.id, c.id IS NULL, c.status = 'active' DESC, l.priority DESC, c.id
    ), found AS (
        SELECT wanted.kind, wanted.value, i.client_id
        FROM unnest($2, $3) AS wanted(kind, value)
        CROSS JOIN LATERAL (SELECT client_id FROM client_identities
                            WHERE kind = wanted.kind AND value = wanted.value LIMIT 1) AS i
    ), client AS (
        SELECT locked.*
        FROM (SELECT DISTINCT client_id FROM found ORDER BY client_id) AS f
        CROSS JOIN LATERAL (
            SELECT id, is_blocked, COALESCE(first_name, '') = '' AS is_nameless
            FROM clients WHERE id = f.client_id LIMIT 1
            FOR NO KEY UPDATE SKIP LOCKED) AS locked
    ), chat AS (
        SELECT locked.*
        FROM (SELECT o.id FROM client CROSS JOIN number
              CROSS JOIN LATERAL (SELECT id FROM chats
                                  WHERE client_id = client.id AND whatsapp_number_id = number.id
                                    AND status NOT IN ('closed', 'abandoned')
                                    AND deleted_at IS NULL LIMIT 1) AS o
              ORDER BY o.id) AS open
        CROSS JOIN LATERAL (
            SELECT id, client_id, whatsapp_number_id, campaign_id, status, assigned_agent_id,
                   offered_agent_id, owner
            FROM chats
            WHERE id = open.id AND status NOT IN ('closed', 'abandoned') AND deleted_at IS NULL
            LIMIT 1 FOR NO KEY UPDATE) AS locked
    )
    SELECT
        (SELECT json_agg(json_build_array(id, phone_number_id, campaign_id, uses_phone))
         FROM number),
        (SELECT json_agg(json_build_array(kind, value, client_id, id, is_blocked, is_nameless))
         FROM found LEFT JOIN client ON client.id = found.client_id),
        (SELECT json_agg(json_build_array(id, client_id, whatsapp_number_id, campaign_id, status,
                                          assigned_agent_id, offered_agent_id, owner)) FROM chat),
        (SELECT json_agg(id) FROM unnest($4) AS given(id) CROSS JOIN LATERAL
            (SELECT FROM messages WHERE whatsapp_message_id = given.id LIMIT 1) AS stored)
""",
)


@dataclass(slots=True)
class Known:
    """What one transaction has read and locked so far."""

    numbers: dict[str, Number] = field(default_factory=dict)
    people: dict[Identity, Person] = field(default_factory=dict)
    threads: dict[Key, Thread] = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)


def read_known(events: Iterable[Event]) -> Known:
    """Look up whatever these events name."""
    numbers: set[str] = set()
    identities: set[Identity] = set()
    ids: list[str] = []
    for event in events:
        if event.phone_number_id:
            numbers.add(event.phone_number_id)
        if isinstance(event, InboundMessage):
            identities.update(event.sender.identities)
            ids.append(event.whatsapp_message_id)
    if not numbers:
        return Known()
    pairs = sorted(identities)
    row = READ.run(
        numbers=sorted(numbers),
        kinds=[kind for kind, _ in pairs],
        values=[value for _, value in pairs],
        ids=ids,
    ).one()
    return _known(*(part or [] for part in row))


def _known(
    numbers: Sequence[Any], found: Sequence[Any], chats: Sequence[Any], stored: Sequence[str]
) -> Known:
    known = Known(stored=set(stored))
    for number_id, phone_number_id, campaign_id, uses_phone in numbers:
        known.numbers[phone_number_id] = Number(number_id, phone_number_id, campaign_id, uses_phone)
    people: dict[int, Person] = {}
    busy: set[Identity] = set()
    for kind, value, _, client_id, is_blocked, is_nameless in found:
        if client_id is None:
            busy.add((kind, value))
            continue
        person = people.setdefault(client_id, Person(client_id, is_blocked, is_nameless))
        person.identities.add((kind, value))
        known.people[kind, value] = person
    for chat in chats:
        thread = Thread(*chat)
        known.threads[thread.client_id, thread.number_id] = thread
    if busy:
        _wait_for(busy, known)
    return known


def _wait_for(busy: set[Identity], known: Known) -> None:
    """Clients on whom another transaction works just now: after it, what stands then is read."""
    find_people(known.people, busy)
    ids = {known.people[identity].id for identity in busy if identity in known.people}
    keys = [(client_id, number.id) for client_id in ids for number in known.numbers.values()]
    known.threads |= lock_open(keys)
