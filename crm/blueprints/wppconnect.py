"""Where WPPConnect servers post, and the session of a number on its page.

A server's posts have no signature and come once: the secret in the address is all that proves them,
and what is not stored now is found later in the server's history (the gap finder).
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from flask import Blueprint, current_app, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from sqlalchemy.exc import SQLAlchemyError

from crm.blueprints.htmx import go_to, wants_fragment
from crm.config import Config
from crm.db import atomic
from crm.errors import Conflict
from crm.extensions import csrf
from crm.lib.base64_cutter import Base64Cutter, Cut, TooMuchText
from crm.lib.batching import BatchInterrupted
from crm.models import SessionState, WhatsappNumber
from crm.permissions import current_scope, public, requires
from crm.services import audit, numbers
from crm.services.wppconnect import arrivals, completing, orders, sessions
from crm.services.wppconnect.arrivals import Arrival

log = structlog.get_logger(__name__)
blueprint = Blueprint("wppconnect", __name__)

# A document of 100 MB as base64, and what is around it.
MOST_BYTES = 150 * 1024 * 1024
CHUNK = 64 * 1024

# What each state is called, and the colour of its dot.
STATE_WORDS = {
    SessionState.OFF: (_l("Not connected"), "off"),
    SessionState.STARTING: (_l("Starting"), "wait"),
    SessionState.QR: (_l("Waiting for the phone"), "wait"),
    SessionState.CONNECTED: (_l("Connected"), "on"),
    SessionState.LOST: (_l("Connection lost"), "bad"),
    SessionState.EXPIRED: (_l("The code was not scanned"), "off"),
    SessionState.REFUSED: (_l("The server refuses"), "bad"),
    SessionState.UNREACHABLE: (_l("The server does not answer"), "bad"),
}
# Lines of the number's diary.
EVENT_WORDS = {
    "off": _l("Disconnected"),
    "closed": _l("Disconnected by hand"),
    "unheard": _l("Disconnected by hand; the server could not be told"),
    "logged_out": _l("Logged out: the phone has to scan again"),
    "starting": _l("Starting"),
    "qr": _l("Waiting for the phone to scan"),
    "connected": _l("Connected"),
    "lost": _l("Connection lost"),
    "expired": _l("The code was not scanned in time"),
    "refused": _l("The server refused"),
    "wrong_phone": _l("Another phone scanned the code"),
    "unreachable": _l("The server did not answer"),
    "reset": _l("The start hung: closed and started again"),
}


@blueprint.app_context_processor
def session_words() -> dict[str, object]:
    return {
        "session_words": STATE_WORDS,
        "session_event_words": EVENT_WORDS,
        "session_view": session_view,
    }


def session_view(number: WhatsappNumber) -> dict[str, object]:
    """What numbers/_session.html draws."""
    session = sessions.find_session(number.id)
    state = session.state if session else SessionState.OFF
    return {
        "number": number,
        "session": session,
        "state": state,
        # A person stands before it with the phone in the hand, or just looks.
        "seconds": 3 if state in (SessionState.STARTING, SessionState.QR) else 15,
        "events": sessions.list_events(number.id),
    }


@blueprint.get("/settings/numbers/<int:number_id>/session")
@requires("numbers.read")
def show_session(number_id: int) -> ResponseReturnValue:
    """The session part of the number's page, asked for every few seconds."""
    number = numbers.load_number(current_scope(), number_id)
    if not wants_fragment():
        return go_to(f"/settings/numbers/{number_id}")
    return render_template("numbers/_session.html", **session_view(number))


@blueprint.post("/settings/numbers/<int:number_id>/session/connect")
@requires("numbers.update")
def connect(number_id: int) -> ResponseReturnValue:
    """Start the session and look after it from now on."""
    keys = current_app.config["CRM"].encryption_keys
    return _order(number_id, "numbers.connect", lambda n: orders.connect(n, keys=keys))


