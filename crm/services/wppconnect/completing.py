"""What an event lacks before it is stored: whose hidden id it is, and whether it is our own send.

The server is asked between two transactions, with little patience: an event that waits too long is
as good as lost.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from crm.errors import Conflict
from crm.providers.base import CallEvent, EchoedMessage, Event, InboundMessage
from crm.providers.wppconnect.client import WppConnectChannel
from crm.providers.wppconnect.gateway import GatewayError
from crm.services.wppconnect import people, reconciling, sessions
from crm.services.wppconnect.gateways import SHORT_SECONDS, gateway_for
from crm.services.wppconnect.sessions import Target

# Whom the server did not know a moment ago it does not know now; each question costs it a second.
ASK_AGAIN_SECONDS = 600.0
MOST_REMEMBERED = 5000
_asked_at: dict[str, float] = {}
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Question:
    """The hidden ids that nobody here knows, and whom to ask."""

    lids: tuple[str, ...] = ()
    channel: WppConnectChannel | None = None


def needs_completion(events: Sequence[Event]) -> bool:
    return any(isinstance(event, InboundMessage | EchoedMessage | CallEvent) for event in events)


def prepare(events: Sequence[Event], number_id: int, *, keys: Sequence[str]) -> Question:
    """What has to be asked. Inside `atomic()`."""
    long_ago = time.monotonic() - ASK_AGAIN_SECONDS
    unknown = people.find_unknown_lids(events)
    lids = [lid for lid in unknown if _asked_at.get(lid, long_ago) <= long_ago]
    channel = sessions.load_channel(number_id, keys=keys) if lids else None
    return Question(tuple(lids), channel)


def ask_server(question: Question, trusted_hosts: tuple[str, ...]) -> dict[str, str]:
    """lid -> phone digits, as far as the server tells in time."""
    channel = question.channel
    if not question.lids or channel is None:
        return {}
    if len(_asked_at) > MOST_REMEMBERED:
        _asked_at.clear()
    _asked_at.update(dict.fromkeys(question.lids, time.monotonic()))
    gateway = gateway_for(trusted_hosts, total_seconds=SHORT_SECONDS)
    return people.ask_for_phones(question.lids, lambda name: gateway.find_pair(channel, name))


def complete(events: Sequence[Event], number_id: int, phones: Mapping[str, str]) -> list[Event]:
    """The events as they are stored. Inside `atomic()`."""
    return reconciling.with_own_sends(number_id, people.with_phones(events, phones))


# -- orders of a person, which the server must have heard before we write them down -------------


def close_at_server(target: Target, trusted_hosts: tuple[str, ...]) -> bool:
    """Close the session; whether the server heard it."""
    if target.token is None:
        return True
    try:
        gateway_for(trusted_hosts).close(target.channel)
    except GatewayError as error:
        log.warning("wppconnect_not_closed", number_id=target.number_id, reason=error.reason)
        return False
    return True


def log_out_at_server(target: Target, trusted_hosts: tuple[str, ...]) -> None:
    """Unlink the phone. Conflict where the server does not do it."""
    if target.token is None:
        raise Conflict("The session is not connected, so there is nothing to log out.")
    try:
        gateway_for(trusted_hosts).log_out(target.channel)
    except GatewayError as error:
        if error.reason == "disconnected":
            words = "The session is not connected, so there is nothing to log out."
            raise Conflict(words) from error
        raise Conflict(
            "The WPPConnect server does not answer, so the phone cannot be unlinked from here now. "
            "Unlink it on the phone: WhatsApp, linked devices."
        ) from error
