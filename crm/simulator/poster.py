"""Posts webhooks over kept-alive connections, on gevent's sockets.

http.client with a gevent socket, because nothing here is monkey-patched: `python -m` has loaded
other modules before this process could patch, and late patching breaks ssl.
"""

import http.client
import socket
from urllib.parse import urlsplit

import gevent.socket

KEPT_BODY = 4096


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = gevent.socket.create_connection((self.host, self.port), self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Poster:
    """`post` answers (status, first bytes of the answer); OSError where nobody answers."""

    def __init__(self, url: str, *, timeout: float = 15.0) -> None:
        self.url = url
        parts = urlsplit(url)
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or 80
        self._path = parts.path or "/"
        self._timeout = timeout
        self._idle: list[_Connection] = []

    def post(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        return self._call("POST", self._path, body, headers)

    def get(self, query: str) -> tuple[int, bytes]:
        return self._call("GET", f"{self._path}?{query}", None, {})

    def _call(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        while self._idle:
            # A kept connection may have been closed meanwhile; that says nothing about the server.
            try:
                return self._once(self._idle.pop(), method, path, body, headers)
            except (ConnectionError, http.client.RemoteDisconnected, http.client.BadStatusLine):
                continue
        fresh = _Connection(self._host, self._port, timeout=self._timeout)
        try:
            return self._once(fresh, method, path, body, headers)
        except http.client.HTTPException as error:
            raise OSError(f"not an HTTP answer: {error!r}") from error

    def _once(
        self,
        connection: _Connection,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
    ) -> tuple[int, bytes]:
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            content = answer.read(KEPT_BODY)
            kept = not answer.will_close and answer.isclosed()
        except BaseException:
            connection.close()
            raise
        if kept and len(self._idle) < 64:
            self._idle.append(connection)
        else:
            connection.close()
        return answer.status, content
