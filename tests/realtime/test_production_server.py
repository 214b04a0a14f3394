"""The same under gunicorn with gevent, in a process of its own: what runs in production."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from subprocess import Popen

import psutil
import pytest
import requests
from flask import Flask
from sqlalchemy import text

from crm.db import atomic, db
from crm.realtime.connection import RESTART, SESSION_OVER
from crm.realtime.hub import SOCKETS_PER_USER
from crm.services import first_start
from tests import factories
from tests.realtime.conftest import Desk
from tests.realtime.pages import Server, answers_on, gunicorn_server, token_of, wait_until
from tests.realtime.test_deliver import write


@pytest.fixture(scope="module")
def production(
    migrated_app: Flask, environment: dict[str, str]
) -> Iterator[tuple[Server, Popen[bytes]]]:
    """One for the tests that share it; the last of them ends it."""
    with gunicorn_server(migrated_app, environment, CRM_ACCESS_CHECK_SECONDS="0.3") as running:
        yield running


def test_a_message_reaches_the_page(desk: Desk, production: tuple[Server, Popen[bytes]]) -> None:
    server, _process = production
    page = server.page_of(desk.cast.laura)
    page.wait_for_kind("resync")  # the first page of a process: from here on events are heard
    page.open(desk.chat.id)
    write(desk, "¿Me llega hoy?")
    assert "¿Me llega hoy?" in page.wait_for_kind("bubble")["html"]
    assert "¿Me llega hoy?" in page.wait_for_kind("row")["html"]


def test_a_revoked_session_is_closed(desk: Desk, production: tuple[Server, Popen[bytes]]) -> None:
    server, _process = production
    page = server.page_of(desk.cast.laura)
    page.open(desk.chat.id)
    with atomic():
        db.session.execute(text("UPDATE user_sessions SET revoked_at = now()"))
    assert page.wait_closed() == SESSION_OVER


def test_a_stop_waits_for_requests_under_way_and_not_for_idle_connections(
    app: Flask, environment: dict[str, str], desk: Desk
) -> None:
    """A browser keeps a connection for its next request, here for longer than the test."""
    patient = {"GUNICORN_CMD_ARGS": "--graceful-timeout 600"}
    cookie = {"sid": token_of(desk.cast.laura)}
    with (
        gunicorn_server(app, environment, **patient) as (server, process),
        requests.Session() as browser,
        ThreadPoolExecutor() as threads,
    ):
        url = f"http://{server.address}"
        assert browser.get(f"{url}/login", timeout=20).status_code == 200
        with db.engine.begin() as lock:
            lock.execute(text("LOCK TABLE user_sessions"))
            under_way = threads.submit(requests.get, f"{url}/inbox", cookies=cookie, timeout=60)
            waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            wait_until(lambda: lock.execute(waiting).scalar_one() > 0)
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: not answers_on(int(server.address.rpartition(":")[2])))
        assert under_way.result().status_code == 200
        assert process.wait(60) == 0


def test_sockets_hold_no_database_connection(
    app: Flask, environment: dict[str, str], desk: Desk
) -> None:
    people = [factories.make_user(role="agent") for _ in range(8)]
    db.session.commit()
    with gunicorn_server(app, environment, CRM_DATABASE_POOL_SIZE="1") as (server, _process):
        pages = [server.page_of(person) for person in people for _ in range(SOCKETS_PER_USER)]
        for page in pages:
            page.say(type="open", chat_id=None)
        cookie = {"sid": token_of(desk.cast.laura)}
        answers = {
            requests.get(f"http://{server.address}/readyz", cookies=cookie, timeout=20).status_code
            for _ in range(10)
        }
        assert answers == {200}
        write(desk, "para el supervisor")
        for page in pages:
            assert page.ws.connected


def test_memory_comes_back_when_pages_go(
    desk: Desk, production: tuple[Server, Popen[bytes]]
) -> None:
    """Nothing of a socket stays behind: the fortieth round needs no more than the tenth."""
    server, process = production
    token = token_of(desk.cast.laura)
    master = psutil.Process(process.pid)
    # It listens before its worker is there.
    wait_until(lambda: bool(master.children()))
    worker = master.children()[0]

    def round_of_pages() -> None:
        pages = [server.page(token) for _ in range(SOCKETS_PER_USER)]
        for page in pages:
            page.open(desk.chat.id)
        for page in pages:
            page.close()
        server.pages.clear()

    for _ in range(10):
        round_of_pages()
    before = worker.memory_info().rss
    for _ in range(30):
        round_of_pages()
    # 150 sockets; each would hold 30 KB and more.
    assert worker.memory_info().rss - before < 4_000_000
    wait_until(lambda: worker.num_fds() < 60)


def test_sigterm_closes_the_sockets_first_and_ends_at_once(
    desk: Desk, production: tuple[Server, Popen[bytes]]
) -> None:
    server, process = production
    pages = [server.page_of(desk.cast.laura) for _ in range(3)]
    for page in pages:
        page.open(desk.chat.id)
    process.send_signal(signal.SIGTERM)
    assert [page.wait_closed() for page in pages] == [RESTART] * 3
    assert process.wait(30) == 0
    assert not answers_on(int(server.address.rpartition(":")[2]))


def test_the_log_says_the_installation_code_while_nobody_has_an_account(
    app: Flask, environment: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    token, written = first_start.setup_token(app.config["CRM"].secret_key), ""

    def told() -> bool:
        nonlocal written
        written += capfd.readouterr().err
        return token in written

    with gunicorn_server(app, environment):
        wait_until(told)
    with atomic():
        factories.make_user()
    with gunicorn_server(app, environment) as (server, _process):
        assert requests.get(f"http://{server.address}/login", timeout=20).status_code == 200
    assert token not in capfd.readouterr().err
