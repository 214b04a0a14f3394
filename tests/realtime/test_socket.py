"""Who may open a socket, and what happens to those who misbehave."""

from __future__ import annotations

from typing import Any

import pytest
import websocket
from flask import Flask
from sqlalchemy import text

from crm.db import atomic, db
from crm.models import UserStatus
from crm.realtime.connection import (
    BAD_DATA,
    MESSAGES_PER_SECOND,
    POLICY,
    RESTART,
    SESSION_OVER,
    TOO_MANY,
)
from crm.realtime.hub import SOCKETS_PER_USER
from crm.realtime.socket import SOCKET_EVENTS, hub_of
from tests.people import demanded, give_second_factor
from tests.realtime.conftest import Desk
from tests.realtime.pages import Server, threaded_server, token_of, wait_until

FOREIGN = (
    "http://evil.example", "https://evil.example", "http://127.0.0.1", "http://127.0.0.1:1",
    "null", "", "http://{address}.evil.example", "https://{address}", "http://{address}/",
    "file://",
)  # fmt: skip


def refusal(server: Server, token: str | None, **options: Any) -> int:
    """The HTTP status with which the upgrade is refused."""
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        server.page(token, **options)
    return refused.value.status_code


def test_it_refuses_every_foreign_origin(server: Server, desk: Desk) -> None:
    token = token_of(desk.cast.laura)
    refused = 0
    for _ in range(4):
        for origin in FOREIGN:
            # websocket-client takes "" for "the default"; a blank is what it can send.
            sent = origin.format(address=server.address) or " "
            refused += refusal(server, token, origin=sent) == 403
    assert refused == 40
    assert server.page(token).open(desk.chat.id)["type"] == "opened"


def test_it_refuses_a_handshake_without_an_origin(server: Server, desk: Desk) -> None:
    assert refusal(server, token_of(desk.cast.laura), origin=None) == 403


def test_behind_a_proxy_its_own_address_counts_and_no_other(app: Flask, desk: Desk) -> None:
    told = ["X-Forwarded-Proto: https", "X-Forwarded-Host: crm.example.com"]
    token = token_of(desk.cast.laura)
    with threaded_server(app, proxy_hops=1) as behind:
        for origin in (f"http://{behind.address}", "http://crm.example.com", "https://example.com"):
            assert refusal(behind, token, origin=origin, headers=told) == 403
        page = behind.page(token, origin="https://crm.example.com", headers=told)
        assert page.open(desk.chat.id)["type"] == "opened"
        # Without a proxy in front, such headers are a stranger's invention.
    with threaded_server(app) as bare:
        assert refusal(bare, token, origin="https://crm.example.com", headers=told) == 403


def test_it_refuses_who_is_not_signed_in(server: Server, desk: Desk) -> None:
    assert refusal(server, None) == 401
    assert refusal(server, "a-token-that-nobody-has") == 401


def test_a_plain_request_gets_no_socket(app: Flask, desk: Desk) -> None:
    assert app.test_client().get("/socket").status_code in (400, 401, 403, 404)


def test_it_closes_a_revoked_session_and_sends_nothing_after(server: Server, desk: Desk) -> None:
    page, other = server.page_of(desk.cast.laura), server.page_of(desk.cast.laura)
    page.open(desk.chat.id)
    other.open(desk.chat.id)
    with atomic():
        db.session.execute(
            text("UPDATE user_sessions SET revoked_at = now() WHERE id = (SELECT min(id) "
                 "FROM user_sessions)")
        )  # fmt: skip
    assert page.wait_closed() == SESSION_OVER
    assert other.open(desk.chat.id)["type"] == "opened"


def test_it_closes_the_sockets_of_a_suspended_person(server: Server, desk: Desk) -> None:
    page = server.page_of(desk.cast.laura)
    page.open(desk.chat.id)
    desk.cast.laura.status = UserStatus.SUSPENDED
    db.session.commit()
    assert page.wait_closed() == SESSION_OVER


def test_a_session_that_lacks_its_second_factor_gets_no_socket(server: Server, desk: Desk) -> None:
    token = token_of(desk.cast.laura)
    give_second_factor(server.app, desk.cast.laura)
    assert refusal(server, token) == 401
    with demanded("agent"):
        assert refusal(server, token_of(desk.cast.jhon)) == 401
    assert server.page_of(desk.cast.jhon).open(desk.waiting.id)["type"] == "opened"


def test_a_role_that_begins_to_demand_a_second_factor_closes_the_sockets_of_who_has_none(
    server: Server, desk: Desk
) -> None:
    page, boss = server.page_of(desk.cast.laura), server.page_of(desk.cast.admin)
    page.open(desk.chat.id)
    boss.open(desk.chat.id)
    with demanded("agent"):
        assert page.wait_closed() == SESSION_OVER
    assert boss.open(desk.chat.id)["type"] == "opened"


