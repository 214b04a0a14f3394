"""The screen moves by itself, and what happened while the line was cut is there once."""

from __future__ import annotations

import contextlib
import itertools
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

import psutil
import pytest
import requests
from flask import Flask
from playwright.sync_api import APIResponse, BrowserContext, Locator, Page, Route, expect
from sqlalchemy import text

from crm.db import atomic, db
from crm.models import Chat, Client, User
from crm.realtime import feed, watch
from crm.realtime.socket import hub_of
from crm.services import chats
from tests import factories
from tests.browser.desk import hand_over
from tests.cast import Cast, make_cast
from tests.providers.deliveries import body, sign, status, words
from tests.realtime.pages import (
    PATIENCE,
    gunicorn_server,
    threaded_server,
    token_of,
    wait_until,
)
from tests.realtime.test_feed import OwnRedis
from tests.simulator.server import free_port

_numbers = itertools.count(1)


class Web:
    """The web server as it runs for real, which a test may stop and start again."""

    def __init__(self, app: Flask, environment: dict[str, str]) -> None:
        self._app, self._environment = app, environment
        self.port = free_port()
        self._running = contextlib.ExitStack()
        self._process: Popen[bytes] | None = None

    def start(self) -> None:
        if self._process is None:
            server = gunicorn_server(self._app, self._environment, port=self.port)
            _, self._process = self._running.enter_context(server)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)
            self._process = None
        self._running.close()


@dataclass
class Desk:
    """Laura's chat with Carolina and a second one, served by a web process that can be killed."""

    cast: Cast
    chat: Chat
    other: Chat
    web: Web
    open_context: Callable[..., BrowserContext]
    tokens: dict[int, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.web.port}"

    def page_of(
        self,
        user: User,
        path: str = "/inbox",
        *,
        context: BrowserContext | None = None,
        address: str | None = None,
    ) -> Page:
        """A page of this person's, signed in."""
        url = f"http://{address}" if address else self.url
        context = context or self.open_context()
        token = self.tokens.setdefault(user.id, token_of(user))
        context.add_cookies([{"name": "sid", "value": token, "url": url}])
        page = context.new_page()
        page.goto(url + path)
        return page

    def kill_worker(self) -> None:
        """kill -9 of the process that holds the sockets; gunicorn starts another."""
        for process in psutil.Process().children(recursive=True):
            # A browser's short-lived children may be gone by the time they are asked.
            with contextlib.suppress(psutil.Error):
                parent = process.parent()
                of_ours = process.environ().get("PORT") == str(self.web.port)
                if of_ours and parent and "gunicorn" in " ".join(parent.cmdline()):
                    process.kill()

    def say(self, chat: Chat, content: str) -> str:
        """The customer of a chat writes; returns the provider's id of the message."""
        wamid = f"wamid.LIVE{next(_numbers):06d}"
        sender = phone_of(chat)
        said = words(wamid, content, sender=sender, at=int(time.time()))
        self.post(body(said, number=str(self.cast.number.meta_phone_number_id)))
        return wamid

    def report(self, wamid: str, word: str) -> None:
        """A status of Meta's about a message of ours."""
        told = status(wamid, word) | {"timestamp": str(int(time.time()))}
        number = str(self.cast.number.meta_phone_number_id)
        self.post(body(number=number, statuses=[told]))

    def post(self, raw: bytes) -> None:
        answer = requests.post(f"{self.url}/webhooks/meta", data=raw, headers=sign(raw), timeout=20)
        assert answer.status_code == 200


def phone_of(chat: Chat) -> str:
    client = db.session.get_one(Client, chat.client_id)
    assert client.phone_number
    return client.phone_number.lstrip("+")


@pytest.fixture(scope="module")
def web(migrated_app: Flask, environment: dict[str, str]) -> Iterator[Web]:
    """One for all tests: a start takes longer than most of them."""
    web = Web(migrated_app, environment)
    yield web
    web.stop()


