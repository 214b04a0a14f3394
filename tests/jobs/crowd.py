"""Many customers at once, and a message for each of them; written in sets, as speed wants it."""

from __future__ import annotations

from sqlalchemy import text

from crm.db import atomic, db
from crm.models import WhatsappNumber
from crm.services.messages.outbound import Priority

CROWD = text("""
    WITH people AS (
        INSERT INTO clients (first_name, phone_number)
        SELECT 'Cliente ' || n, '+' || (573000000000 + :number_id * 1000000 + n)
        FROM generate_series(1, :count) AS n
        RETURNING id, phone_number
    ), known AS (
        INSERT INTO client_identities (client_id, kind, value)
        SELECT id, 'wa_id', ltrim(phone_number, '+') FROM people
    )
    INSERT INTO chats (client_id, campaign_id, whatsapp_number_id, case_number, status, owner,
                       last_inbound_at)
    SELECT people.id, c.campaign_id, :number_id, 'M-' || people.id, 'active', 'human', now()
    FROM people,
         (SELECT campaign_id FROM campaign_numbers WHERE whatsapp_number_id = :number_id) AS c
    RETURNING id
""")

QUEUE = text("""
    WITH written AS (
        INSERT INTO messages (chat_id, client_id, whatsapp_number_id, direction, message_type,
                              content, client_key, status, max_retries)
        SELECT c.id, c.client_id, c.whatsapp_number_id, 'outbound', 'text',
               :words || ' ' || c.id || ' ' || n, gen_random_uuid(), 'pending', 6
        FROM generate_series(1, :each) AS n, chats c WHERE c.id = ANY(CAST(:chats AS int[]))
        ORDER BY n, c.id
        RETURNING id, chat_id, whatsapp_number_id
    )
    INSERT INTO message_queue (message_id, chat_id, whatsapp_number_id, priority, scheduled_at)
    SELECT id, chat_id, whatsapp_number_id, :priority, clock_timestamp() FROM written ORDER BY id
""")


def gather(number: WhatsappNumber, *, count: int) -> list[int]:
    """So many customers who have just written; the ids of their chats."""
    with atomic():
        found = db.session.scalars(CROWD, {"count": count, "number_id": number.id})
        return sorted(found)


def write_to_all(chats: list[int], words: str, *, each: int = 1, priority: Priority) -> None:
    given = {"chats": chats, "words": words, "each": each, "priority": int(priority)}
    with atomic():
        db.session.execute(QUEUE, given)
