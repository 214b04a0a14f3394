"""The provider took messages: their ids, ticks, counters and what it told about the clients.

Written for many at once: a statement for each would cost more than the call did.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from crm.db import db
from crm.models import ClientIdentity, IdentityKind, ReceiptStatus
from crm.providers.outbound import SendResult
from crm.services import sending
from crm.services.messages import limits
from crm.services.messages.announcing import announce_ticks, lock_chats
from crm.services.messages.changes import apply_changes
from crm.services.messages.claims import Claim
from crm.services.messages.fence import COLUMNS, FENCED_ROWS, hold_fences
from crm.services.messages.receipts import TICK_COLUMNS, take_early_reports, tick_of, tick_row
from crm.services.messages.ticks import Report, fold

log = structlog.get_logger(__name__)

# The name under which the provider's own calls (quotes, reactions) know the message.
KEEP_NAMES = text("""
    UPDATE messages m SET metadata = COALESCE(metadata, '{}'::jsonb)
                                     || jsonb_build_object('gateway_id', r.name)
    FROM unnest(CAST(:ids AS bigint[]), CAST(:names AS text[])) AS r(id, name)
    WHERE m.id = r.id
""")

# Everything that an outcome depends on, under the fence.
HOLD = text(f"""
    SELECT {COLUMNS}, clock_timestamp() AS now,
           (SELECT o.id FROM messages o WHERE o.whatsapp_message_id = f.wamid) AS taken_by,
           (SELECT json_agg(json_build_array(i.kind, i.value)) FROM client_identities i
            WHERE i.client_id = m.client_id) AS identities
    {FENCED_ROWS}
""")  # noqa: S608 - COLUMNS and FENCED_ROWS are ours

WRITE = text(f"""
    WITH ended AS (
        UPDATE message_queue SET
            status = 'completed', processing_completed_at = clock_timestamp(), lease_until = NULL,
            last_error = NULL, updated_at = now()
        WHERE id = ANY(CAST(:queue_ids AS bigint[]))
    )
    UPDATE messages m SET retry_count = retry_count + 1, {TICK_COLUMNS}
""")  # noqa: S608 - TICK_COLUMNS is ours


@dataclass(frozen=True)
class Accepted:
    """A claimed message and the provider's yes. `counts`: against the number's daily limit."""

    claim: Claim
    result: SendResult
    counts: bool = False


def record_sent(accepted: Sequence[Accepted], *, zone: str) -> list[bool]:
    """The provider took these messages. False where the fence is lost; nothing is written then.

    A late yes also settles a row that was called uncertain meanwhile. Receipts that came before are
    applied at once. `zone` says which day it is.
    """
    lock_chats(one.claim.chat_id for one in accepted)
    wamids = [one.result.whatsapp_message_id for one in accepted]
    rows = hold_fences([one.claim for one in accepted], statement=HOLD, wamids=wamids)
    held = [(one, rows[one.claim.queue_id]) for one in accepted if one.claim.queue_id in rows]
    if held:
        _write(held)
        _keep_names(held)
        _learn_identities(held)
        announce_ticks({row.id: row.chat_id for _, row in held})
        if amended := {row.amends for _, row in held if row.amends}:
            apply_changes(amended)
        _count(held, zone=zone)
        for number_id in sorted({one.claim.number_id for one, _ in held if one.claim.is_probe}):
            sending.release_number(number_id)
    return [one.claim.queue_id in rows for one in accepted]


Held = list[tuple[Accepted, Any]]


def _write(held: Held) -> None:
    early = take_early_reports(
        {row.id: (one.result.whatsapp_message_id, row.client_key) for one, row in held}
    )
    taken: set[str] = set()
    written = []
    for one, row in held:
        tick = fold(tick_of(row), Report(ReceiptStatus.SENT, row.now))
        for report in early.get(row.id, ()):
            tick = fold(tick, report)
        wamid: str | None = one.result.whatsapp_message_id
        if row.taken_by not in (None, row.id) or wamid in taken:
            log.warning("provider_id_taken", message_id=row.id)
            wamid = None
        else:
            taken.add(one.result.whatsapp_message_id)
        written.append(tick_row(row.id, tick, wamid))
    queue_ids = [row.queue_id for _, row in held]
    db.session.execute(WRITE, {"rows": json.dumps(written), "queue_ids": queue_ids})


def _keep_names(held: Held) -> None:
    named = {row.id: one.result.serialized_id for one, row in held if one.result.serialized_id}
    if named:
        db.session.execute(KEEP_NAMES, {"ids": list(named), "names": list(named.values())})


def _count(held: Held, *, zone: str) -> None:
    sent: dict[int, tuple[int, int]] = {}
    for one, row in held:
        if row.amends:
            continue  # It changes what was counted when it left.
        number_id = one.claim.number_id
        before, counted = sent.get(number_id, (0, 0))
        sent[number_id] = (before + 1, counted + one.counts)
    if sent:
        limits.count_sent(sent, zone=zone)


def _learn_identities(held: Held) -> None:
    """Keep the ids under which the provider knows these clients: answers may come from another.

    `wa_id` can differ from the number that was dialled (Brazil's ninth digit, Mexico's 521).
    """
    told: dict[tuple[IdentityKind, str], int] = {}
    known: dict[int, set[tuple[str, str]]] = {}
    for one, row in held:
        known[row.client_id] = {(kind, value) for kind, value in row.identities or ()}
        for kind, value in (
            (IdentityKind.WA_ID, one.result.wa_id),
            (IdentityKind.USER_ID, one.result.user_id),
            (IdentityKind.LID, one.result.lid),
        ):
            if value:
                told.setdefault((kind, value), row.client_id)
    new = [
        {"client_id": client_id, "kind": kind, "value": value}
        for (kind, value), client_id in sorted(told.items())
        if (kind, value) not in known[client_id]
    ]
    if new:
        # Somebody else's by now, or written at this moment by the way in: left as it is.
        db.session.execute(insert(ClientIdentity).values(new).on_conflict_do_nothing())
