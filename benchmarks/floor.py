"""The floor of the webhook bench: what any server must do at least, one raw INSERT per request.

Plain WSGI and plain psycopg2: no framework, no signature, no parsing, no second table. The body
goes into a table of its own with the ledger's shape, committed before the answer, through a pool of
connections that is as large as the application's.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

import psycopg2
from gevent.queue import LifoQueue

POOL = int(os.environ.get("CRM_DATABASE_POOL_SIZE", "10")) * 2
INSERT = "INSERT INTO bench_floor (body) VALUES (%s)"

_idle: Any = LifoQueue()
_opened = 0


def connect() -> Any:
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    connection.autocommit = True
    return connection


def take() -> Any:
    global _opened
    if _idle.empty() and _opened < POOL:
        _opened += 1
        return connect()
    return _idle.get()


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    connection = take()
    try:
        with connection.cursor() as cursor:
            cursor.execute(INSERT, (psycopg2.Binary(body),))
    finally:
        _idle.put(connection)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"stored"]
