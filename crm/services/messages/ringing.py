"""Rings for a chat that waits for somebody to decide whose it is."""

from __future__ import annotations

from crm.doorbell import ring_on_commit
from crm.services.messages.threads import Entry

UNDECIDED = frozenset({"new", "pending"})


def ring_for_route(entry: Entry) -> None:
    """After a word of the customer's in a chat that nobody has taken."""
    if entry.calls and entry.thread is not None and entry.thread.status in UNDECIDED:
        ring_on_commit("routing.route", entry.thread.id)
