"""Redis goes away, hangs, comes back: the pages know, and fetch what they missed."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from flask import Flask

from crm.embedded.places import redis_binary
from crm.events import CHANNEL, Audience, ChatChanged, publish_all
from crm.extensions import redis_client
from crm.realtime import feed
from tests.realtime.conftest import Desk
from tests.realtime.pages import Server, free_port, threaded_server, wait_until


class OwnRedis:
    """A Redis that the test may stop, freeze and start again on the same address."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [str(redis_binary()), "--port", str(self.port), "--save", "", "--bind", "127.0.0.1"],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )
        wait_until(self.answers)

    def answers(self) -> bool:
        try:
            return bool(redis.Redis.from_url(self.url, socket_timeout=1).ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    running = OwnRedis(tmp_path)
    yield running
    running.thaw()
    running.kill()


@pytest.fixture
def server(app: Flask, own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(feed, "PING_SECONDS", 1.5)
    monkeypatch.setattr(feed, "RETRY_SECONDS", 0.1)
    with threaded_server(app, is_listening=False, redis_url=own_redis.url) as running:
        yield running


def change(desk: Desk) -> None:
    audience = Audience(desk.cast.sales.id, (desk.cast.laura.id,))
    publish_all([(ChatChanged(desk.chat.id), audience)])


def test_a_redis_that_dies_and_returns(server: Server, desk: Desk, own_redis: OwnRedis) -> None:
    page = server.page_of(desk.cast.laura)
    page.wait_for_kind("resync")  # the first page of a process
    page.open(desk.chat.id)
    own_redis.kill()
    page.wait_for_kind("delayed")
    late = server.page_of(desk.cast.laura)
    late.wait_for_kind("delayed")
    change(desk)  # lost, and nobody falls over
    own_redis.start()
    page.wait_for_kind("resync")
    late.wait_for_kind("resync")
    change(desk)
    page.wait_for_kind("row")
    late.wait_for_kind("row")


def test_a_redis_that_hangs_is_noticed(server: Server, desk: Desk, own_redis: OwnRedis) -> None:
    page = server.page_of(desk.cast.laura)
    page.wait_for_kind("resync")  # the first page of a process
    page.open(desk.chat.id)
    own_redis.freeze()
    page.wait_for_kind("delayed")
    own_redis.thaw()
    page.wait_for_kind("resync")
    change(desk)
    page.wait_for_kind("row")


def test_the_first_page_of_a_process_fetches_once_events_are_heard(
    server: Server, desk: Desk
) -> None:
    page = server.page_of(desk.cast.laura)
    page.wait_for_kind("resync")
    change(desk)
    page.wait_for_kind("row")
    assert not [m for m in page.seen if m.get("name") == "delayed"]


def test_nonsense_on_the_channel_harms_nobody(server: Server, desk: Desk) -> None:
    page = server.page_of(desk.cast.laura)
    page.wait_for_kind("resync")  # the first page of a process
    page.open(desk.chat.id)
    for nonsense in ("", "null", "[]", "{", '{"name":"x"}', '{"name":"chat_changed","data":{}}'):
        redis_client.publish(CHANNEL, nonsense)
    redis_client.publish(CHANNEL, b"\xff\xfe\x00")
    change(desk)
    page.wait_for_kind("row")
    assert not [m for m in page.seen if m.get("name") == "delayed"]


def test_too_much_at_once_ends_in_one_resync(
    server: Server, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crm.realtime.socket import hub_of

    page = server.page_of(desk.cast.laura)
    page.wait_for_kind("resync")  # the first page of a process
    page.open(desk.chat.id)
    pending = hub_of(server.app).deliverer._pending
    monkeypatch.setattr(pending, "_limit", 0)
    change(desk)
    page.wait_for_kind("resync")
    monkeypatch.setattr(pending, "_limit", 1000)
    change(desk)
    page.wait_for_kind("row")
