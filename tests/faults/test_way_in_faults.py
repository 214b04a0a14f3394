"""Rows D5, D10 and D11 of the fault matrix: bodies that are no deliveries, no workers, a lost ring.

D1-D4 and D6-D9 stand in tests/blueprints/test_webhooks.py, which needs no server of its own.
"""

from __future__ import annotations

import gzip
import socket
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from subprocess import Popen

import psutil
import pytest
import requests
from flask import Flask
from sqlalchemy import select

from crm.db import db
from crm.extensions import redis_client
from crm.jobs.messages import import_history
from crm.jobs.schedule import SWEEPS
from crm.models import Chat, Message, WebhookEvent
from crm.services import routing
from tests.factories import make_campaign, make_number
from tests.faults.sizes import percentiles, size
from tests.providers.deliveries import PHONE_NUMBER_ID, body, sign, words
from tests.realtime.pages import Server, gunicorn_server, wait_until
from tests.services.way_in import NOW, past, take_in

Production = tuple[Server, Popen[bytes]]
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def web(migrated_app: Flask, environment: dict[str, str]) -> Iterator[Production]:
    with gunicorn_server(migrated_app, environment) as running:
        yield running


@pytest.fixture
def production(app: Flask, web: Production) -> Production:
    """The web server as it runs for real, and no worker beside it."""
    make_number(campaign=make_campaign(), meta_phone_number_id=PHONE_NUMBER_ID)
    db.session.commit()
    return web


def deliver(server: Server, raw: bytes, **headers: str) -> int:
    url = f"http://{server.address}/webhooks/meta"
    return requests.post(url, data=raw, headers={**sign(raw), **headers}, timeout=60).status_code


def stored() -> list[str]:
    db.session.expire_all()
    query = select(Message.whatsapp_message_id).order_by(Message.position, Message.id)
    return [wamid for wamid in db.session.scalars(query) if wamid]


def unrouted() -> list[int]:
    """What the clock would ring for; `now()` is that of a transaction of its own each time."""
    db.session.rollback()
    return routing.find_unrouted_chats()


def test_d5_slow_zipped_and_huge_bodies_cost_little_and_hold_nobody_up(
    production: Production,
) -> None:
    server, process = production
    host, _, port = server.address.rpartition(":")
    assert deliver(server, body(words("wamid.1"))) == 200
    worker = psutil.Process(process.pid).children()[0]
    before = worker.memory_info().rss

    slow = []
    for _ in range(50):
        # Promises a megabyte and sends a few bytes of it.
        line = socket.create_connection((host.strip("[]"), int(port)), timeout=20)
        line.sendall(b"POST /webhooks/meta HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{")
        slow.append(line)
    bomb = gzip.compress(b'{"object":"' + b" " * (64 * MEGABYTE) + b'"}')
    assert deliver(server, bomb, **{"Content-Encoding": "gzip"}) == 400
    for _ in range(3):
        try:
            assert deliver(server, b"x" * (50 * MEGABYTE)) == 413
        except requests.ConnectionError:
            # Refused before all of it was sent: as good an answer.
            continue
    assert deliver(server, body(words("wamid.2"))) == 200
    for line in slow:
        line.close()
    assert deliver(server, body(words("wamid.3"))) == 200

    assert set(stored()) == {"wamid.1", "wamid.2", "wamid.3"}
    assert worker.memory_info().rss - before < 50 * MEGABYTE


def test_d10_without_a_worker_every_word_is_stored_in_its_order(production: Production) -> None:
    server, _process = production
    people = [f"5731{n:08d}" for n in range(size(12, 100))]
    each = size(25, 100)
    seconds: list[float] = []

    def write(person: str) -> list[int]:
        codes = []
        for n in range(each):
            raw = body(words(f"{person}.{n}", f"{n}", sender=person, at=NOW + n))
            begun = time.perf_counter()
            codes.append(deliver(server, raw))
            seconds.append(time.perf_counter() - begun)
        return codes

    # Twelve at a time, as often as the next one may come: a provider waits for each answer.
    with ThreadPoolExecutor(12) as pool:
        assert {code for codes in pool.map(write, people) for code in codes} == {200}

    threads: dict[str, list[str]] = defaultdict(list)
    for wamid in stored():
        threads[wamid.partition(".")[0]].append(wamid.partition(".")[2])
    assert threads == {person: [str(n) for n in range(each)] for person in people}
    chats = db.session.scalars(select(Chat)).all()
    assert {(chat.status, chat.message_count, chat.unread_count) for chat in chats} == {
        ("new", each, each)
    }
    # Whenever a worker comes, it finds them all.
    wait_until(lambda: len(unrouted()) == len(people))
    print(f"\n{len(seconds)} deliveries without a worker: {percentiles(seconds)}")


def test_d11_what_was_committed_and_never_rung_for_is_found_by_the_clock(app: Flask) -> None:
    make_number(campaign=make_campaign(), meta_phone_number_id=PHONE_NUMBER_ID)
    db.session.commit()
    take_in(body(words("wamid.1")), past(words("wamid.0", at=NOW - 500)))
    redis_client.flushdb()  # the process died between the commit and its ring

    wait_until(lambda: len(unrouted()) == 1)
    found = {sweep.job: list(sweep.find()) for sweep in SWEEPS}
    assert found["messages.import_history"] == ["all"]
    import_history("all")
    db.session.expire_all()
    assert [event.status for event in db.session.scalars(select(WebhookEvent))] == [
        "processed", "processed",
    ]  # fmt: skip
    assert list(SWEEPS[[s.job for s in SWEEPS].index("messages.import_history")].find()) == []
