"""Every delivery that we have, through the whole way in, twice, each on empty tables."""

import json
from collections import Counter
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, text

from crm.db import db
from crm.jobs.messages import import_history
from crm.models import Message, WebhookEvent
from tests.factories import make_campaign, make_number
from tests.providers.deliveries import (
    COLLECTED,
    collected_files,
    message_ids,
    own_files,
    phone_number_ids,
    post,
)

FILES = [*own_files(), *collected_files()]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_takes_each_delivery_twice_and_stores_each_message_once(app: Flask, file: Path) -> None:
    raw = file.read_bytes()
    for phone_number_id in phone_number_ids(raw):
        make_number(campaign=make_campaign(), meta_phone_number_id=phone_number_id)
    db.session.commit()

    assert post(app.test_client(), raw) == 200
    assert post(app.test_client(), raw) == 200
    import_history("all")

    stored = Counter(db.session.scalars(select(Message.whatsapp_message_id)))
    assert stored == Counter(message_ids(raw))
    events = db.session.scalars(select(WebhookEvent)).all()
    assert [event.body for event in events] == [raw, raw]
    reasons = {problem["reason"] for event in events for problem in event.problems or []}
    assert "refused" not in reasons
    assert _counters_that_are_wrong() == []


def _counters_that_are_wrong() -> list[tuple[int, int, int]]:
    """Chats whose counters do not say what stands in their threads."""
    query = text("""
        SELECT c.id, c.message_count, c.unread_count FROM chats c
        LEFT JOIN messages m ON m.chat_id = c.id
        GROUP BY c.id
        HAVING c.message_count <> count(m.id) FILTER (
                   WHERE m.message_type NOT IN ('reaction', 'system'))
            OR c.unread_count <> count(m.id) FILTER (
                   WHERE m.read_at IS NULL AND m.direction = 'inbound')
    """)
    return [tuple(row) for row in db.session.execute(query)]


def test_the_collection_is_whole() -> None:
    """At least 157 of Meta's; fewer would prove less without anybody noticing."""
    files = collected_files()
    if not files:
        pytest.skip(f"the collection is not at {COLLECTED}")
    assert len(files) >= 157


def test_our_own_bodies_are_json_and_hold_each_message_type() -> None:
    types = {
        message.get("type")
        for file in own_files()
        for entry in json.loads(file.read_bytes())["entry"]
        if isinstance(entry, dict) and isinstance(entry.get("changes"), list)
        for change in entry["changes"]
        if isinstance(change, dict) and isinstance(change.get("value"), dict)
        for message in change["value"].get("messages") or []
        if isinstance(message, dict)
    }
    assert types >= {
        "text", "image", "video", "audio", "voice", "document", "sticker", "location", "contacts",
        "interactive", "button", "reaction", "order", "system", "unsupported", "unknown",
        "request_welcome", "edit", "revoke",
    }  # fmt: skip
