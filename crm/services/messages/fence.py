"""The fence of claimed rows: who took over meanwhile has another owner or attempt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import TextClause, text

from crm.db import db
from crm.services.messages.claims import Claim

log = structlog.get_logger(__name__)

COLUMNS = """
    q.id AS queue_id, q.status AS queue_status, q.retries, q.pair_retries, q.crashes,
    q.submitted_at, q.attempts, m.id, m.chat_id, m.client_id, m.client_key, m.status, m.sent_at,
    m.delivered_at, m.read_at, m.failed_at, m.error_code, m.error_message, m.whatsapp_message_id,
    m.max_retries,
    -- What this edit or deletion speaks of.
    CASE WHEN m.message_type = 'system' THEN m.target_whatsapp_id END AS amends
"""

FENCED_ROWS = """
    FROM unnest(CAST(:ids AS bigint[]), CAST(:owners AS uuid[]), CAST(:attempts AS int[]),
                CAST(:wamids AS text[])) AS f(id, owner, attempt, wamid)
    JOIN message_queue q ON q.id = f.id AND q.owner = f.owner AND q.attempts = f.attempt
    JOIN messages m ON m.id = q.message_id
    ORDER BY q.id
    FOR NO KEY UPDATE OF q, m
"""

HOLD_FENCES = text(f"SELECT {COLUMNS} {FENCED_ROWS}")

END_ROWS = text("""
    UPDATE message_queue SET
        status = :status, processing_completed_at = clock_timestamp(), lease_until = NULL,
        last_error = :error, updated_at = now()
    WHERE id = ANY(CAST(:ids AS bigint[]))
""")

COUNT_TRIES = text("""
    UPDATE messages SET retry_count = retry_count + 1 WHERE id = ANY(CAST(:ids AS bigint[]))
""")


def hold_fences(
    claims: Sequence[Claim],
    *,
    statement: TextClause = HOLD_FENCES,
    wamids: Sequence[str] = (),
) -> dict[int, Any]:
    """Lock the rows that are still these claims': queue id -> row with COLUMNS.

    The chats are locked before, as by everything that touches their messages. `statement` may read
    more, with the provider's ids beside the claims.
    """
    rows = db.session.execute(
        statement,
        {
            "ids": [claim.queue_id for claim in claims],
            "owners": [str(claim.owner) for claim in claims],
            "attempts": [claim.attempt for claim in claims],
            "wamids": list(wamids),
        },
    )
    held = {row.queue_id: row for row in rows}
    for claim in claims:
        if claim.queue_id not in held:
            log.warning("fence_lost", message_id=claim.message_id, attempt=claim.attempt)
    return held
