"""Where the providers post: Meta's handshake and events, and WPPConnect's reserved address.

A POST is answered with 200 only after everything in it, and its ledger row, is committed. POSTs
that arrive together share one transaction (group commit).
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from flask import Blueprint, Flask, current_app, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from crm.config import Config
from crm.db import atomic, db, retrying
from crm.extensions import csrf
from crm.lib.batching import GroupCommit
from crm.permissions import public
from crm.providers.meta.webhook import parse, verify_signature
from crm.services.messages.inbound import is_connection_lost, receive, receive_singly
from crm.services.messages.ledger import Post
from crm.services.messages.signing import AppSecrets, list_verify_tokens, load_app_secrets

log = structlog.get_logger(__name__)
blueprint = Blueprint("webhooks", __name__, url_prefix="/webhooks")
# Machines post here; the signature takes the place of the form's token.
csrf.exempt(blueprint)

# Meta's own limit for one delivery.
MOST_BYTES = 3 * 1024 * 1024
MOST_CHALLENGE = 1000
# For this long a changed secret of a number may be unknown to a process.
SECRETS_SECONDS = 1.0
REFUSALS_PER_ADDRESS_SECONDS = 60.0


@dataclass
class Door:
    """What one process keeps between requests."""

    commits: GroupCommit[Post, None]
    secrets: AppSecrets | None = None
    secrets_read_at: float = 0.0
    refused_at: dict[str, float] = field(default_factory=dict)


@blueprint.record_once
def prepare(state: object) -> None:
    app: Flask = state.app  # type: ignore[attr-defined]
    # Two lanes: while Postgres works on one set, Python prepares the next.
    app.extensions["webhooks"] = Door(GroupCommit(store, most=200, lanes=2))


@blueprint.get("/meta")
@public
def verify_meta() -> ResponseReturnValue:
    """Meta's handshake: the challenge comes back as plain text, if the token is one of ours."""
    token = request.args.get("hub.verify_token", "").encode()
    challenge = request.args.get("hub.challenge", "")
    known = [*_config().meta_verify_tokens, *list_verify_tokens(keys=_config().encryption_keys)]
    # Every token is compared, so that the time tells nothing.
    matches = [hmac.compare_digest(token, candidate.encode()) for candidate in known if candidate]
    if request.args.get("hub.mode") != "subscribe" or not any(matches):
        _log_refusal("verify_token_refused")
        return _plain("refused", 403)
    return _plain(challenge[:MOST_CHALLENGE], 200)


@blueprint.post("/meta")
@public
def receive_meta() -> ResponseReturnValue:
    """Events of Meta. 200: stored for good. 503: come again. Anything else: not stored."""
    if (request.content_length or 0) > MOST_BYTES:
        return _plain("too large", 413)
    raw = request.get_data(cache=False)
    door: Door = current_app.extensions["webhooks"]
    try:
        secrets = _secrets(door)
        secret = verify_signature(raw, _signature(), secrets.every)
        if secret is None and secrets.every:
            # The number may have got its secret a moment ago.
            secrets = _secrets(door, no_older_than=0.1)
            secret = verify_signature(raw, _signature(), secrets.every)
    except SQLAlchemyError as error:
        return _away(error)
    if not secrets.every:
        log.error("webhook_without_secret", setting="META_APP_SECRET")
        return _plain("no app secret is configured", 503)
    if secret is None:
        _log_refusal("signature_refused")
        return _plain("bad signature", 401)
    try:
        events = parse(raw)
    except ValueError as error:
        log.warning("webhook_not_json", reason=str(error)[:200])
        return _plain("not JSON", 400)
    if not all(secrets.admits(secret, event.phone_number_id) for event in events):
        _log_refusal("signature_of_another_app")
        return _plain("bad signature", 401)
    try:
        door.commits.submit(Post(raw, events))
    except SQLAlchemyError as error:
        return _away(error)
    return _plain("stored", 200)


@blueprint.route("/wppconnect/<secret>", methods=["POST"])
@public
def receive_wppconnect(secret: str) -> ResponseReturnValue:
    """The address is reserved: no number here speaks through WPPConnect, so no secret fits."""
    return _plain("not found", 404)


def store(posts: Sequence[Post]) -> list[Exception | None]:
    """Store a set of POSTs in one transaction, or each by itself where the set is refused."""
    try:
        retrying(lambda: _receive_together(posts))
        return [None] * len(posts)
    except Exception as error:
        if is_connection_lost(error):
            raise
        log.warning("webhook_set_refused", posts=len(posts), error=type(error).__name__)
    return retrying(lambda: _receive_apart(posts))


def _receive_together(posts: Sequence[Post]) -> None:
    with atomic():
        receive(posts)


def _receive_apart(posts: Sequence[Post]) -> list[Exception | None]:
    with atomic():
        return receive_singly(posts)


def _secrets(door: Door, *, no_older_than: float = SECRETS_SECONDS) -> AppSecrets:
    """The app secrets, read again when they are older than asked for.

    While the database is away the last ones serve; the store answers 503 a moment later.
    """
    now = time.monotonic()
    if door.secrets is None or now - door.secrets_read_at > no_older_than:
        config = _config()
        try:
            door.secrets = load_app_secrets(config.meta_app_secrets, keys=config.encryption_keys)
            door.secrets_read_at = now
        except DBAPIError:
            if door.secrets is None:
                raise
        finally:
            # The set's leader may be another request: nobody waits with a connection in hand.
            db.session.remove()
    return door.secrets


def _signature() -> str | None:
    return request.headers.get("X-Hub-Signature-256")


def _config() -> Config:
    config: Config = current_app.config["CRM"]
    return config


def _away(error: Exception) -> ResponseReturnValue:
    log.error("webhook_not_stored", error=type(error).__name__)
    return _plain("not stored, come again", 503, {"Retry-After": "5"})


def _plain(words: str, status: int, headers: dict[str, str] | None = None) -> ResponseReturnValue:
    return words, status, {"Content-Type": "text/plain; charset=utf-8", **(headers or {})}


def _log_refusal(event: str) -> None:
    """Once a minute for each address: somebody who knocks all day must not fill the log."""
    refused_at = current_app.extensions["webhooks"].refused_at
    address, now = request.remote_addr or "", time.monotonic()
    if now - refused_at.get(address, -REFUSALS_PER_ADDRESS_SECONDS) < REFUSALS_PER_ADDRESS_SECONDS:
        return
    if len(refused_at) > 1000:
        refused_at.clear()
    refused_at[address] = now
    log.warning(event, address=address)
