"""Chats in each state, what they leave behind, and listening to what is published and rung."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from crm import doorbell, events
from crm.db import atomic, db
from crm.lib.clock import utcnow
from crm.models import Chat, ChatEvent, ChatStatus, PendingReason
from tests.cast import Cast
from tests.factories import make_chat


class Heard:
    """Everything published and rung while it listens, as the wire carries it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[dict[str, Any]] = []
        self.rings: list[tuple[str, Any]] = []
        publish, ring = events.publish_all, doorbell.ring
        monkeypatch.setattr(events, "publish_all", lambda pairs: self._publish(publish, pairs))
        monkeypatch.setattr(doorbell, "ring", lambda *ringing: self._ring(ring, *ringing))

    def _publish(self, publish: Any, pairs: Any) -> None:
        pairs = list(pairs)
        self.events += [json.loads(events.encode(*pair)) for pair in pairs]
        publish(pairs)

    def _ring(self, ring: Any, name: str, key: Any) -> Any:
        self.rings.append((name, key))
        return ring(name, key)

    def audiences(self, name: str) -> list[dict[str, Any]]:
        return [event["audience"] for event in self.events if event["name"] == name]


def chat_in(status: str, cast: Cast, **fields: Any) -> Chat:
    """A committed chat of Laura's in this state."""
    owned = {"assigned", "active", "pending", "transferred", "closed", "abandoned"}
    with atomic():
        if status in owned:
            fields = {"agent": cast.laura, **fields}
        if status == "transferred":
            fields = {"offered_agent_id": cast.jhon.id, "offered_at": utcnow(), **fields}
        if status == "pending":
            fields = {"pending_reason": PendingReason.CUSTOMER, **fields}
        return make_chat(
            campaign=cast.sales,
            number=cast.number,
            **{"queue_id": cast.queue.id, "status": ChatStatus(status), **fields},
        )


def events_of(chat: Chat) -> list[ChatEvent]:
    return list(
        db.session.scalars(
            select(ChatEvent).where(ChatEvent.chat_id == chat.id).order_by(ChatEvent.id)
        )
    )


def app_of() -> Flask:
    from flask import current_app

    return current_app._get_current_object()  # type: ignore[attr-defined]


def run_together(work: Any, count: int) -> None:
    """Start `count` threads at the same moment and wait for them; an error in one is raised."""
    app, gate, errors = app_of(), threading.Barrier(count), []

    def run() -> None:
        gate.wait()
        try:
            work(app)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    if errors:
        raise errors[0]
