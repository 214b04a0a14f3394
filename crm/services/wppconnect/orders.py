"""What a person orders of a number's session: connect, close, log out; and letting it go.

Nobody but a person logs a session out.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func

from crm.db import db
from crm.doorbell import ring_on_commit
from crm.errors import Conflict
from crm.models import NumberStatus, Provider, SessionState, WhatsappNumber, WppconnectSession
from crm.services.wppconnect.sessions import (
    Target,
    end_alarms,
    ensure_session,
    lock_session,
    move,
    target_of,
)


def connect(number: WhatsappNumber, *, keys: Sequence[str]) -> WppconnectSession:
    """Somebody wants the session up: the next check starts it. Conflict where data is missing."""
    check_complete(number)
    session = ensure_session(number, keys=keys)
    session.is_wanted = True
    session.hint = None
    session.tries = 0
    if session.state is not SessionState.CONNECTED:
        move(session, number, SessionState.STARTING)
    session.check_at = func.now()
    ring_on_commit("wppconnect.check", number.id)
    return session


def note_closed(number: WhatsappNumber, *, kind: str) -> None:
    """The session was closed (or logged out) by order of a person.

    `kind`: closed, logged_out; unheard = closed, but the server did not take the order.
    """
    session = lock_session(number.id)
    if session is None:
        return
    session.is_wanted = False
    session.lost_at = session.hint = None
    if kind == "logged_out":
        session.history_from = None
    move(session, number, SessionState.OFF, event=kind)
    number.wppconnect_qr_code = None
    number.connection_status = "CLOSED"
    end_alarms(number.id)
    if number.status is NumberStatus.ACTIVE:
        number.status = NumberStatus.DISCONNECTED


def check_complete(number: WhatsappNumber) -> None:
    """Conflict with what to do, where the number cannot be connected."""
    if number.provider is not Provider.WPPCONNECT:
        raise Conflict("Only a number on WPPConnect has a session.")
    if not (number.wppconnect_server_url and number.wppconnect_session_name):
        raise Conflict("Write the server's address and the session's name first.")
    if not number.wppconnect_api_key:
        raise Conflict("Write the server's secret key first.")


def let_go(number: WhatsappNumber) -> None:
    """The number is deleted or goes to another provider: nobody wants its session any more.

    The server is told afterwards, as well as it can be.
    """
    session = lock_session(number.id)
    if session is not None and session.is_wanted:
        note_closed(number, kind="closed")
        ring_on_commit("wppconnect.close", number.id)


def load_abandoned(number_id: int, *, keys: Sequence[str]) -> Target | None:
    """Whom to tell that nobody wants this session; None where somebody does again."""
    number = db.session.get(WhatsappNumber, number_id)
    session = lock_session(number_id)
    if number is None or session is None or session.is_wanted or session.token is None:
        return None
    return target_of(number, session, keys=keys)
