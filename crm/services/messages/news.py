"""Whether news are newer than what we know: the provider delivers in any order, and again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text

from crm.db import database_now, db

NOTE = text("""
    INSERT INTO provider_news (subject, occurred_at) VALUES (:subject, :at)
    ON CONFLICT (subject) DO UPDATE SET occurred_at = EXCLUDED.occurred_at
        WHERE provider_news.occurred_at <= EXCLUDED.occurred_at
    RETURNING subject
""")


def is_news(subject: str, at: datetime | None) -> bool:
    """True for the newest about `subject` so far, which is noted; the same again counts too.

    News without a time are as new as their arrival.
    """
    values = {"subject": subject[:200], "at": at or database_now()}
    return db.session.scalar(NOTE, values) is not None
