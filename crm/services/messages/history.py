"""A number's past, as its phone hands it over: thousands of messages at once, the pieces unordered.

They land in one closed chat for each customer, at the provider's times, each once. Nothing of it
opens a chat, starts a window, counts as unread or is told to a browser; what was a placeholder gets
its file when the phone sends it later.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import structlog
from sqlalchemy import text

from crm.db import db
from crm.doorbell import ring_on_commit
from crm.models import Direction
from crm.providers.base import HistoricMessage, HistoryChunk, InboundMessage
from crm.services.messages import words
from crm.services.messages.changes import apply_changes
from crm.services.messages.ledger import Post
from crm.services.messages.senders import Person, claim_clients
from crm.services.messages.threads import HISTORIC, Number

log = structlog.get_logger(__name__)

ROWS = 1000
# The provider's word for a tick -> ours. What never left the phone is shown as failed.
TICKS = {
    "read": "read", "played": "read", "delivered": "delivered", "sent": "sent", "error": "failed",
    "failed": "failed",
}  # fmt: skip

QUEUE_UP = text("SELECT pg_advisory_xact_lock(hashtextextended('history:' || :number_id, 0))")

CHATS = text("""
    WITH wanted AS (SELECT DISTINCT c FROM unnest(CAST(:clients AS int[])) AS w(c)), made AS (
        INSERT INTO chats (client_id, whatsapp_number_id, campaign_id, status, case_number,
                           closed_at, close_reason)
        SELECT w.c, :number_id, k.id, 'closed', chat_case_number(k.code, k.timezone), now(),
               :reason
        FROM wanted w JOIN campaigns k ON k.id = :campaign_id
        WHERE NOT EXISTS (
            SELECT FROM chats WHERE client_id = w.c AND whatsapp_number_id = :number_id
                                AND close_reason = :reason AND deleted_at IS NULL)
        RETURNING client_id, id
    )
    SELECT client_id, id FROM made
    UNION ALL
    SELECT client_id, min(id) FROM chats JOIN wanted ON wanted.c = client_id
    WHERE whatsapp_number_id = :number_id AND close_reason = :reason AND deleted_at IS NULL
    GROUP BY client_id
""")

KEEP = text("""
    WITH kept AS (
        INSERT INTO messages (chat_id, client_id, whatsapp_number_id, direction, message_type,
                              content, media_mime_type, metadata, whatsapp_message_id,
                              whatsapp_timestamp, target_whatsapp_id, status, sent_at,
                              delivered_at, read_at, position)
        SELECT chat_id, client_id, :number_id, direction, kind, content, mime, metadata, wamid,
               stamp, target, status, sent_at,
               CASE WHEN status IN ('delivered', 'read') THEN sent_at END,
               CASE WHEN status = 'read' OR direction = 'inbound' THEN sent_at END, sent_at
        FROM jsonb_to_recordset(CAST(:rows AS jsonb))
             AS r(n int, chat_id int, client_id int, direction text, kind text, content text,
                  mime text, metadata jsonb, wamid text, stamp bigint, target text, status text,
                  sent_at timestamptz)
        ORDER BY n
        ON CONFLICT (whatsapp_message_id) DO UPDATE
        SET message_type = EXCLUDED.message_type, content = EXCLUDED.content,
            media_mime_type = EXCLUDED.media_mime_type, metadata = EXCLUDED.metadata,
            updated_at = now()
        WHERE messages.metadata->'unsupported'->>'kind' = 'media_placeholder'
          AND EXCLUDED.message_type <> 'unsupported'
        RETURNING id, metadata
    ), fetches AS (
        INSERT INTO media_fetches (message_id, whatsapp_number_id)
        SELECT id, :number_id FROM kept WHERE metadata -> 'media' ? 'id'
        ON CONFLICT DO NOTHING
    )
    SELECT count(*) AS new, count(*) FILTER (WHERE metadata -> 'media' ? 'id') AS files,
           array_agg(id) AS ids
    FROM kept
""")

# A chat of the past says what stands in it: its counts and its span are read from there.
SETTLE = text("""
    UPDATE chats SET
        message_count = s.counted, last_message_id = s.last_id, last_message_at = s.last_at,
        created_at = s.first_at, closed_at = s.last_at, version = version + 1, updated_at = now()
    FROM (
        SELECT chat_id, min(position) AS first_at, max(position) AS last_at,
               count(*) FILTER (WHERE message_type NOT IN ('reaction', 'system')) AS counted,
               (array_agg(id ORDER BY position DESC, id DESC)
                   FILTER (WHERE message_type NOT IN ('reaction', 'system')))[1] AS last_id
        FROM messages WHERE chat_id = ANY(CAST(:ids AS int[])) GROUP BY chat_id
    ) AS s
    WHERE chats.id = s.chat_id
