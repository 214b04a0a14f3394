"""Speaks with WPPConnect servers about sessions: looks after them, catches up, settles doubts.

Each call happens between two short transactions, never inside one.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from flask import current_app

from crm.config import Config
from crm.db import atomic, database_now, db, retrying
from crm.doorbell import job
from crm.models import SessionState
from crm.providers.base import Event
from crm.providers.wppconnect.client import WppConnectChannel
from crm.providers.wppconnect.gateway import GatewayError, ServerState, WppConnectGateway
from crm.services.messages.inbound import receive_singly
from crm.services.messages.ledger import Post
from crm.services.messages.receipts import apply_early_receipts
from crm.services.wppconnect import completing, gaps, orders, people, reconciling, sessions
from crm.services.wppconnect.gateways import gateway_for
from crm.services.wppconnect.machine import Action, Limits, Step, step
from crm.services.wppconnect.sessions import Target

log = structlog.get_logger(__name__)

# So many recovered messages go in with one transaction.
BATCH = 20


@job("wppconnect.check")
def check(number_id: int) -> None:
    """Look at one session, and do what its state asks for."""
    config: Config = current_app.config["CRM"]
    gateway = gateway_for(config.trusted_hosts)
    limits = Limits(config.wppconnect_check_seconds, config.wppconnect_stuck_seconds)
    with atomic():
        target = sessions.load_target(int(number_id), keys=config.encryption_keys)
    if target is None:
        return
    server, found, detail = look(target, gateway, config, limits)
    with atomic():
        sessions.record_step(target.number_id, found, server=server, detail=detail)
    with atomic():
        # This server acks in the same instant in which it answers a send, so that the two can miss
        # each other; a line on which nothing else is sent has no other round to find them.
        apply_early_receipts()


def look(
    target: Target, gateway: WppConnectGateway, config: Config, limits: Limits
) -> tuple[ServerState | None, Step, str]:
    """Ask for the state, decide, act: (the server's state, the step, what was wrong)."""
    server: ServerState | None = None
    try:
        if target.token is None:
            target = renew_token(target, gateway, config)
        server = gateway.find_state(target.channel)
        if has_other_phone(target, server, gateway):
            return None, step(target.standing, "wrong_phone", limits), "wrong_phone"
        found = step(target.standing, server.word, limits)
        act(target, found, gateway, config)
    except GatewayError as error:
        found = step(target.standing, error.reason, limits)
        if found.action is not Action.RENEW_TOKEN:
            return None, found, error.reason
        return _renewed(target, found, gateway, config, limits)
    return server, found, ""


def has_other_phone(target: Target, server: ServerState, gateway: WppConnectGateway) -> bool:
    """Somebody scanned with another phone: asked once, as the session comes up."""
    if server.word != "CONNECTED" or target.standing.state is SessionState.CONNECTED:
        return False
    linked = gateway.find_own_phone(target.channel)
    return linked is not None and not target.is_phone(linked)


def _renewed(
    target: Target,
    found: Step,
    gateway: WppConnectGateway,
    config: Config,
    limits: Limits,
) -> tuple[ServerState | None, Step, str]:
    """The token is refused (the server's key was changed): one more is asked for."""
    try:
        renew_token(target, gateway, config)
    except GatewayError as error:
        return None, step(target.standing, error.reason, limits), error.reason
    return None, found, "wrong_token"


def renew_token(target: Target, gateway: WppConnectGateway, config: Config) -> Target:
    if not target.secret_key:
        raise GatewayError("wrong_key")
    token = gateway.generate_token(target.base_url, target.name, target.secret_key)
    with atomic():
        sessions.keep_token(target.number_id, token, keys=config.encryption_keys)
    return sessions.with_token(target, token)


def act(target: Target, found: Step, gateway: WppConnectGateway, config: Config) -> None:
    """Start or reset; a start that is not answered shows at the next look."""
    if found.action is Action.RESET:
        gateway.close(target.channel)
    if found.action in (Action.START, Action.RESET):
        gateway.start(target.channel, webhook=target.webhook_url(config.webhook_base))


@job("wppconnect.close")
def close(number_id: int) -> None:
    """Tell the server of a session that nobody wants any more; one that is away is not told."""
    config: Config = current_app.config["CRM"]
    with atomic():
        target = orders.load_abandoned(int(number_id), keys=config.encryption_keys)
    if target is not None:
        completing.close_at_server(target, config.trusted_hosts)


@job("wppconnect.catch_up")
def catch_up(number_id: int) -> None:
    """Compare with the server's history; what is missing comes in by the usual way."""
    config: Config = current_app.config["CRM"]
    with atomic():
        began_at = database_now()
        found = gaps.begin_look(
            int(number_id),
            keys=config.encryption_keys,
            every_seconds=config.wppconnect_gap_seconds,
        )
    if found is None:
        return
    gateway = gateway_for(config.trusted_hosts)
    try:
        rows = gaps.gather(found, gateway)
    except GatewayError as error:
        # The next turn reaches back to where the last whole look ended.
        log.warning("gap_look_failed", number_id=number_id, reason=error.reason)
        return
    count = 0
    with atomic():
        missing = gaps.find_missing(int(number_id), rows)
    for start in range(0, len(missing), BATCH):
        part = missing[start : start + BATCH]
        events = resolved([event for _, event in part], gateway, found.channel)
        posts = [
            gaps.post_of(int(number_id), row, event)
            for (row, _), event in zip(part, events, strict=True)
        ]
        count += bring_in(posts)
    with atomic():
        gaps.end_look(int(number_id), began_at=began_at)
        if count:
            sessions.note_recovered(int(number_id), count)
    if count:
        log.warning("messages_recovered", number_id=number_id, count=count)


def resolved(
    events: Sequence[Event], gateway: WppConnectGateway, channel: WppConnectChannel
) -> list[Event]:
    """The events with the phones of their hidden ids, as far as the server knows them."""
    with atomic():
        unknown = people.find_unknown_lids(events)
    found = people.ask_for_phones(unknown, lambda name: gateway.find_pair(channel, name))
    with atomic():
        return people.with_phones(events, found)


def bring_in(posts: list[Post]) -> int:
    """Store recovered messages, each by itself; how many are new."""
    ids = {
        event.whatsapp_message_id  # type: ignore[union-attr]
        for post in posts
        for event in post.events
    }

    def store() -> int:
        with atomic():
            before = gaps.find_known(ids)
            receive_singly(posts)
            return len(gaps.find_known(ids) - before)

    return retrying(store)


@job("wppconnect.reconcile")
def reconcile(number_id: int) -> None:
    """Look up what became of messages whose sending nobody saw the end of."""
    config: Config = current_app.config["CRM"]
    with atomic():
        doubts = reconciling.begin(int(number_id), keys=config.encryption_keys)
    if doubts is None:
        return
    gateway = gateway_for(config.trusted_hosts)
    for chat, messages in doubts.by_chat.items():
        db.session.remove()
        try:
            rows = gateway.find_messages(doubts.channel, chat, count=reconciling.LOOK_BACK)
        except GatewayError as error:
            log.warning("doubt_not_looked_up", number_id=number_id, reason=error.reason)
            continue
        with atomic():
            reconciling.settle(int(number_id), messages, rows)
