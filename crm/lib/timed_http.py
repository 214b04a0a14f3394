"""HTTP calls with one deadline over everything, that know whether the body left this machine.

`requests` bounds each read, not the whole call: a server that drips a byte every few seconds keeps
a worker for ever. It also spends more time on a call than its pool, urllib3, which we use directly:
what it adds (cookies, redirects, proxies from the environment) we do not want. Here every send and
every read gets what is left of one deadline, headers included. The road not taken is a watchdog
thread that shuts sockets down: it races with the pool, which may already have lent the socket to
the next call.

Whether the body went out decides between "try again" and "nobody knows", so it is noted where the
bytes are handed to the socket, not guessed from the exception.

With a `guard` the name of the other side is resolved once and only an address that it admits is
called (see crm/lib/addresses.py).
"""

import io
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPResponse
from typing import IO, Any

import certifi
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.connection import create_connection

from crm.lib.addresses import InnerAddress, PublicOnly


class HttpFailure(Exception):
    """No whole answer came. `body_sent` tells whether the other side may have acted on the call.

    `is_inner`: the guard did not let us call at all.
    """

    def __init__(self, reason: str, *, body_sent: bool, is_inner: bool = False) -> None:
        super().__init__(reason)
        self.body_sent = body_sent
        self.is_inner = is_inner


@dataclass(frozen=True)
class Answer:
    """One whole answer. `body` is None where it was longer than the cap (or compressed unasked)."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None = field(repr=False)


@dataclass
class _Call:
    deadline: float  # time.monotonic()
    silent_seconds: float | None = None
    guard: PublicOnly | None = None
    headers_sent: bool = False
    body_sent: bool = False
    is_inner: bool = False

    def seconds_left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the whole call took too long")
        return left


# The pool creates and lends connections on its own; a thread makes one call at a time, so the
# connection finds its call here.
_current = threading.local()


class _DeadlineReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, call: _Call) -> None:
        self._sock = sock
        self._raw = socket.SocketIO(sock, "rb")
        self._call = call
        sock._io_refs += 1  # type: ignore[attr-defined]  # what socket.makefile() does

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left, silent = self._call.seconds_left(), self._call.silent_seconds
        self._sock.settimeout(left if silent is None else min(left, silent))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._raw.close()


class _SocketWithDeadline:
    """Just enough of a socket for http.client, which only asks it for a file to read from."""

    def __init__(self, sock: socket.socket, call: _Call) -> None:
        self._sock = sock
        self._call = call

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self._sock, self._call))


def _response(sock: socket.socket, *args: Any, **kwargs: Any) -> HTTPResponse:
    wrapped = _SocketWithDeadline(sock, _current.call)
    return HTTPResponse(wrapped, *args, **kwargs)  # type: ignore[arg-type]


class _Timed:
    """Mixed into urllib3's connections: notes what went out, and bounds each send."""

    sock: Any
    host: str
    port: int
    timeout: Any
    socket_options: Any
    response_class: Any = staticmethod(_response)

    def _new_conn(self) -> socket.socket:
        call: _Call = _current.call
        if call.guard is None:
            return super()._new_conn()  # type: ignore[misc]
        try:
            address = call.guard.find(self.host, self.port)
        except InnerAddress:
            call.is_inner = True
            raise
        return create_connection(
            (address, self.port), self.timeout, socket_options=self.socket_options
        )

    def send(self, data: Any) -> None:
        call: _Call = _current.call
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]
        self.sock.settimeout(call.seconds_left())
        # The first send carries the headers, any later one the body. It is noted before the send:
        # a send that fails half-way may have gone out whole.
        if call.headers_sent:
            call.body_sent = True
        super().send(data)  # type: ignore[misc]
        call.headers_sent = True


class _TimedHTTPConnection(_Timed, HTTPConnection):
    pass


class _TimedHTTPSConnection(_Timed, HTTPSConnection):
    pass


class _TimedHTTPPool(HTTPConnectionPool):
    ConnectionCls = _TimedHTTPConnection


class _TimedHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _TimedHTTPSConnection


# An address: where it is, as it is written, and what is asked for there.
_ADDRESS = re.compile(r"(https?://[^\\/?#]+)(.*)", re.IGNORECASE | re.DOTALL)
# How many different servers one thread keeps connections to.
_MOST_SERVERS = 10


