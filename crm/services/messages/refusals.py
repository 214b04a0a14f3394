"""What a refused message says beyond itself: about the person, and about the whole number.

The same codes come as answers to a send and in failed statuses later; both end here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import text

from crm.db import db
from crm.models import ConsentValue
from crm.providers.meta import codes
from crm.providers.outbound import Effect
from crm.services import sending
from crm.services.messages.preferences import record_consent

# "User has stopped receipt of marketing messages from you".
OPT_OUTS = frozenset({"131050"})

# Clients go before chats in the house's order of locks.
LOCK_CLIENTS = text("""
    SELECT id FROM clients
    WHERE id IN (SELECT client_id FROM messages WHERE id = ANY(CAST(:ids AS bigint[])))
    ORDER BY id FOR NO KEY UPDATE
""")

FIND = text("""
    SELECT id, client_id, whatsapp_number_id FROM messages WHERE id = ANY(CAST(:ids AS bigint[]))
""")


def lock_people(told: Iterable[tuple[int, str | None]]) -> None:
    """Lock the clients whom these (message id, code) pairs will change; before any chat."""
    ids = sorted({message_id for message_id, code in told if code in OPT_OUTS})
    if ids:
        db.session.execute(LOCK_CLIENTS, {"ids": ids})


def heed(failed: Mapping[int, str | None], *, by_status: bool = False) -> None:
    """Messages that have just failed, with their codes.

    Whoever stopped advertising gets none any more (a status tells when; see receipts). A status
    that speaks of the number raises its alarm and stops nothing: it tells of a message that was
    taken some time ago.
    """
    weighty = {
        message_id: code
        for message_id, code in failed.items()
        if code and (_is_about_number(code) if by_status else code in OPT_OUTS)
    }
    if not weighty:
        return
    for row in db.session.execute(FIND, {"ids": sorted(weighty)}).all():
        code = weighty[row.id]
        if code in OPT_OUTS:
            record_consent(
                row.client_id, value=ConsentValue.STOP, at=None, source="whatsapp", detail=code
            )
        else:
            reason = codes.reason_for(code)
            sending.raise_number_alarm(row.whatsapp_number_id, code=code, reason=reason)


def _is_about_number(code: str) -> bool:
    return code.isdecimal() and codes.meaning_of(int(code)).effect is Effect.CHANNEL
