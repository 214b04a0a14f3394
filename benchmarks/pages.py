"""Many browser pages' sockets in one process, which note when each message arrives.

Called by sockets.py: `python -m benchmarks.pages PORT FILE`. The file holds one JSON list of
`{"token", "chat_id"}`, a socket each. Prints "ready" when all are open and their chats subscribed.
A line on its input asks for the arrivals since the last one: `{"<number>": [monotonic ns, ...]}`,
by the number that stands between «» in a message; "stop" ends it.
"""

from gevent import monkey

monkey.patch_all()

import base64  # noqa: E402 - the patch comes first
import collections  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import socket  # noqa: E402
import struct  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from gevent.fileobject import FileObject  # noqa: E402
from gevent.pool import Pool  # noqa: E402

MARK = re.compile("«(\\d+)»".encode())
TEXT = 0x81

arrivals: dict[str, list[int]] = collections.defaultdict(list)
seen: dict[int, set[bytes]] = collections.defaultdict(set)
closed = 0


def main() -> None:
    port, file = int(sys.argv[1]), Path(sys.argv[2])
    wanted = json.loads(file.read_text())
    pool = Pool(8)
    sockets = pool.map(lambda page: open_page(port, page), wanted)
    for number, connection in enumerate(sockets):
        gevent.spawn(listen, number, connection)
    gevent.sleep(2.5)  # lists are told of their counts and of the first subscription
    reset()
    say("ready")
    for line in FileObject(sys.stdin):
        if line.strip() == "stop":
            return
        say(json.dumps({"closed": closed, "arrivals": arrivals}))
        reset()


def reset() -> None:
    arrivals.clear()
    seen.clear()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def open_page(port: int, page: dict[str, Any]) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        (
            f"GET /socket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Origin: http://127.0.0.1:{port}\r\nCookie: sid={page['token']}\r\n\r\n"
        ).encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        part = connection.recv(1)
        if not part:
            raise SystemExit("a socket was refused")
        head += part
    if b" 101 " not in head.split(b"\r\n", 1)[0]:
        raise SystemExit(head.decode(errors="replace"))
    send(connection, {"type": "open", "chat_id": page["chat_id"]})
    return connection


def send(connection: socket.socket, body: dict[str, Any]) -> None:
    payload = json.dumps(body).encode()
    mask = b"\x00\x00\x00\x00"  # a mask of zeros is one, and costs nothing
    connection.sendall(bytes((TEXT, 0x80 | len(payload))) + mask + payload)


def listen(number: int, connection: socket.socket) -> None:
    global closed
    buffer = b""
    while True:
        data = connection.recv(65536)
        now = time.monotonic_ns()
        if not data:
            closed += 1
            return
        buffer = take_frames(number, connection, buffer + data, now)


def take_frames(number: int, connection: socket.socket, buffer: bytes, now: int) -> bytes:
    """Note every whole frame in the buffer; returns what is left of it."""
    while len(buffer) >= 2:
        size, start = buffer[1], 2
        if size == 126 and len(buffer) >= 4:
            size, start = struct.unpack("!H", buffer[2:4])[0], 4
        elif size == 127 and len(buffer) >= 10:
            size, start = struct.unpack("!Q", buffer[2:10])[0], 10
        elif size >= 126:
            break
        if len(buffer) < start + size:
            break
        note(number, connection, buffer[start : start + size], now)
        buffer = buffer[start + size :]
    return buffer


def note(number: int, connection: socket.socket, payload: bytes, now: int) -> None:
    if payload.startswith(b'{"type":"ping"'):
        send(connection, {"type": "pong"})
    # A bubble and the row after it carry one mark: what counts is when it was first to be seen.
    mark = MARK.search(payload)
    if mark and mark[1] not in seen[number]:
        seen[number].add(mark[1])
        arrivals[mark[1].decode()].append(now)


if __name__ == "__main__":
    main()
