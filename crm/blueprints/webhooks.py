"""Where Meta posts: its handshake and its events.

A POST is answered with 200 only after everything in it, and its ledger row, is committed. POSTs
that arrive together share one transaction (group commit).
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog
from flask import Blueprint, Flask, current_app, request
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from crm.blueprints.headers import HEADERS
from crm.config import Config
from crm.db import atomic, postpone_callbacks, retrying
from crm.extensions import csrf
from crm.lib.batching import BatchInterrupted, GroupCommit
from crm.permissions import public
from crm.providers.meta.webhook import parse, verify_signature
from crm.services.messages.inbound import is_connection_lost, receive, receive_singly
from crm.services.messages.ledger import Post
from crm.services.messages.signing import AppSecrets, list_verify_tokens, load_app_secrets

log = structlog.get_logger(__name__)
blueprint = Blueprint("webhooks", __name__, url_prefix="/webhooks")
# Machines post here; the signature takes the place of the form's token.
csrf.exempt(blueprint)

META_PATH = "/webhooks/meta"
# Meta's own limit for one delivery.
MOST_BYTES = 3 * 1024 * 1024
MOST_CHALLENGE = 1000
# For this long a changed secret of a number may be unknown to a process.
SECRETS_SECONDS = 1.0
# While deliveries come in crowds, a set waits this long at most for as many as the last one had.
PATIENCE_SECONDS = 0.002
# Somebody who knocks all day must not fill the log.
REFUSAL_LOG_SECONDS = 60.0
REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    413: "Content Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}

Answer = tuple[int, str]
"""A status and the words that go with it, as plain text. None with 200: nobody reads them, and
gunicorn sends a body by itself, after the headers."""


class Door:
    """Takes deliveries in, for one application in one process."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        # Two lanes: while Postgres works on one set, Python reads the next. More lanes only make
        # the sets smaller, and every set has its price; patience makes them larger.
        self.commits: GroupCommit[Post, None] = GroupCommit(
            self.store, most=200, lanes=2, patience=PATIENCE_SECONDS
        )
        self.secrets: AppSecrets | None = None
        self.secrets_read_at = 0.0
        self.reading = threading.Lock()
        self.refused_at: dict[str, float] = {}

    def take(self, raw: bytes, signature: str | None, address: str) -> Answer:
        """Check, read and store one delivery. 200: stored for good. 503: come again."""
        try:
            secrets, secret = self.find_secret(raw, signature)
            if not secrets.every:
                log.error("webhook_without_secret", setting="META_APP_SECRET")
                return 503, "no app secret is configured"
            if secret is None:
                return self.refuse("signature_refused", address)
            try:
                events = parse(raw)
            except ValueError as error:
                log.warning("webhook_not_json", reason=str(error)[:200])
                return 400, "not JSON"
            if not all(
                secrets.admits(secret, event.phone_number_id, getattr(event, "account_id", None))
                for event in events
            ):
                return self.refuse("signature_of_another_app", address)
            self.commits.submit(Post(raw, events))
        except (SQLAlchemyError, BatchInterrupted) as error:
            log.error("webhook_not_stored", error=type(error).__name__)
            return 503, "not stored, come again"
        return 200, ""

    def store(self, posts: Sequence[Post]) -> tuple[list[Exception | None], Callable[[], None]]:
        """Store a set of POSTs in one transaction, or each by itself where the set is refused.

        Browsers and workers are told afterwards: a slow Redis delays no answer but one.
        """
        # A context, and so a session, of its own: the leader may be anybody's request or none.
        with self.app.app_context():
            try:
                return [None] * len(posts), retrying(lambda: _receive_together(posts))
            except Exception as error:
                if is_connection_lost(error):
                    raise
                log.warning("webhook_set_refused", posts=len(posts), error=type(error).__name__)
            return retrying(lambda: _receive_apart(posts))

    def find_secret(self, raw: bytes, signature: str | None) -> tuple[AppSecrets, str | None]:
        """The app secrets in force, and the one that signs these bytes."""
        secrets = self.read_secrets(no_older_than=SECRETS_SECONDS)
        secret = verify_signature(raw, signature, secrets.every)
        if secret is None and signature and secrets.every:
            # The number may have got its secret a moment ago.
            secrets = self.read_secrets(no_older_than=0.1)
            secret = verify_signature(raw, signature, secrets.every)
        return secrets, secret

    def read_secrets(self, *, no_older_than: float) -> AppSecrets:
        """The app secrets, read again when they are older than asked for, by one at a time.

        While the database is away the last ones serve; the store answers 503 a moment later.
        """
        asked_at = time.monotonic()
        if self.secrets is not None and asked_at - self.secrets_read_at <= no_older_than:
            return self.secrets
        with self.reading:
            # Whoever waited for another's reading has what they came for.
            if self.secrets is None or self.secrets_read_at < asked_at:
                self._read_secrets()
        assert self.secrets is not None
        return self.secrets

    def _read_secrets(self) -> None:
        config: Config = self.app.config["CRM"]
        begun = time.monotonic()
        try:
            with self.app.app_context():
                secrets = load_app_secrets(config.meta_app_secrets, keys=config.encryption_keys)
        except SQLAlchemyError:
            if self.secrets is None:
                raise
            return
        self.secrets, self.secrets_read_at = secrets, begun

    def refuse(self, event: str, address: str) -> Answer:
        self.log_refusal(event, address)
        return 401, "bad signature"

    def log_refusal(self, event: str, address: str) -> None:
        """Once a minute for each address."""
        now = time.monotonic()
        if now - self.refused_at.get(address, -REFUSAL_LOG_SECONDS) < REFUSAL_LOG_SECONDS:
            return
        if len(self.refused_at) > 1000:
            self.refused_at.clear()
        self.refused_at[address] = now
        log.warning(event, address=address)


