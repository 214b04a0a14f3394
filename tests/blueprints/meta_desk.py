"""Delivering as Meta does, many at once, and what came of it."""

from __future__ import annotations

import threading
from typing import Any

from flask import Flask
from sqlalchemy import func, select

from crm import create_app
from crm.config import Config
from crm.db import db
from crm.models import WebhookEvent
from tests.providers.deliveries import post


def count(model: Any) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def ledger() -> list[WebhookEvent]:
    db.session.rollback()
    return list(db.session.scalars(select(WebhookEvent).order_by(WebhookEvent.id)))


def in_parallel(app: Flask, raws: list[bytes]) -> list[int]:
    """Deliver all bodies at the same instant, each on a thread of its own."""
    answers: list[int] = []
    start = threading.Barrier(len(raws))

    def deliver(raw: bytes) -> None:
        client = app.test_client()
        start.wait()
        answers.append(post(client, raw))

    threads = [threading.Thread(target=deliver, args=(raw,)) for raw in raws]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def other_app(environment: dict[str, str], **changes: str) -> Flask:
    return create_app(Config.from_env({**environment, **changes}))
