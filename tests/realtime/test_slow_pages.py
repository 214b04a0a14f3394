"""Pages that do not read, do not answer, or vanish: dropped, and nobody else notices."""

from __future__ import annotations

import socket
import threading

import pytest

from crm.realtime import hub as hub_module
from crm.realtime import watch
from crm.realtime.connection import GOING_AWAY, OUTBOX_BYTES
from crm.realtime.socket import hub_of
from crm.realtime.wire import Wire, event_frame
from tests.realtime.conftest import Desk
from tests.realtime.pages import Page, Server, wait_until


class Reader(threading.Thread):
    """Reads a page's messages, answering pings, until it is closed."""

    def __init__(self, page: Page) -> None:
        super().__init__(daemon=True)
        self.page = page
        self.start()

    def run(self) -> None:
        try:
            while True:
                self.page.read(1.0)
        except Exception:
            return

    def has_seen(self, name: str, number: int) -> bool:
        return any(m.get("name") == name and m.get("number") == number for m in self.page.seen)


def test_a_slow_reader_is_dropped_and_the_others_go_on(server: Server, desk: Desk) -> None:
    slow, quick = server.page_of(desk.cast.laura), server.page_of(desk.cast.jhon)
    slow.open(desk.chat.id)
    quick.open(desk.waiting.id)
    slow.ws.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader = Reader(quick)
    hub = hub_of(server.app)
    sent = 0
    while len(hub.connections()) == 2:
        # Each waits for the quick page, so that only the slow one falls behind.
        hub.push(hub.connections(), event_frame("filler", number=sent, text="x" * 100_000))
        wait_until(lambda number=sent: reader.has_seen("filler", number))  # type: ignore[misc]
        quick.seen.clear()
        sent += 1
        assert sent < 1000, "nobody dropped the slow page"
    wait_until(lambda: [c.user_id for c in hub.connections()] == [desk.cast.jhon.id])
    hub.push(hub.connections(), event_frame("after", number=1))
    wait_until(lambda: reader.has_seen("after", 1))


def test_what_waits_for_one_page_is_bounded(server: Server, desk: Desk) -> None:
    page = server.page_of(desk.cast.laura)
    page.open(desk.chat.id)
    (connection,) = hub_of(server.app).connections()
    frame = event_frame("filler", text="x" * 50_000)
    most = 0
    while connection.ending is None:
        connection.push(frame)
        most = max(most, connection._outbox_bytes)
    assert most <= OUTBOX_BYTES
    assert connection._outbox_bytes == 0


def test_a_write_that_takes_too_long_is_cut(
    server: Server, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "WRITE_SECONDS", 0.3)
    page = server.page_of(desk.cast.laura)
    page.open(desk.chat.id)
    (connection,) = hub_of(server.app).connections()
    # More than the system's buffers hold, less than our own limit in one piece.
    stuck = threading.Thread(target=_fill, args=(connection.wire,), daemon=True)
    stuck.start()
    wait_until(lambda: not hub_of(server.app).connections())
    stuck.join(5)
    assert not stuck.is_alive()


def _fill(wire: Wire) -> None:
    try:
        while True:
            wire.send(event_frame("filler", text="x" * 500_000))
    except OSError:
        return


def test_a_page_that_answers_no_ping_is_dropped(
    server: Server, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "PING_SECONDS", 0.3)
    monkeypatch.setattr(watch, "SILENCE_SECONDS", 1.0)
    silent, lively = server.page_of(desk.cast.laura), server.page_of(desk.cast.jhon)
    Reader(lively)
    assert silent.wait_closed() in (GOING_AWAY, 1006)
    hub = hub_of(server.app)
    wait_until(lambda: [c.user_id for c in hub.connections()] == [desk.cast.jhon.id])


def test_the_ping_tells_how_far_the_open_chat_is(
    server: Server, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "PING_SECONDS", 0.3)
    page = server.page_of(desk.cast.laura)
    opened = page.open(desk.chat.id)
    ping = page.wait_for(lambda m: m["type"] == "ping" and "version" in m)
    assert ping == {**opened, "type": "ping"}
    page.say(type="open", chat_id=None)
    page.wait_for(lambda m: m["type"] == "ping" and "version" not in m)


def test_frames_that_the_line_takes_in_parts_arrive_whole_and_in_order(
    server: Server, desk: Desk
) -> None:
    page = server.page_of(desk.cast.laura)
    page.open(desk.chat.id)
    hub = hub_of(server.app)
    (connection,) = hub.connections()
    text = "ñandú 🙂 " * 20_000
    sent = 0
    while not connection.wire.has_rest and sent < 100:
        hub.push([connection], event_frame("large", number=sent, text=text))
        sent += 1
    assert connection.wire.has_rest, "the line took everything at once"
    for number in range(sent, sent + 3):
        hub.push([connection], event_frame("large", number=number, text=text))
    for number in range(sent + 3):
        large = page.wait_for_kind("large")
        assert (large["number"], large["text"]) == (number, text)