@blueprint.post("/settings/numbers/<int:number_id>/session/close")
@requires("numbers.update")
def close(number_id: int) -> ResponseReturnValue:
    """Close the session; the phone stays linked. A server that is gone keeps nobody from it."""
    heard = completing.close_at_server(*_target(number_id))
    kind = "closed" if heard else "unheard"
    return _order(number_id, "numbers.disconnect", lambda n: orders.note_closed(n, kind=kind))


@blueprint.post("/settings/numbers/<int:number_id>/session/logout")
@requires("numbers.update")
def log_out(number_id: int) -> ResponseReturnValue:
    """Unlink the phone. Only a person does that; the page asks twice."""
    completing.log_out_at_server(*_target(number_id))
    return _order(number_id, "numbers.log_out", lambda n: orders.note_closed(n, kind="logged_out"))


def _target(number_id: int) -> tuple[sessions.Target, tuple[str, ...]]:
    config: Config = current_app.config["CRM"]
    scope = current_scope()
    with atomic():
        number = numbers.load_number(scope, number_id)
        session = sessions.lock_session(number.id)
        if session is None:
            raise Conflict("This number has no session yet.")
        target = sessions.target_of(number, session, keys=config.encryption_keys)
    return target, config.trusted_hosts


def _order(
    number_id: int, action: str, order: Callable[[WhatsappNumber], object]
) -> ResponseReturnValue:
    scope = current_scope()
    with atomic():
        number = numbers.load_number(scope, number_id, lock=True)
        order(number)
        audit.record(action, number)
    if not wants_fragment():
        return go_to(f"/settings/numbers/{number_id}")
    return render_template("numbers/_session.html", **session_view(number))


@blueprint.post("/webhooks/wppconnect/<secret>")
@csrf.exempt
@public
def receive(secret: str) -> ResponseReturnValue:
    """One event. 200: stored for good. The server never comes again, whatever we answer."""
    config: Config = current_app.config["CRM"]
    with atomic():
        number_id = sessions.find_number_by_secret(secret)
    if number_id is None:
        door = current_app.extensions["webhooks"]
        door.log_refusal("webhook_secret_refused", request.remote_addr or "")
        return "not found", 404
    request.max_content_length = MOST_BYTES
    if (request.content_length or 0) > MOST_BYTES:
        return "too large", 413
    try:
        arrival = read(number_id, config)
    except TooMuchText:
        return "too large", 413
    except (ValueError, OSError) as error:
        log.warning("webhook_not_json", number_id=number_id, reason=type(error).__name__)
        return "not JSON", 400
    try:
        complete(arrival, number_id, config)
        current_app.extensions["webhooks"].commits.submit(arrival.post)
        if arrival.news is not None:
            with atomic():
                sessions.note_news(number_id, arrival.news)
    except (SQLAlchemyError, BatchInterrupted) as error:
        log.error("webhook_not_stored", number_id=number_id, error=type(error).__name__)
        return "not stored", 503
    return "stored", 200


def read(number_id: int, config: Config) -> Arrival:
    """Read the body as it comes in: files go to the spool, memory holds the rest."""
    cutter = Base64Cutter(config.arrivals_dir)
    cut: Cut | None = None
    try:
        while chunk := request.stream.read(CHUNK):
            cutter.feed(chunk)
        cut = cutter.finish()
        return arrivals.read_arrival(cut, number_id=number_id, folder=config.arrivals_dir)
    except BaseException:
        cutter.discard()
        if cut is not None:
            cut.discard()
        raise


def complete(arrival: Arrival, number_id: int, config: Config) -> None:
    """Add the phones of hidden ids, know our own sends again; the server is asked in between."""
    if not completing.needs_completion(arrival.post.events):
        return
    with atomic():
        ask = completing.prepare(arrival.post.events, number_id, keys=config.encryption_keys)
    phones = completing.ask_server(ask, config.trusted_hosts)
    with atomic():
        arrival.post.events = completing.complete(arrival.post.events, number_id, phones)
