"""The session of a number: wanted or not, how it stands, and what people read about it.

The calls to the server happen in crm/jobs/wppconnect.py, between these transactions: `load_target`
says whom to ask, `machine.step` decides, `record_step` writes down what became of it. Whatever
moves the state is an event of the number, in plain words on its page. What people order stands in
orders.py.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import structlog
from sqlalchemy import func, select, text

from crm.db import database_now, db
from crm.doorbell import ring_on_commit
from crm.lib.crypto import DecryptionError, decrypt, encrypt
from crm.lib.phone import spellings
from crm.models import (
    AlarmKind,
    NumberEvent,
    NumberPace,
    NumberStatus,
    Provider,
    SessionState,
    WhatsappNumber,
    WppconnectSession,
)
from crm.providers.base import Other
from crm.providers.wppconnect.client import WppConnectChannel
from crm.providers.wppconnect.gateway import ServerState, qr_image
from crm.services.alarms import end_alarm, raise_alarm
from crm.services.wppconnect.machine import Action, Standing, Step

log = structlog.get_logger(__name__)

# A server that restarts is back within this time; nobody is woken up for it.
LOST_SECONDS = 60.0
# While one job speaks with the server, no other does.
BUSY_SECONDS = 45.0
SHOWN_EVENTS = 5


@dataclass(frozen=True)
class Target:
    """Whom to ask about a session, and how it stood."""

    number_id: int
    base_url: str
    name: str
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)
    webhook_secret: str = field(repr=False)
    standing: Standing
    phone: str

    def is_phone(self, digits: str) -> bool:
        """Whether the number's own phone may be written so."""
        return self.phone in spellings(digits)

    @property
    def channel(self) -> WppConnectChannel:
        return WppConnectChannel(self.number_id, self.base_url, self.name, self.token or "")

    def webhook_url(self, base: str) -> str:
        """The whole address to which the server posts; `base` is ours, without a slash."""
        return f"{base}/webhooks/wppconnect/{self.webhook_secret}"


FIND_DUE = text("""
    SELECT s.whatsapp_number_id FROM wppconnect_sessions s
    JOIN whatsapp_numbers n ON n.id = s.whatsapp_number_id
    WHERE s.is_wanted AND s.check_at <= clock_timestamp() AND n.deleted_at IS NULL
      AND n.provider = 'wppconnect'
    ORDER BY s.check_at LIMIT 100
""")


def find_due_checks() -> list[int]:
    """Numbers whose session is to be looked at now. Reads only."""
    return list(db.session.scalars(FIND_DUE))


def ensure_session(number: WhatsappNumber, *, keys: Sequence[str]) -> WppconnectSession:
    """The number's session row, made at first use with a secret address of its own."""
    session = lock_session(number.id)
    if session is None:
        session = WppconnectSession(whatsapp_number_id=number.id)
        _new_secret(session, keys)
        db.session.add(session)
        db.session.flush()
        db.session.refresh(session)
    return session


def _new_secret(session: WppconnectSession, keys: Sequence[str]) -> str:
    """Another address for the server's posts; the next start tells it."""
    secret = secrets.token_urlsafe(32)
    session.webhook_secret = encrypt(secret, keys)
    session.webhook_secret_hash = hash_secret(secret)
    return secret


def find_session(number_id: int) -> WppconnectSession | None:
    return db.session.get(WppconnectSession, number_id)


def is_connected(number_id: int) -> bool:
    session = find_session(number_id)
    return session is not None and session.state is SessionState.CONNECTED


