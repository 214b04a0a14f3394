"""A real HTTP server on loopback that answers exactly the bytes a test wants, when it wants."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Script = Callable[[socket.socket, threading.Event], None]


@dataclass
class Seen:
    head: str
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)


@dataclass
class ScriptedServer:
    """Each call runs the next script of the list; the last one serves all further calls."""

    scripts: list[Script]
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def close(self) -> None:
        self._stop.set()
        # A thread that stays in `accept` would take the connections of the next server, which gets
        # the same file descriptor.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):  # the caller may hang up at any moment
            reader = connection.makefile("rb")
            while seen := _read_request(reader):
                with self._lock:
                    self.seen.append(seen)
                    script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                script(connection, self._stop)
                if script.__name__ == "cut":
                    return


def _read_request(reader) -> Seen | None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = reader.readline()
        if not line:
            return None
        head += line
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return Seen(head.decode("latin-1"), reader.read(length))


def answer(status: int, body: object, *, headers: str = "") -> Script:
    """A whole answer; `body` is bytes, or anything that becomes JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def whole(connection: socket.socket, stop: threading.Event) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n{headers}\r\n"
        connection.sendall(head.encode() + content)

    return whole


def raw(data: bytes) -> Script:
    """These bytes, and then the line is cut."""

    def cut(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_RDWR)

    return cut


def hang() -> Script:
    def silent(connection: socket.socket, stop: threading.Event) -> None:
        stop.wait(30)

    return silent


def drip(data: bytes, *, every: float) -> Script:
    """One byte at a time: each read succeeds, the whole never ends."""

    def dripping(connection: socket.socket, stop: threading.Event) -> None:
        for byte in data:
            if stop.is_set():
                return
            connection.sendall(bytes([byte]))
            time.sleep(every)

    return dripping


@contextmanager
def serving(*scripts: Script) -> Iterator[ScriptedServer]:
    server = ScriptedServer(list(scripts))
    try:
        yield server
    finally:
        server.close()
