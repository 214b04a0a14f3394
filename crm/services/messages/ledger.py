"""The ledger of what providers posted: every body that we answered with 200 has a row.

The row is written in the transaction that stores the events, so that one without the other cannot
happen. `problems` names each event that was not stored, with its own raw part where that is short.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy import text

from crm.db import db
from crm.providers.base import Event, InboundMessage, Other, Problem
from crm.services.ledger.kinds import summarize

log = structlog.get_logger(__name__)

# Reasons that end by themselves once a number or its campaign is set up.
WAITING = frozenset({"unknown_number", "no_campaign"})
MOST_RAW = 4000


@dataclass(slots=True)
class Post:
    """One POST: its bytes, what was read in them, and what could not be done with it so far."""

    raw: bytes
    events: Sequence[Event]
    provider: str = "meta"
    number_id: int | None = None
    problems: list[dict[str, Any]] = field(default_factory=list)
    ledger_id: int | None = None
    # Holds something that a job reads later from the ledger: too much for the time of an answer.
    is_deferred: bool = False

    def begin(self) -> None:
        """A unit that is run again starts from nothing: what was noted has been rolled back."""
        self.problems.clear()
        self.number_id = None

    def note(self, reason: str, event: Event, detail: str = "") -> None:
        """Keep why `event` was not stored."""
        problem = {
            "reason": reason,
            "detail": detail[:500],
            "event": type(event).__name__,
            "phone_number_id": event.phone_number_id,
            "whatsapp_message_id": getattr(event, "whatsapp_message_id", None),
        }
        raw = event.raw if isinstance(event, Problem) else None
        if raw is not None and len(shown := json.dumps(raw)) <= MOST_RAW:
            problem["raw"] = json.loads(shown)
        self.problems.append(problem)

    @property
    def status(self) -> str:
        if self.is_deferred:
            return "received"
        reasons = {problem["reason"] for problem in self.problems}
        if not reasons:
            return "processed"
        if reasons <= WAITING:
            return "waiting"
        return "partly" if len(self.problems) < len(self.events) else "failed"

    @property
    def unknown_count(self) -> int:
        """Fields and kinds that nobody here has met before."""
        return sum(
            (isinstance(event, Other) and not event.known)
            or (
                isinstance(event, InboundMessage)
                and event.kind == "unsupported"
                and event.provider_kind not in {"unsupported", "unknown"}
            )
            for event in self.events
        )


# Part of the prepared statement that stores the messages (inbound.STORE): $2 and $3.
INSERT = """
    INSERT INTO webhook_events (provider, whatsapp_number_id, body, status, problems, holds,
                                event_count, unknown_count, processed_at)
    SELECT r.provider, r.number_id, b.body, r.status, r.problems, r.holds,
           r.event_count, r.unknown_count,
           CASE WHEN r.status NOT IN ('waiting', 'received') THEN clock_timestamp() END
    FROM jsonb_to_recordset($2)
         AS r(n int, provider text, number_id int, status text, problems jsonb, holds jsonb,
              event_count int, unknown_count int)
    JOIN unnest($3) WITH ORDINALITY AS b(body, n) ON b.n = r.n
    ORDER BY r.n
"""

REWRITE = text("""
    UPDATE webhook_events
    SET status = :status, problems = CAST(:problems AS jsonb), holds = CAST(:holds AS jsonb),
        unknown_count = :unknown_count, event_count = :event_count,
        whatsapp_number_id = COALESCE(:number_id, whatsapp_number_id),
        processed_at = clock_timestamp()
    WHERE id = :ledger_id
""")


def ledger_rows(posts: Sequence[Post]) -> dict[str, Any]:
    """The parameters of INSERT: a row for each POST, its body as the bytes that came."""
    for post in posts:
        _note_unreadable(post)
    rows = [{"n": n, **_columns(post)} for n, post in enumerate(posts, start=1)]
    _log(posts)
    return {"ledger": json.dumps(rows), "bodies": [memoryview(post.raw) for post in posts]}


def rewrite_ledger(post: Post) -> None:
    """The row of a POST that was processed again."""
    _note_unreadable(post)
    columns = _columns(post)
    as_json = {name: json.dumps(columns[name]) for name in ("problems", "holds")}
    db.session.execute(REWRITE, {**columns, **as_json, "ledger_id": post.ledger_id})
    _log([post])


def _note_unreadable(post: Post) -> None:
    for event in post.events:
        if isinstance(event, Problem):
            post.note(event.reason, event, event.detail)


def _columns(post: Post) -> dict[str, Any]:
    return {
        "provider": post.provider,
        "number_id": post.number_id,
        "status": post.status,
        "problems": post.problems or None,
        "holds": summarize(post.events),
        "event_count": len(post.events),
        "unknown_count": post.unknown_count,
    }


def _log(posts: Sequence[Post]) -> None:
    for post in posts:
        if post.problems:
            log.warning(
                "webhook_not_stored_whole",
                status=post.status,
                reasons=sorted({problem["reason"] for problem in post.problems}),
                problems=len(post.problems),
                events=len(post.events),
            )
