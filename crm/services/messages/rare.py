"""What comes beside messages and receipts, each kind to the file that minds it.

These come seldom: each is applied by itself, after the set of messages it came with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crm.providers.base import (
    AccountEvent,
    CallEvent,
    ContactChange,
    EchoedMessage,
    Event,
    GroupChange,
    HistoryChunk,
    PreferenceChange,
)
from crm.services.messages.account import apply_account_event
from crm.services.messages.address_book import name_group, remember_contact
from crm.services.messages.calls import record_call
from crm.services.messages.echoes import receive_echo
from crm.services.messages.history import import_history
from crm.services.messages.ledger import Post
from crm.services.messages.preferences import apply_preference
from crm.services.messages.threads import Number

HANDLERS: dict[type[Any], Callable[[Any, Number, Post], None]] = {
    EchoedMessage: receive_echo,
    CallEvent: record_call,
    PreferenceChange: apply_preference,
    ContactChange: remember_contact,
    GroupChange: name_group,
    HistoryChunk: import_history,
}


def is_rare(event: Event) -> bool:
    return isinstance(event, AccountEvent) or type(event) in HANDLERS


def apply_rare(post: Post, event: Event, number: Number | None) -> None:
    """Apply one event. `number` is None only for news of the account. Inside `atomic()`."""
    if isinstance(event, AccountEvent):
        apply_account_event(event, post)
    elif number is not None:
        HANDLERS[type(event)](event, number, post)