class _Connections:
    """The kept-alive connections of one thread, by server.

    urllib3's manager makes the pools. Asked for each call, it would read the whole address and look
    for its pool anew, which is a third of what a call costs.
    """

    def __init__(self) -> None:
        self._manager = urllib3.PoolManager(
            num_pools=_MOST_SERVERS, cert_reqs="CERT_REQUIRED", ca_certs=certifi.where()
        )
        self._manager.pool_classes_by_scheme = {"http": _TimedHTTPPool, "https": _TimedHTTPSPool}
        self._pools: dict[str, HTTPConnectionPool] = {}

    def find(self, url: str) -> tuple[HTTPConnectionPool, str]:
        """The pool of this address's server, and the rest, as it goes into the request's line."""
        address = _ADDRESS.fullmatch(url)
        if address is None:
            raise urllib3.exceptions.LocationParseError(url)
        server, target = address.groups()
        pool = self._pools.get(server)
        if pool is None:
            if len(self._pools) >= _MOST_SERVERS:
                self.drop()
            pool = self._pools[server] = self._manager.connection_from_url(server)
        return pool, target if target.startswith("/") else f"/{target}"

    def drop(self) -> None:
        """Close what is open; the next call opens anew."""
        self._manager.clear()
        self._pools.clear()


class TimedHttp:
    """Sends requests, one set of kept-alive connections per thread.

    `connect_seconds` bounds connecting (per address of the host), `total_seconds` the whole call.
    `silent_seconds` bounds the wait for each next byte of the answer, `max_answer_bytes` what is
    read. A connection idle for more than `max_idle_seconds` is not used again: a server that closes
    it at that very moment would leave us not knowing whether it took the request.
    """

    def __init__(
        self,
        *,
        connect_seconds: float = 5.0,
        total_seconds: float = 20.0,
        silent_seconds: float | None = None,
        max_answer_bytes: int = 1_000_000,
        max_idle_seconds: float = 20.0,
        guard: PublicOnly | None = None,
    ) -> None:
        self.connect_seconds = connect_seconds
        self.total_seconds = total_seconds
        self.silent_seconds = silent_seconds
        self.max_answer_bytes = max_answer_bytes
        self.max_idle_seconds = max_idle_seconds
        self.guard = guard
        self._threads = threading.local()

    def post(self, url: str, body: bytes | IO[bytes], *, headers: Mapping[str, str]) -> Answer:
        """`body` may be an open file, which is read as it goes out."""
        return self._call("POST", url, body, headers)

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        into: Callable[[bytes], object] | None = None,
    ) -> Answer:
        """With `into`, a good answer is handed over piece by piece and `body` is empty."""
        return self._call("GET", url, None, headers, into)

    def delete(self, url: str, *, headers: Mapping[str, str]) -> Answer:
        return self._call("DELETE", url, None, headers)

    def _call(
        self,
        method: str,
        url: str,
        body: bytes | IO[bytes] | None,
        headers: Mapping[str, str],
        into: Callable[[bytes], object] | None = None,
    ) -> Answer:
        call = _Call(
            deadline=time.monotonic() + self.total_seconds,
            silent_seconds=self.silent_seconds,
            guard=self.guard,
        )
        _current.call = call
        try:
            pool, target = self._connections().find(url)
            response = pool.urlopen(
                method,
                target,
                body=body,
                # Compression is refused: nothing we ask for is long, and a small answer that
                # unpacks to gigabytes is then no matter.
                headers={**headers, "Accept-Encoding": "identity", **_length(body)},
                timeout=urllib3.Timeout(
                    connect=min(self.connect_seconds, self.total_seconds), read=self.total_seconds
                ),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                content = self._read(response, into if response.status == 200 else None)
            finally:
                response.close()
                response.release_conn()
            self._threads.used_at = time.monotonic()
            return Answer(status=response.status, headers=response.headers, body=content)
        except (
            urllib3.exceptions.HTTPError,
            OSError,
            ValueError,  # a header that cannot be one, such as a token with a typing error
        ) as error:
            # The reason names the kind only: the text of these errors repeats the address.
            raise HttpFailure(
                type(error).__name__, body_sent=call.body_sent, is_inner=call.is_inner
            ) from error
        finally:
            _current.call = None

    def _connections(self) -> _Connections:
        ours: _Connections | None = getattr(self._threads, "connections", None)
        if ours is None:
            ours = self._threads.connections = _Connections()
        elif time.monotonic() - self._threads.used_at > self.max_idle_seconds:
            ours.drop()
        self._threads.used_at = time.monotonic()
        return ours

    def _read(
        self, response: urllib3.BaseHTTPResponse, into: Callable[[bytes], object] | None
    ) -> bytes | None:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            return None
        parts: list[bytes] = []
        length = 0
        while chunk := response.read(65536, decode_content=False):
            if into is None:
                parts.append(chunk)
            else:
                into(chunk)
            length += len(chunk)
            if length > self.max_answer_bytes:
                return None
        return b"".join(parts)


def _length(body: bytes | IO[bytes] | None) -> dict[str, str]:
    """Of an open file from where it stands, or as the body says itself: without its length it would
    go out in chunks."""
    if body is None or isinstance(body, bytes):
        return {}
    if hasattr(body, "__len__"):
        return {"Content-Length": str(len(body))}
    here = body.tell()
    end = body.seek(0, io.SEEK_END)
    body.seek(here)
    return {"Content-Length": str(end - here)}
