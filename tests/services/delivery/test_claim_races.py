"""Several workers at the same rows at once: each row has one owner, each chat its order."""

from __future__ import annotations

import os
import uuid

import pytest
from flask import Flask
from sqlalchemy import text

from crm.db import atomic, db, retrying
from crm.models import QueueStatus
from crm.services.messages import delivery
from crm.services.messages.claims import Claim, Settings
from tests.factories import make_chat, make_number, make_queued_message
from tests.services.desk import run_together

ROUNDS = 40
WORKERS = 3
# `make faults` runs ten thousand.
RACES = int(os.environ.get("CHARLA_RACES", ROUNDS))
LET_GO = text("""
    UPDATE message_queue SET status = :status, owner = NULL, lease_until = NULL WHERE id = :id
""")


@pytest.mark.timeout(60 + RACES)
def test_many_workers_and_one_chat_one_claims_its_next_message(database: Flask, settings: Settings):
    number = make_number(rate_limit_per_minute=0)
    chats = [make_chat(number=number) for _ in range(2)]
    left = {chat.id: [] for chat in chats}
    for _ in range(-(-RACES // 2)):
        for chat in chats:
            left[chat.id].append(make_queued_message(chat).id)
        if len(left[chats[0].id]) < 20:
            continue
        race_through(number.id, left, settings)
    race_through(number.id, left, settings)
    assert db.session.scalar(text("SELECT max(attempts) FROM message_queue")) == 1


def race_through(number_id: int, left: dict[int, list[int]], settings: Settings) -> None:
    """Claim and finish until nothing is left, all workers at once each time."""
    db.session.commit()
    while any(left.values()):
        got: list[list[Claim]] = [[] for _ in range(WORKERS)]

        def work(n: int, got: list[list[Claim]] = got) -> None:
            def unit() -> list[Claim]:
                with atomic():
                    return delivery.claim_due(
                        {number_id: 10}, owner=uuid.uuid4(), settings=settings
                    ).claims

            got[n] = retrying(unit)

        run_together(work, WORKERS)
        claims = [claim for some in got for claim in some]
        firsts = {chat_id: ids[0] for chat_id, ids in left.items() if ids}
        assert {claim.chat_id: claim.message_id for claim in claims} == firsts
        assert len(claims) == len(firsts), "no row has two owners"
        with atomic():
            for claim in claims:
                db.session.execute(LET_GO, {"id": claim.queue_id, "status": QueueStatus.COMPLETED})
                left[claim.chat_id].pop(0)
