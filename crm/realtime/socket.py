"""The websocket's door: who may come in, what they may say, and how they leave.

Everything that can refuse does so before the upgrade, as a plain HTTP answer. Then the handler
copies plain values, gives its database connection back, and loops: a socket lives for hours and
must hold nothing that a page needs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import structlog
from flask import Blueprint, Flask, current_app, g, request
from flask.typing import ResponseReturnValue
from flask_babel import get_locale
from flask_login import current_user
from simple_websocket import ConnectionClosed

from crm.db import db
from crm.errors import NotFound
from crm.extensions import sock
from crm.permissions import current_scope, load_chat
from crm.realtime import access
from crm.realtime.connection import BAD_DATA, INTERNAL_ERROR, POLICY, Connection
from crm.realtime.hub import Hub
from crm.realtime.wire import Wire, encode_frame, event_frame, wrap_socket

log = structlog.get_logger(__name__)
blueprint = Blueprint("live", __name__)

MAX_MESSAGE_BYTES = 65_536
LONGEST_MESSAGE = 1_000
# The loop wakes for every message and every push; this is only its longest sleep.
LONGEST_SLEEP = 60.0


class BadMessage(ValueError):
    """A client's message is none of those that we know."""


@dataclass(frozen=True)
class Guest:
    """What the handler keeps of the request: plain values and the hub."""

    hub: Hub
    wire: Wire
    session_id: int
    rights: str
    locale: str


def register(app: Flask) -> None:
    app.extensions["live"] = Hub(app)
    # The hub pings by itself and carries the chat's version along: no selector for each socket.
    app.config["SOCK_SERVER_OPTIONS"] = {"max_message_size": MAX_MESSAGE_BYTES}
    app.register_blueprint(blueprint)


def hub_of(app: Flask) -> Hub:
    """The hub of this process; `gunicorn.conf.py` closes its sockets before a stop."""
    return app.extensions["live"]


@blueprint.before_request
def admit() -> ResponseReturnValue | None:
    """Origin, then session: before the upgrade, and before anything is asked of the database."""
    if not is_own_origin(request.headers.get("Origin")):
        log.warning(
            "socket_refused", why="origin", origin=(request.headers.get("Origin") or "")[:200]
        )
        return {"error": "foreign_origin"}, 403
    if not current_user.is_authenticated:
        log.info("socket_refused", why="session")
        return {"error": "not_signed_in"}, 401
    wire = wrap_socket(request.environ)
    if wire is None:
        return {"error": "not_a_websocket"}, 400
    scope = current_scope()
    g.guest = Guest(
        hub=hub_of(current_app),
        wire=wire,
        session_id=g.live_session.id,
        rights=access.find_rights([scope.user_id]).get(scope.user_id, ""),
        locale=str(get_locale()),
    )
    return None


def is_own_origin(origin: str | None) -> bool:
    """Exactly the address that this page was served from; a missing one is refused.

    A browser always sends it, and a page cannot change it. `request.host_url` is what the browser
    sees, behind a trusted proxy too (CRM_PROXY_HOPS).
    """
    if not origin:
        return False
    expected = urlsplit(request.host_url)
    scheme = "https" if current_app.config["CRM"].https else expected.scheme
    return origin.lower() == f"{scheme}://{expected.netloc}".lower()


def live(ws: Any) -> None:
    """One page's socket, from the upgrade to its end."""
    guest: Guest = g.guest
    connection = Connection(
        ws=ws,
        wire=guest.wire,
        scope=current_scope(),
        session_id=guest.session_id,
        rights=guest.rights,
        locale=guest.locale,
    )
    let_go_of_request()
    guest.hub.join(connection)
    log.info("socket_opened", user_id=connection.user_id, socket=connection.id)
    try:
        serve(connection)
    except ConnectionClosed:
        pass  # they left
    except OSError as error:
        log.info("socket_broken", socket=connection.id, error=type(error).__name__)
    except Exception:
        # Left to Flask, this would become an error page written into the websocket.
        log.exception("socket_failed", socket=connection.id)
        connection.end(INTERNAL_ERROR, "error")
    finally:
        # On the register until the line is cut, so that the hub's watch sees a stuck goodbye too.
        connection.say_goodbye()
        guest.hub.leave(connection)
        why = connection.ending
        log.info("socket_closed", user_id=connection.user_id, socket=connection.id, why=why)


