"""Calls by address: what goes into the request, and whose connections stay open."""

import contextlib

import pytest

from crm.lib.timed_http import HttpFailure, TimedHttp
from tests.providers.scripted_server import answer, serving

AGREED = {"ok": True}


@pytest.mark.parametrize(
    ("rest", "asked"),
    [
        ("", "/"),
        ("/v1/media?id=7&name=a%20b", "/v1/media?id=7&name=a%20b"),
        ("?hash=x", "/?hash=x"),
        ("/señal de humo#above", "/se%C3%B1al%20de%20humo"),
        ("/somebody@elsewhere/http://elsewhere/", "/somebody@elsewhere/http://elsewhere/"),
    ],
)
def test_what_follows_the_server_is_asked_for_there(rest: str, asked: str) -> None:
    with serving(answer(200, AGREED)) as server:
        got = TimedHttp(total_seconds=10).get(server.url + rest, headers={})
    assert got.status == 200
    assert server.seen[0].head.splitlines()[0] == f"GET {asked} HTTP/1.1"


@pytest.mark.parametrize(
    "url", ["", "nowhere", "ftp://files.test/a", "http://", "http://[::1", "//a"]
)
def test_what_is_no_address_is_called_nowhere(url: str) -> None:
    with pytest.raises(HttpFailure) as caught:
        TimedHttp(total_seconds=10).get(url, headers={})
    assert not caught.value.body_sent


def test_more_servers_than_it_stays_connected_to_are_all_reached() -> None:
    http = TimedHttp(total_seconds=10)
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(serving(answer(200, AGREED))) for _ in range(11)]
        for server in [*servers, servers[-1], servers[0]]:
            assert http.get(f"{server.url}/here", headers={}).status == 200
    assert [server.connections for server in servers] == [2] + [1] * 10
