"""The floor of the webhook bench: one raw INSERT per request, in the same kind of server.

A Flask application with nothing in it: no signature, no parsing, no client, chat or counter. The
body goes into a table of its own, committed before the answer, through plain psycopg2 and a pool
that is as large as the application's. `bare` is the same below Flask, for who wants to see what the
framework costs.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

import psycopg2
from flask import Flask, request
from gevent.queue import LifoQueue

POOL = int(os.environ.get("CRM_DATABASE_POOL_SIZE", "10")) * 2
INSERT = "INSERT INTO bench_floor (body) VALUES (%s)"

app = Flask(__name__)
_idle: Any = LifoQueue()
_opened = 0


@app.post("/webhooks/meta")
def keep() -> str:
    store(request.get_data(cache=False))
    return "stored"


def bare(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    store(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"stored"]


def store(body: bytes) -> None:
    connection = take()
    try:
        with connection.cursor() as cursor:
            cursor.execute(INSERT, (psycopg2.Binary(body),))
    finally:
        _idle.put(connection)


def take() -> Any:
    global _opened
    if _idle.empty() and _opened < POOL:
        _opened += 1
        connection = psycopg2.connect(os.environ["DATABASE_URL"])
        connection.autocommit = True
        return connection
    return _idle.get()