# Whoever is signed in may open a socket; each message below asks for more where it gives more.
live.access = ()  # type: ignore[attr-defined]
# Not as a decorator: flask-sock's returns None, and would take the name from us.
sock.route("/socket", bp=blueprint)(live)


def let_go_of_request() -> None:
    """Nothing of the database stays with the socket: not the connection, not the user's row."""
    for name in ("guest", "live_session", "scope", "_login_user"):
        g.pop(name, None)
    db.session.remove()


def serve(connection: Connection) -> None:
    """Write what waits, hear what comes, until one side ends it."""
    while connection.ending is None:
        for message in connection.receive(timeout=LONGEST_SLEEP):
            if not connection.within_budget():
                connection.end(POLICY, "too many messages")
                return
            try:
                hear(connection, message)
            except BadMessage as error:
                log.info("socket_message_refused", socket=connection.id, error=str(error))
                connection.end(BAD_DATA, "not understood")
                return
        connection.flush()


def hear(connection: Connection, message: str | bytes) -> None:
    """Take one message of the client's: JSON, of a type that we know, with that type's fields."""
    if isinstance(message, bytes):
        raise BadMessage("binary")
    if len(message) > LONGEST_MESSAGE:
        # Before parsing: thousands of brackets are short for a socket and too deep for a parser.
        raise BadMessage("too long")
    try:
        body = json.loads(message)
    except ValueError:
        raise BadMessage("not JSON") from None
    if not isinstance(body, dict):
        raise BadMessage("not an object")
    kind = body.pop("type", None)
    handler = HANDLERS.get(kind) if isinstance(kind, str) else None
    if handler is None:
        raise BadMessage("unknown type")
    connection.heard_at = time.monotonic()
    handler(connection, body)


def hear_open(connection: Connection, body: dict[str, Any]) -> None:
    """`{"type": "open", "chat_id": 7}`: this page shows chat 7 and wants its bubbles; null: none.

    Answered with the chat's version, so that the page can tell whether it missed something between
    its own load and now; a chat that the person may not see is answered with `gone`.
    """
    chat_id = body.pop("chat_id", None)
    if body or not (chat_id is None or (type(chat_id) is int and 0 < chat_id < 2**31)):
        raise BadMessage("open: chat_id must be a number or null")
    connection.chat_id = None
    if chat_id is None:
        return
    # First subscribed, then read: what commits in between arrives as an event. Each push asks for
    # the permission again, so subscribing gives nothing away.
    connection.chat_id = chat_id
    try:
        chat = load_chat(connection.scope, chat_id)
        answer = {"chat_id": chat.id, "version": chat.version, "count": chat.message_count}
        connection.push(encode_frame({"type": "opened", **answer}))
    except NotFound:
        connection.chat_id = None
        connection.push(event_frame("gone", chat_id=chat_id))
    finally:
        db.session.remove()


def hear_visible(connection: Connection, body: dict[str, Any]) -> None:
    """`{"type": "visible", "value": false}`: the tab went to the background, or came back."""
    value = body.pop("value", None)
    if body or not isinstance(value, bool):
        raise BadMessage("visible: value must be true or false")
    connection.visible = value


def hear_pong(connection: Connection, body: dict[str, Any]) -> None:
    """`{"type": "pong"}`: the answer to our ping; hearing it is all."""
    if body:
        raise BadMessage("pong has no fields")


# type -> (handler, the permissions that it asks of the person). A guard test reads this table.
SOCKET_EVENTS: dict[str, tuple[Callable[[Connection, dict[str, Any]], None], tuple[str, ...]]] = {
    "open": (hear_open, ("chats.read",)),
    "visible": (hear_visible, ()),
    "pong": (hear_pong, ()),
}
HANDLERS = {kind: handler for kind, (handler, _needs) in SOCKET_EVENTS.items()}