def _receive_together(posts: Sequence[Post]) -> Callable[[], None]:
    with atomic():
        receive(posts)
        return postpone_callbacks()


def _receive_apart(posts: Sequence[Post]) -> tuple[list[Exception | None], Callable[[], None]]:
    with atomic():
        return receive_singly(posts), postpone_callbacks()


StartResponse = Callable[..., Any]


class FastLane:
    """Answers Meta's deliveries before Flask: three of them come for every message of ours.

    A request through Flask (contexts, cookies, routing, hooks) costs more than storing its message
    does. What is not plainly a delivery (no Content-Length, another method) goes on to the route
    below, which does the same.
    """

    def __init__(self, door: Door, inner: Callable[..., Iterable[bytes]]) -> None:
        self.door = door
        self.inner = inner

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != META_PATH or environ["REQUEST_METHOD"] != "POST":
            return self.inner(environ, start_response)
        size = environ.get("CONTENT_LENGTH") or ""
        if not size.isdecimal():
            return self.inner(environ, start_response)
        try:
            status, words = self.answer(environ, int(size))
        except Exception:
            log.exception("webhook_failed")
            status, words = 500, "failed"
        body = words.encode()
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            *HEADERS.items(),
            ("Cache-Control", "no-store"),
        ]
        if status == 503:
            headers.append(("Retry-After", "5"))
        start_response(f"{status} {REASONS[status]}", headers)
        return [body] if body else []

    def answer(self, environ: dict[str, Any], size: int) -> Answer:
        if size > MOST_BYTES:
            return 413, "too large"
        raw = environ["wsgi.input"].read(size)
        if len(raw) < size:
            return 400, "cut short"
        signature = environ.get("HTTP_X_HUB_SIGNATURE_256")
        return self.door.take(raw, signature, environ.get("REMOTE_ADDR", ""))


@blueprint.record_once
def open_door(state: BlueprintSetupState) -> None:
    app: Flask = state.app  # type: ignore[assignment]
    door = Door(app)
    app.extensions["webhooks"] = door
    app.wsgi_app = FastLane(door, app.wsgi_app)  # type: ignore[method-assign]


@blueprint.get("/meta")
@public
def verify_meta() -> ResponseReturnValue:
    """Meta's handshake: the challenge comes back as plain text, if the token is one of ours."""
    config: Config = current_app.config["CRM"]
    token = request.args.get("hub.verify_token", "").encode()
    challenge = request.args.get("hub.challenge", "")
    known = [*config.meta_verify_tokens, *list_verify_tokens(keys=config.encryption_keys)]
    # Every token is compared, so that the time tells nothing.
    matches = [hmac.compare_digest(token, candidate.encode()) for candidate in known if candidate]
    if request.args.get("hub.mode") != "subscribe" or not any(matches):
        _door().log_refusal("verify_token_refused", request.remote_addr or "")
        return _plain(403, "refused")
    return _plain(200, challenge[:MOST_CHALLENGE])


@blueprint.post("/meta")
@public
def receive_meta() -> ResponseReturnValue:
    """Deliveries that the fast lane leaves to Flask: chunked ones."""
    raw = request.get_data(cache=False)
    if len(raw) >= MOST_BYTES:
        # Werkzeug stops reading a chunked body at the limit and says nothing.
        return _plain(413, "too large")
    signature = request.headers.get("X-Hub-Signature-256")
    return _plain(*_door().take(raw, signature, request.remote_addr or ""))


def _door() -> Door:
    door: Door = current_app.extensions["webhooks"]
    return door


def _plain(status: int, words: str) -> ResponseReturnValue:
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    return words, status, {**headers, **({"Retry-After": "5"} if status == 503 else {})}
