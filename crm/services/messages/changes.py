"""What speaks of another message: reactions, edits, deletions.

Each is a row of its own, known by the provider's id like any message, and names its target. What
the target shows is folded from all rows that speak of it, so that it ends the same whatever came
first, late or twice; the target itself may come last. Reactions are folded when a thread is read.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import text

from crm.db import db
from crm.services.messages import words
from crm.services.messages.announcing import announce_ticks, lock_chats

TARGETS = text("""
    SELECT id, chat_id, whatsapp_message_id AS wamid FROM messages
    WHERE whatsapp_message_id = ANY(CAST(:ids AS text[]))
""")

# A message is changed by its own side only: the customer's by the customer, ours by us.
CHANGES = text("""
    SELECT t.id, t.content, t.metadata, t.deleted_at, c.position, c.content AS words,
           c.metadata ? 'edit' AS is_edit, c.metadata ? 'revoke' AS is_revoke
    FROM messages c
    JOIN messages t ON t.whatsapp_message_id = c.target_whatsapp_id
                   AND t.whatsapp_number_id = c.whatsapp_number_id AND t.direction = c.direction
    WHERE c.target_whatsapp_id = ANY(CAST(:ids AS text[])) AND c.message_type = 'system'
      -- Ours from the composer count once WhatsApp has taken them.
      AND c.status NOT IN ('pending', 'failed', 'uncertain')
    ORDER BY c.position, c.id
""")

WRITE = text("""
    UPDATE messages m SET
        content = r.content, deleted_at = r.deleted_at, updated_at = now(),
        metadata = COALESCE(m.metadata, '{}') || COALESCE(r.edited, '{}')
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
         AS r(id bigint, content text, deleted_at timestamptz, edited jsonb)
    WHERE m.id = r.id
""")


def apply_changes(target_ids: Iterable[str]) -> set[str]:
    """Bring the messages with these provider's ids to what is said of them, and tell the browsers.

    Returns the ids that are in our books; what speaks of the others waits for them.
    """
    wanted = sorted(set(target_ids))
    found = db.session.execute(TARGETS, {"ids": wanted}).all() if wanted else []
    if not found:
        return set()
    lock_chats(row.chat_id for row in found)
    _fold([row.wamid for row in found])
    announce_ticks({row.id: row.chat_id for row in found})
    return {row.wamid for row in found}


def _fold(wamids: Sequence[str]) -> None:
    changes: dict[int, list[Any]] = defaultdict(list)
    for change in db.session.execute(CHANGES, {"ids": list(wamids)}):
        changes[change.id].append(change)
    rows = [_folded(message_id, said) for message_id, said in changes.items()]
    if rows:
        db.session.execute(WRITE, {"rows": json.dumps(rows)})
        words.read_again(changes)


def _folded(message_id: int, changes: Sequence[Any]) -> dict[str, Any]:
    """The last edit's words, the first deletion's time; the first words are kept beside them."""
    first = changes[0]
    edits = [change for change in changes if change.is_edit]
    revokes = [change for change in changes if change.is_revoke]
    content, edited = first.content, None
    if edits:
        known = (first.metadata or {}).get("edited") or {}
        original = known.get("original", first.content)
        content = edits[-1].words
        at = edits[-1].position.isoformat()
        edited = {"edited": {"original": original, "at": at, "times": len(edits)}}
    return {
        "id": message_id,
        "content": content,
        "deleted_at": revokes[0].position.isoformat() if revokes else None,
        "edited": edited,
    }
