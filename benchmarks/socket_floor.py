"""The floor of the socket bench: what any server must do at least, a Redis message to every socket.

Plain WSGI, simple-websocket and redis-py: no session, no rights, no database, no template. Whatever
is published on the channel is sent as it is, to everybody.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

import gevent
import redis
from simple_websocket import ConnectionClosed, Server

CHANNEL = "bench:floor"

_sockets: set[Any] = set()
_reader: list[Any] = []


def read() -> None:
    pubsub = redis.Redis.from_url(os.environ["REDIS_URL"]).pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(CHANNEL)
    for message in pubsub.listen():
        text = message["data"].decode()
        for ws in list(_sockets):
            ws.send(text)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ.get("HTTP_UPGRADE", "").lower() != "websocket":
        start_response("200 OK", [("Content-Length", "0")])
        return []
    if not _reader:
        _reader.append(gevent.spawn(read))
    # The same terms as ours: no compression on either side.
    environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
    ws = Server(environ)
    _sockets.add(ws)
    try:
        while True:
            ws.receive()
    except ConnectionClosed:
        pass
    finally:
        _sockets.discard(ws)
    raise StopIteration
