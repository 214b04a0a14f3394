"""Is a pooled Postgres connection still alive? Asked without a round trip.

SQLAlchemy's own `pool_pre_ping` sends a query before every use, which is a fifth of what a small
transaction costs. A server that ends a connection (restart, kill, timeout) closes its socket, and
the kernel knows: an idle Postgres connection has nothing to read unless it is ending. Only a
machine that vanished without a word leaves no trace; hence the query after a longer rest.
"""

from __future__ import annotations

import _socket  # the one below `socket`: gevent's has a hub, and this never waits
import socket
import time
from typing import Any

from sqlalchemy.exc import InvalidatePoolError

REST_SECONDS = 30.0


def note_return(connection: Any, record: Any) -> None:
    """For the pool's `checkin`: from now on it rests."""
    record.info["rests_since"] = time.monotonic()


def look_before_use(connection: Any, record: Any, proxy: Any) -> None:
    """For the pool's `checkout`: raises where the connection is dead, so that another is opened."""
    rested = time.monotonic() - record.info.get("rests_since", time.monotonic())
    try:
        if rested < REST_SECONDS and not _has_something_to_say(connection.fileno()):
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.rollback()
    except Exception as error:
        # All that are as old as this one, too: it is usually the server that restarted.
        raise InvalidatePoolError from error


def _has_something_to_say(descriptor: int) -> bool:
    """Bytes or an end that nobody asked for. TLS may say something harmless now and then."""
    peeking = _socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, descriptor)
    try:
        peeking.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        peeking.detach()
    return True