@pytest.fixture
def desk(app: Flask, web: Web, open_context: Callable[..., BrowserContext]) -> Desk:
    cast = make_cast()
    own = {"campaign": cast.sales, "number": cast.number, "agent": cast.laura}
    carolina = factories.make_client(first_name="Carolina", last_name="Restrepo")
    tomas = factories.make_client(first_name="Tomás", last_name="Rincón")
    chat = factories.make_chat(client=carolina, status="active", **own)
    other = factories.make_chat(client=tomas, status="active", **own)
    for number in range(3):
        factories.make_message(chat, content=f"Mensaje {number}")
    factories.make_message(other, content="Quedo atento")
    db.session.commit()
    web.start()
    return Desk(cast, chat, other, web, open_context)


def bubbles(page: Page, words_in_it: str) -> Locator:
    return page.locator("#log .bubble", has_text=words_in_it)


def row(page: Page, chat: Chat) -> Locator:
    return page.locator(f"#chat-{chat.id}")


def is_live(page: Page) -> None:
    """The socket is open and the page has been mended after it."""
    page.wait_for_load_state()
    expect(page.locator("html[data-live=live]")).to_be_attached()


def wait_with(page: Page, is_so: Callable[[], object]) -> None:
    """Playwright hears of frames and requests only while it waits itself."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it did not become so"
        page.wait_for_timeout(20)


def pass_time(page: Page) -> None:
    """As long as a page without live events waits before it asks by itself (see live.js)."""
    page.clock.run_for(13_000)


def test_a_message_arrives_in_the_open_thread_and_in_the_list(desk: Desk) -> None:
    laura = desk.page_of(desk.cast.laura, f"/inbox/{desk.chat.id}")
    is_live(laura)
    desk.say(desk.chat, "¿Y me llega hoy mismo?")
    expect(bubbles(laura, "¿Y me llega hoy mismo?")).to_have_count(1)
    expect(row(laura, desk.chat)).to_contain_text("¿Y me llega hoy mismo?")
    desk.say(desk.other, "Una pregunta más")
    expect(row(laura, desk.other)).to_contain_text("Una pregunta más")
    expect(row(laura, desk.other).locator(".badge")).to_contain_text("2")
    expect(laura.locator("#rows > li[data-chat-id]").first).to_have_id(f"chat-{desk.other.id}")


def test_two_agents_see_what_is_theirs_and_the_chat_moves_between_them(desk: Desk) -> None:
    laura = desk.page_of(desk.cast.laura, f"/inbox/{desk.chat.id}")
    jhon = desk.page_of(desk.cast.jhon)
    is_live(laura)
    is_live(jhon)
    expect(row(laura, desk.chat)).to_be_visible()
    expect(jhon.locator("#tabs [data-tab=mine] .num")).to_have_text("0")
    with atomic():
        chats.assign_chat(desk.chat, desk.cast.jhon, actor=chats.SYSTEM, reason="test")
    expect(row(jhon, desk.chat)).to_be_visible()
    expect(row(laura, desk.chat)).to_have_count(0)
    expect(laura.locator("#thread[data-chat-id]")).to_have_count(0)
    expect(jhon.locator("#tabs [data-tab=mine] .num")).to_have_text("1")
    expect(laura.locator("#tabs [data-tab=mine] .num")).to_have_text("1")
    desk.say(desk.chat, "¿Hay alguien?")
    expect(row(jhon, desk.chat)).to_contain_text("¿Hay alguien?")
    expect(laura.locator("#rows")).not_to_contain_text("¿Hay alguien?")


def test_ticks_move_and_never_back(desk: Desk) -> None:
    sent = factories.make_message(
        desk.chat,
        content="Claro que sí",
        direction="outbound",
        status="sent",
        user_id=desk.cast.laura.id,
        whatsapp_message_id="wamid.OURS1",
    )
    db.session.commit()
    laura = desk.page_of(desk.cast.laura, f"/inbox/{desk.chat.id}")
    is_live(laura)
    bubble = laura.locator(f"#message-{sent.id}")
    expect(bubble.locator(".ticks.sent")).to_be_visible()
    desk.report("wamid.OURS1", "delivered")
    expect(bubble.locator(".ticks.delivered")).to_be_visible()
    desk.report("wamid.OURS1", "read")
    expect(bubble.locator(".ticks.read")).to_be_visible()
    desk.report("wamid.OURS1", "delivered")
    desk.say(desk.chat, "visto")
    expect(bubbles(laura, "visto")).to_have_count(1)
    expect(bubble.locator(".ticks.read")).to_be_visible()


def test_a_restart_of_the_server_loses_and_doubles_nothing(desk: Desk) -> None:
    laura = desk.page_of(desk.cast.laura, f"/inbox/{desk.chat.id}")
    is_live(laura)
    laura.fill("#text", "una respuesta a medias")
    desk.say(desk.chat, "antes del corte")
    expect(bubbles(laura, "antes del corte")).to_have_count(1)
    desk.web.stop()
    expect(laura.locator("#banner")).to_be_visible()
    with atomic():
        found = chats.lock_chat(desk.chat.id)
        factories.make_message(found, content="mientras nadie escuchaba")
        found.version += 1
    desk.web.start()
    expect(bubbles(laura, "mientras nadie escuchaba")).to_have_count(1)
    expect(laura.locator("#banner")).to_be_hidden()
    desk.say(desk.chat, "después del corte")
    expect(bubbles(laura, "después del corte")).to_have_count(1)
    for said in ("antes del corte", "mientras nadie escuchaba", "Mensaje 0", "Mensaje 2"):
        expect(bubbles(laura, said)).to_have_count(1)
    order = laura.locator("#log .bubble.in .text").all_inner_texts()
    assert order[-3:] == ["antes del corte", "mientras nadie escuchaba", "después del corte"]
    expect(laura.locator("#text")).to_have_value("una respuesta a medias")
    expect(row(laura, desk.chat)).to_contain_text("después del corte")


def test_an_event_that_was_never_published_is_mended_on_reconnection(desk: Desk) -> None:
    laura = desk.page_of(desk.cast.laura, f"/inbox/{desk.chat.id}")
    is_live(laura)
    with atomic():
        found = chats.lock_chat(desk.chat.id)
        factories.make_message(found, content="nadie hizo sonar nada")
        found.version += 1
    laura.context.set_offline(True)
    laura.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    desk.web.stop()
    desk.web.start()
    laura.context.set_offline(False)
    expect(bubbles(laura, "nadie hizo sonar nada")).to_have_count(1)


def test_a_page_that_was_cut_alone_fetches_what_it_missed(app: Flask, desk: Desk) -> None:
    """Nobody else was cut, so nobody tells it to."""
    with threaded_server(app) as server:
        laura = desk.page_of(desk.cast.laura, f"/inbox/{desk.chat.id}", address=server.address)
        is_live(laura)
        expect(bubbles(laura, "Mensaje 2")).to_have_count(1)
        wait_until(lambda: len(hub_of(server.app).connections()) == 1)
        (connection,) = hub_of(server.app).connections()
        connection.wire.cut()
        with atomic():
            found = chats.lock_chat(desk.chat.id)
            factories.make_message(found, content="en ese instante")
            found.version += 1
        expect(bubbles(laura, "en ese instante")).to_have_count(1)
        expect(row(laura, desk.chat)).to_contain_text("en ese instante")


def test_who_reads_far_back_keeps_the_place_while_the_line_is_cut(app: Flask, desk: Desk) -> None:
    """Once with one message missed, and once with more than a page of them."""
    say_before(desk.chat, 980)
    [(place,)] = db.session.execute(
        text("SELECT id FROM messages WHERE chat_id = :chat AND content = 'Antes 960'"),
        {"chat": desk.chat.id},
    )
    with threaded_server(app) as server:
        path = f"/inbox/{desk.chat.id}#message-{place}"
        laura = desk.page_of(desk.cast.laura, path, address=server.address)
        is_live(laura)
        read = bubbles(laura, "Antes 960")
        expect(read).to_be_in_viewport()
        expect(laura.locator("#log > article.flash")).to_have_count(1)
        laura.locator("#log").evaluate("(log) => { log.scrollTop += 137; }")
        for cut, missed in enumerate((1, 70), 1):
            wait_until(lambda: len(hub_of(server.app).connections()) == 1)
            before = read.bounding_box()
            (connection,) = hub_of(server.app).connections()
            with atomic():
                found = chats.lock_chat(desk.chat.id)
                for n in range(missed):
                    factories.make_message(found, content=f"Corte {cut}.{n}")
                found.version += 1
            connection.wire.cut()
            expect(bubbles(laura, f"Corte {cut}.0")).to_be_attached()
            assert read.bounding_box() == before
            expect(laura.locator("#log .text:text-is('Antes 1')")).to_have_count(1)
            positions = laura.locator("#log > [data-position]").evaluate_all(
                "all => all.map(one => Date.parse(one.dataset.position))"
            )
            assert positions == sorted(positions)
            assert len(positions) > 960
        expect(laura.locator("#log > .newer")).to_have_count(1)
        laura.locator("#jump").click()
        expect(bubbles(laura, "Corte 2.69")).to_be_in_viewport()
        expect(laura.locator("#log > .newer")).to_have_count(0)


def say_before(chat: Chat, count: int) -> None:
    """So many messages, a minute apart, the last one a minute ago."""
    write = (
        "INSERT INTO messages (chat_id, client_id, whatsapp_number_id, direction, status, content,"
        " whatsapp_message_id, position) SELECT c.id, c.client_id, c.whatsapp_number_id, 'inbound',"
        " 'delivered', 'Antes ' || n, 'wamid.BEFORE' || n, now() - make_interval(mins => n)"
        " FROM chats c, generate_series(1, :count) n WHERE c.id = :chat"
    )
    with atomic():
        db.session.execute(text(write), {"chat": chat.id, "count": count})


def test_what_comes_while_the_page_is_being_mended_is_not_wiped_away(desk: Desk) -> None:
    heard: list[str] = []

    def hear(frame: str | bytes) -> None:
        heard.append(str(frame))

    context = desk.open_context()
    context.on(
        "page", lambda page: page.on("websocket", lambda line: line.on("framereceived", hear))
    )
    laura = desk.page_of(desk.cast.laura, f"/inbox/{desk.chat.id}", context=context)
    is_live(laura)
    held: list[tuple[Route, APIResponse]] = []
    laura.route(
        f"**/inbox/{desk.chat.id}", lambda route: held.append((route, route.fetch())), times=1
    )
    laura.evaluate(
        """() => {
            window.wiped = window.mended = 0;
            document.addEventListener("crm:synced", ({ detail }) => {
                if (detail.thread) window.mended += 1;
            });
            new MutationObserver((changes) => {
                for (const { removedNodes } of changes)
                    for (const node of removedNodes)
                        if (node.textContent.includes("justo entonces")) window.wiped += 1;
            }).observe(document.getElementById("log"), { childList: true });
            dispatchEvent(new Event("online"));
        }"""
    )
    wait_with(laura, lambda: held)
    # The answer on its way is older than what is said now.
    desk.say(desk.chat, "justo entonces")
    wait_with(laura, lambda: any('"bubble"' in frame for frame in heard))
    route, answer = held[0]
    route.fulfill(response=answer)
    wait_with(laura, lambda: laura.evaluate("window.mended"))
    expect(bubbles(laura, "justo entonces")).to_have_count(1)
    assert laura.evaluate("window.wiped") == 0


def test_signing_out_in_one_tab_takes_all_tabs_to_the_login(desk: Desk) -> None:
    context = desk.open_context()
    one = desk.page_of(desk.cast.laura, context=context)
    two = desk.page_of(desk.cast.laura, f"/inbox/{desk.chat.id}", context=context)
    is_live(one)
    is_live(two)
    one.click(".rail [data-menu] summary")
    one.click("form[data-logout] button")
    hand_over(one)
    expect(two).to_have_url(re.compile("/login"))
    expect(one).to_have_url(re.compile("/login"))
    # Who signed out got the answer that empties the storage; the other tab may come back.
    assert "next=" not in one.url
    assert "next=" in two.url


def test_a_revoked_session_leaves_nothing_on_the_screen(desk: Desk) -> None:
    laura = desk.page_of(desk.cast.laura, f"/inbox/{desk.chat.id}")
    is_live(laura)
    with atomic():
        db.session.execute(text("UPDATE user_sessions SET revoked_at = now()"))
    laura.wait_for_url("**/login**")
    expect(laura.locator("#log")).to_have_count(0)


def test_five_tabs_all_live_and_a_sixth_makes_one_rest(desk: Desk) -> None:
    context = desk.open_context()
    context.clock.install()
    tabs = [desk.page_of(desk.cast.laura, context=context) for _ in range(6)]
    is_live(tabs[5])
    resting = "html[data-live=offline]"
    wait_with(tabs[5], lambda: any(tab.locator(resting).count() for tab in tabs))
    (at_rest,) = [tab for tab in tabs if tab.locator(resting).count()]
    desk.say(desk.other, "para todas las pestañas")
    for tab in tabs:
        if tab is at_rest:
            pass_time(tab)  # it asks by itself
        expect(row(tab, desk.other)).to_contain_text("para todas las pestañas")


def test_a_killed_web_process_loses_and_doubles_nothing(desk: Desk) -> None:
    laura = desk.page_of(desk.cast.laura, f"/inbox/{desk.chat.id}")
    is_live(laura)
    desk.say(desk.chat, "antes del golpe")
    expect(bubbles(laura, "antes del golpe")).to_have_count(1)
    desk.kill_worker()
    with atomic():
        found = chats.lock_chat(desk.chat.id)
        factories.make_message(found, content="durante el golpe")
        found.version += 1
    expect(bubbles(laura, "durante el golpe")).to_have_count(1)
    is_live(laura)
    desk.say(desk.chat, "después del golpe")
    for said in ("antes del golpe", "durante el golpe", "después del golpe"):
        expect(bubbles(laura, said)).to_have_count(1)


def test_the_ping_mends_what_was_never_published(
    app: Flask, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "PING_SECONDS", 1.0)
    with threaded_server(app) as server:
        laura = desk.page_of(desk.cast.laura, f"/inbox/{desk.chat.id}", address=server.address)
        is_live(laura)
        with atomic():
            found = chats.lock_chat(desk.chat.id)
            factories.make_message(found, content="el proceso murió antes de avisar")
            found.version += 1
        expect(bubbles(laura, "el proceso murió antes de avisar")).to_have_count(1)


def test_without_redis_the_page_says_so_and_asks_by_itself(
    app: Flask, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "RETRY_SECONDS", 0.2)
    own_redis = OwnRedis(tmp_path)
    try:
        with threaded_server(app, redis_url=own_redis.url) as server:
            context = desk.open_context()
            context.clock.install()
            path = f"/inbox/{desk.chat.id}"
            laura = desk.page_of(desk.cast.laura, path, context=context, address=server.address)
            is_live(laura)
            own_redis.kill()
            expect(laura.locator("#banner [data-text=stale]")).to_be_visible()
            with atomic():
                found = chats.lock_chat(desk.chat.id)
                factories.make_message(found, content="nadie pudo avisar")
                found.version += 1
            pass_time(laura)
            expect(bubbles(laura, "nadie pudo avisar")).to_have_count(1)
            own_redis.start()
            expect(laura.locator("#banner")).to_be_hidden()
            is_live(laura)
    finally:
        own_redis.kill()