def lock_session(number_id: int) -> WppconnectSession | None:
    return db.session.scalar(
        select(WppconnectSession)
        .where(WppconnectSession.whatsapp_number_id == number_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def find_number_by_secret(secret: str) -> int | None:
    """The number to whose address this secret belongs. Every hash is compared, in constant time."""
    given = hash_secret(secret)
    found = None
    rows = db.session.execute(
        select(WppconnectSession.whatsapp_number_id, WppconnectSession.webhook_secret_hash)
        .join(WhatsappNumber, WhatsappNumber.id == WppconnectSession.whatsapp_number_id)
        .where(WhatsappNumber.deleted_at.is_(None))
    )
    for number_id, stored in rows:
        if hmac.compare_digest(given, stored):
            found = number_id
    return found


# -- what the checks and the server's posts tell ---------------------------------------------------


def load_target(number_id: int, *, keys: Sequence[str]) -> Target | None:
    """Whom to ask now; None where nobody wants this session, or somebody else asks already."""
    number = db.session.get(WhatsappNumber, number_id, populate_existing=True)
    session = lock_session(number_id)
    if number is None or session is None or not session.is_wanted or number.deleted_at:
        return None
    if number.provider is not Provider.WPPCONNECT:
        return None
    now = database_now()
    if session.check_at > now:
        return None
    session.check_at = now + timedelta(seconds=BUSY_SECONDS)
    return target_of(number, session, keys=keys)


def target_of(number: WhatsappNumber, session: WppconnectSession, *, keys: Sequence[str]) -> Target:
    """Everything that a call to the server needs. The session's row is locked."""
    return Target(
        number_id=number.id,
        base_url=number.wppconnect_server_url or "",
        name=number.wppconnect_session_name or "",
        # One that cannot be read opens nothing: the server says so, and the page does.
        secret_key=_open(number.wppconnect_api_key, keys) or "",
        token=_open(session.token, keys),
        webhook_secret=_open(session.webhook_secret, keys) or _new_secret(session, keys),
        standing=Standing(
            state=session.state,
            seconds=(database_now() - session.state_since).total_seconds(),
            tries=session.tries,
            hint=session.hint,
            was_connected=session.history_from is not None,
        ),
        phone=number.phone_number.removeprefix("+"),
    )


def forget_token(number_id: int) -> None:
    """The server, the session's name or the key are others now: the next look asks anew."""
    session = lock_session(number_id)
    if session is not None:
        session.token = None
        session.check_at = func.now()


def with_token(target: Target, token: str) -> Target:
    return replace(target, token=token)


def load_channel(number_id: int, *, keys: Sequence[str]) -> WppConnectChannel | None:
    """The channel of a connected session, for history and files; None where there is none."""
    number = db.session.get(WhatsappNumber, number_id)
    session = find_session(number_id)
    if number is None or session is None or number.deleted_at:
        return None
    token = _open(session.token, keys)
    if session.state is not SessionState.CONNECTED or not token:
        return None
    return WppConnectChannel(
        number_id, number.wppconnect_server_url or "", number.wppconnect_session_name or "", token
    )


def keep_token(number_id: int, token: str, *, keys: Sequence[str]) -> None:
    session = lock_session(number_id)
    if session is not None:
        session.token = encrypt(token, keys)


def record_step(
    number_id: int, step: Step, *, server: ServerState | None, detail: str = ""
) -> None:
    """Write down what a check found and did. Nothing where it is not wanted any more."""
    number = db.session.get(WhatsappNumber, number_id, with_for_update={"key_share": True})
    session = lock_session(number_id)
    if number is None or session is None or not session.is_wanted:
        return
    now = database_now()
    number.connection_status = (server.word if server else detail.upper())[:30]
    number.wppconnect_qr_code = server.qr if server and step.state is SessionState.QR else None
    if step.action in (Action.START, Action.RESET):
        session.tries += 1
        session.state_since = now
        if step.action is Action.RESET:
            _note(number_id, "reset")
    session.hint = None
    session.check_at = now + timedelta(seconds=step.wait_seconds)
    before = session.state
    if detail == "wrong_phone":
        # What that phone's customers write is none of ours: the address opens nothing any more, and
        # the next start tells another one.
        session.webhook_secret, session.webhook_secret_hash = "", secrets.token_hex(32)
        if before is not step.state:
            move(session, number, step.state, event=detail)
    else:
        move(session, number, step.state)
    if step.state is SessionState.CONNECTED:
        _connected(session, number, is_new=before is not SessionState.CONNECTED)
    elif step.state is not SessionState.CONNECTED:
        _not_connected(session, number, step, detail=detail)


def _connected(session: WppconnectSession, number: WhatsappNumber, *, is_new: bool) -> None:
    session.tries = 0
    session.lost_at = None
    number.last_connected_at = database_now()
    number.last_error = None
    if session.history_from is None:
        # What the phone knows of before is its own past. A minute of grace for clocks.
        session.history_from = database_now() - timedelta(minutes=1)
    end_alarms(number.id)
    if number.status in (NumberStatus.PENDING, NumberStatus.DISCONNECTED, NumberStatus.ERROR):
        number.status = NumberStatus.ACTIVE
        pace = db.session.get(NumberPace, number.id)
        if pace is not None:
            pace.held_until, pace.hold_tries = None, 0
    if is_new:
        session.gaps_due_at = database_now()
        ring_on_commit("wppconnect.catch_up", number.id)
        ring_on_commit("messages.deliver", number.id)


def _not_connected(
    session: WppconnectSession, number: WhatsappNumber, step: Step, *, detail: str
) -> None:
    now = database_now()
    was = session.history_from is not None
    if was and session.lost_at is None:
        session.lost_at = now
    if number.status is NumberStatus.ACTIVE:
        number.status = NumberStatus.DISCONNECTED
    if step.state is SessionState.REFUSED:
        number.last_error = REFUSALS.get(detail, REFUSALS["wrong_key"])
    if session.lost_at is not None:
        gone = (now - session.lost_at).total_seconds()
        if step.is_unlinked or step.state is SessionState.REFUSED or gone >= LOST_SECONDS:
            raise_alarm(AlarmKind.SESSION_LOST, subject=str(number.id), number_id=number.id)
    if step.action is Action.RESET and session.tries > 1:
        raise_alarm(AlarmKind.SESSION_STUCK, subject=str(number.id), number_id=number.id)
    elif step.state is SessionState.QR:
        end_alarm(AlarmKind.SESSION_STUCK, subject=str(number.id))


REFUSALS = {
    "wrong_phone": "The phone that scanned the code is not the one of this number.",
    "wrong_key": "The WPPConnect server does not accept the secret key.",
    "inner_address": (
        "The WPPConnect server's address is inside the network and not allowed: "
        "name the host in CRM_TRUSTED_HOSTS."
    ),
}


def note_news(number_id: int, news: Other) -> None:
    """What the server posted about the session: shown at once, and looked into at once."""
    session = lock_session(number_id)
    if session is None or not session.is_wanted:
        return
    if news.field == "qrcode":
        number = db.session.get_one(WhatsappNumber, number_id)
        if (image := qr_image(news.raw.get("qrcode"))) and session.state is SessionState.QR:
            number.wppconnect_qr_code = image
            return
    if news.field == "status-find":
        session.hint = str(news.kind)[:50] or None
    elif news.field in ("logoutsession", "closesession"):
        session.hint = news.field
    session.check_at = func.now()
    ring_on_commit("wppconnect.check", number_id)


def note_disconnected(number_id: int) -> None:
    """A send was answered with "not connected": do not wait for the next look."""
    session = lock_session(number_id)
    if session is not None and session.is_wanted and session.state is SessionState.CONNECTED:
        session.check_at = func.now()
        ring_on_commit("wppconnect.check", number_id)


def list_events(number_id: int, *, most: int = SHOWN_EVENTS) -> Sequence[NumberEvent]:
    """The number's diary, newest first."""
    return db.session.scalars(
        select(NumberEvent)
        .where(NumberEvent.whatsapp_number_id == number_id)
        .order_by(NumberEvent.id.desc())
        .limit(most)
    ).all()


def note_recovered(number_id: int, count: int) -> None:
    """The gap finder brought in so many messages."""
    session = lock_session(number_id)
    if session is None:
        return
    session.recovered_count = count
    session.recovered_at = database_now()
    session.recovered_total += count
    _note(number_id, "recovered", count=count)


def move(
    session: WppconnectSession,
    number: WhatsappNumber,
    state: SessionState,
    *,
    event: str | None = None,
) -> None:
    """Into another state, with a line in the number's diary (`event`: another word for it)."""
    if session.state is state and event is None:
        return
    log.info("wppconnect_session", number_id=number.id, before=session.state, state=state)
    session.state = state
    session.state_since = database_now()
    _note(number.id, event or state.value)


def _note(number_id: int, kind: str, **data: object) -> None:
    db.session.add(NumberEvent(whatsapp_number_id=number_id, kind=kind, data=data))


def end_alarms(number_id: int) -> None:
    """Those of its session."""
    for kind in (AlarmKind.SESSION_LOST, AlarmKind.SESSION_STUCK):
        end_alarm(kind, subject=str(number_id))


def _open(ciphertext: str | None, keys: Sequence[str]) -> str | None:
    """A token that cannot be opened is asked for again."""
    try:
        return decrypt(ciphertext, keys) if ciphertext else None
    except DecryptionError:
        return None
