"""How long deliveries are kept."""

from __future__ import annotations

from sqlalchemy import text

from crm.db import db

ROWS_AT_ONCE = 1000
# What still asks for somebody stays twice as long: its customers' words are nowhere else.
PATIENCE = 2

REMOVE = text("""
    DELETE FROM webhook_events WHERE id IN (
        SELECT id FROM webhook_events
        WHERE received_at < now() - make_interval(days => :days)
          AND (status = 'processed' OR set_aside_at IS NOT NULL
               OR received_at < now() - make_interval(days => :long))
        ORDER BY received_at LIMIT :most)
""")


def remove_old(*, days: int) -> int:
    """Remove the oldest rows that have had their time, a bounded number; how many."""
    values = {"days": days, "long": days * PATIENCE, "most": ROWS_AT_ONCE}
    return db.session.execute(REMOVE, values).rowcount  # type: ignore[attr-defined]