def test_the_oldest_page_makes_room_for_the_sixth(server: Server, desk: Desk) -> None:
    token = token_of(desk.cast.laura)
    pages = [server.page(token) for _ in range(SOCKETS_PER_USER)]
    for page in pages:
        page.open(desk.chat.id)
    sixth = server.page(token)
    assert pages[0].wait_closed() == TOO_MANY
    assert sixth.open(desk.chat.id)["type"] == "opened"
    assert pages[1].open(desk.chat.id)["type"] == "opened"


@pytest.mark.parametrize(
    "message",
    [
        "no JSON",
        "[]",
        "null",
        "{}",
        '{"type": 7}',
        '{"type": ["open"]}',
        '{"type": "drop", "table": "users"}',
        '{"type": "__class__"}',
        '{"type": "open"}x',
        '{"type": "open", "chat_id": "1"}',
        '{"type": "open", "chat_id": true}',
        '{"type": "open", "chat_id": -1}',
        '{"type": "open", "chat_id": 1e3}',
        '{"type": "open", "chat_id": 99999999999999999999}',
        '{"type": "open", "chat_id": 1, "x": 2}',
        '{"type": "visible"}',
        '{"type": "visible", "value": 1}',
        '{"type": "pong", "extra": {}}',
        "[" * 30_000,
    ],
)
def test_it_closes_on_what_it_does_not_know(server: Server, desk: Desk, message: str) -> None:
    page = server.page_of(desk.cast.laura)
    page.ws.send(message)
    assert page.wait_closed() == BAD_DATA


def test_it_closes_on_binary_and_on_a_huge_message(server: Server, desk: Desk) -> None:
    binary, huge = server.page_of(desk.cast.laura), server.page_of(desk.cast.laura)
    binary.ws.send_binary(b"\x00\x01")
    assert binary.wait_closed() == BAD_DATA
    huge.ws.send("x" * 70_000)
    assert huge.wait_closed() == 1009


def test_it_closes_who_sends_too_much(server: Server, desk: Desk) -> None:
    page, quiet = server.page_of(desk.cast.laura), server.page_of(desk.cast.jhon)
    try:
        for _ in range(1000):
            page.say(type="pong")
    except (ConnectionError, websocket.WebSocketException):
        pass  # it was faster
    assert page.wait_closed() in (POLICY, 1006)
    assert quiet.open(desk.waiting.id)["type"] == "opened"


def test_it_closes_who_sends_steadily_too_much(server: Server, desk: Desk) -> None:
    """Each message is read at once, so that only counting them can tell."""
    page = server.page_of(desk.cast.laura)
    (connection,) = hub_of(server.app).connections()
    sent = 0
    while connection.ending is None and sent < 200:
        counted_at = connection._budget_at
        page.say(type="pong")
        sent += 1
        # Until this very message was counted: an empty buffer may only mean that it is still on
        # its way, and many of those at once meet the backlog's limit instead of the count's.
        wait_until(
            lambda at=counted_at: connection._budget_at != at or connection.ending is not None
        )
    assert page.wait_closed() == POLICY
    assert sent > MESSAGES_PER_SECOND


def test_a_chat_that_is_not_theirs_is_gone_for_them(server: Server, desk: Desk) -> None:
    page = server.page_of(desk.cast.jhon)
    assert page.open(desk.chat.id) == {"type": "event", "name": "gone", "chat_id": desk.chat.id}
    assert page.open(2**30)["name"] == "gone"
    assert page.open(desk.waiting.id)["type"] == "opened"


def test_twenty_sockets_leave_the_database_pool_to_the_pages(app: Flask, desk: Desk) -> None:
    users = (desk.cast.laura, desk.cast.jhon, desk.cast.marta, desk.cast.admin)
    with threaded_server(app, database_pool_size=1) as small:
        pages = [small.page_of(user) for user in users for _ in range(SOCKETS_PER_USER)]
        for page in pages:
            page.open(desk.waiting.id)
        assert len(hub_of(small.app).connections()) == len(pages) == 20
        with small.app.app_context():
            # The hub's own threads take one for a moment; the sockets hold none.
            pool: Any = db.engine.pool
            wait_until(lambda: pool.checkedout() == 0)
        assert small.app.test_client().get("/readyz").status_code == 200


def test_a_stop_closes_politely_so_that_pages_come_back(server: Server, desk: Desk) -> None:
    page = server.page_of(desk.cast.laura)
    page.open(desk.chat.id)
    hub_of(server.app).close_all()
    assert page.wait_closed() == RESTART
    wait_until(lambda: not hub_of(server.app).connections())


def test_a_page_that_leaves_is_forgotten(server: Server, desk: Desk) -> None:
    page = server.page_of(desk.cast.laura)
    page.open(desk.chat.id)
    assert len(hub_of(server.app).connections()) == 1
    page.ws.sock.close()
    wait_until(lambda: not hub_of(server.app).connections())


def test_every_message_type_names_what_it_asks_for() -> None:
    from crm.permissions import PERMISSIONS

    for _handler, needs in SOCKET_EVENTS.values():
        assert set(needs) <= set(PERMISSIONS)