""")

CONTACTED = text("""
    UPDATE clients SET last_contact_at = GREATEST(clients.last_contact_at, chats.last_message_at)
    FROM chats WHERE chats.id = ANY(CAST(:ids AS int[])) AND clients.id = chats.client_id
""")

SPOKEN_OF = text("""
    SELECT DISTINCT target_whatsapp_id FROM messages
    WHERE target_whatsapp_id = ANY(CAST(:ids AS text[]))
""")


def import_history(chunk: HistoryChunk, number: Number, post: Post) -> None:
    """Store one piece of the past; the same piece again changes nothing. Inside `atomic()`."""
    if number.campaign_id is None:
        post.note("no_campaign", chunk, "no campaign takes its chats")
        return
    told = _readable(chunk, post)
    if not told:
        return
    db.session.execute(QUEUE_UP, {"number_id": str(number.id)})
    people = _claim(told)
    chats = _chats([person.id for person in people], number)
    kept = _keep(told, people, chats, number)
    db.session.execute(SETTLE, {"ids": sorted(set(chats.values()))})
    db.session.execute(CONTACTED, {"ids": sorted(set(chats.values()))})
    ids = [old.message.whatsapp_message_id for old in told]
    targets = {old.message.target_id for old in told if old.message.target_id}
    apply_changes(targets | set(db.session.scalars(SPOKEN_OF, {"ids": ids})))
    log.info(
        "history_imported",
        whatsapp_number_id=number.id,
        phase=chunk.phase,
        chunk=chunk.chunk_order,
        progress=chunk.progress,
        messages=len(told),
        new=kept,
    )


def _readable(chunk: HistoryChunk, post: Post) -> list[HistoricMessage]:
    """Those that say with whom and when; the others have no place in any thread."""
    told = []
    for old in chunk.messages:
        if not old.person.identities or old.message.sent_at is None:
            post.note("history_unplaced", old.message, "a message of the past without whom or when")
        else:
            told.append(old)
    # A thread's messages at the same second keep the order in which they came.
    return sorted(told, key=lambda old: old.message.timestamp or 0)


def _claim(told: Sequence[HistoricMessage]) -> list[Person]:
    """The client of each message; a thread's messages share one look-up."""
    by_identities = {old.person.identities: old.person for old in told}
    claimed = claim_clients(list(by_identities.values()), {})
    people = dict(zip(by_identities, claimed, strict=True))
    return [people[old.person.identities] for old in told]


def _chats(client_ids: Iterable[int], number: Number) -> dict[int, int]:
    """client -> the chat that holds their past."""
    rows = db.session.execute(
        CHATS,
        {
            "clients": sorted(set(client_ids)),
            "number_id": number.id,
            "campaign_id": number.campaign_id,
            "reason": HISTORIC,
        },
    )
    return {row.client_id: row.id for row in rows}


def _keep(
    told: Sequence[HistoricMessage], people: Sequence[Person], chats: dict[int, int], number: Number
) -> int:
    new = files = 0
    rows = list(_rows(told, people, chats))
    for start in range(0, len(rows), ROWS):
        values = {"rows": json.dumps(rows[start : start + ROWS]), "number_id": number.id}
        kept = db.session.execute(KEEP, values).one()
        # A placeholder whose file has come says more than it did.
        words.read_again(kept.ids or [])
        new, files = new + kept.new, files + kept.files
    if files:
        ring_on_commit("media.fetch", number.id)
    return new


def _rows(
    told: Sequence[HistoricMessage], people: Sequence[Person], chats: dict[int, int]
) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for n, (old, person) in enumerate(zip(told, people, strict=True)):
        message = old.message
        if message.whatsapp_message_id in seen:
            continue
        seen.add(message.whatsapp_message_id)
        inbound = isinstance(message, InboundMessage)
        assert message.sent_at is not None
        yield {
            "n": n,
            "chat_id": chats[person.id],
            "client_id": person.id,
            "direction": (Direction.INBOUND if inbound else Direction.OUTBOUND).value,
            "kind": message.kind,
            "content": message.content,
            "mime": message.mime_type,
            "metadata": {**(message.metadata or {}), "origin": "history"},
            "wamid": message.whatsapp_message_id,
            "stamp": message.timestamp,
            "target": message.target_id,
            "status": "delivered" if inbound else TICKS.get(old.status, "sent"),
            "sent_at": message.sent_at.isoformat(),
        }
