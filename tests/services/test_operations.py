"""The figures of this moment, for people and machines."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import text

from crm.db import db
from crm.models import WhatsappNumber
from crm.services import operations
from tests.factories import make_campaign, make_chat, make_number, make_queued_message

DUE = timedelta(minutes=10)


@pytest.fixture
def number(database: Flask) -> WhatsappNumber:
    number = make_number(campaign=make_campaign())
    chat = make_chat(campaign=number.campaign_links[0].campaign, number=number)
    make_queued_message(chat)
    db.session.execute(text("UPDATE message_queue SET scheduled_at = now() - interval '10 min'"))
    db.session.commit()
    return number


def test_the_pulse_counts_what_is_there(number: WhatsappNumber) -> None:
    pulse = operations.read_pulse()
    assert (pulse.due, pulse.queue) == (1, {"pending": 1})
    assert pulse.oldest_due_seconds >= DUE.total_seconds()
    assert pulse.numbers == {"active": 1}


def test_readiness_tells_workers_and_the_oldest_message(app: Flask, number: WhatsappNumber) -> None:
    answer = app.test_client().get("/readyz")
    assert answer.status_code == 200
    assert answer.json["workers"]["delivery"] == 0
    assert answer.json["oldest_due_seconds"] >= DUE.total_seconds()


def test_metrics_need_their_token(
    app: Flask, number: WhatsappNumber, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = app.test_client()
    assert client.get("/metrics").status_code == 404
    config = app.config["CRM"]
    object.__setattr__(config, "metrics_token", "a-long-enough-token")
    try:
        assert client.get("/metrics").status_code == 401
        wrong = client.get("/metrics", headers={"Authorization": "Bearer ñ"})
        assert wrong.status_code == 401
        right = client.get("/metrics", headers={"Authorization": "Bearer a-long-enough-token"})
    finally:
        object.__setattr__(config, "metrics_token", None)
    assert right.status_code == 200
    assert right.mimetype == "text/plain"
    assert 'charla_queued_messages{state="pending"} 1' in right.text
    assert "# TYPE charla_workers gauge" in right.text
