"""The session behind a WPPConnect number: its life, its history, names and files.

Each call costs the server a bcrypt (50-900 ms): nobody polls fast. GatewayError says in a word what
is wrong; nothing here sends a message.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from crm.lib.timed_http import Answer, HttpFailure, TimedHttp
from crm.providers.wppconnect.client import WppConnectChannel, parse
from crm.providers.wppconnect.ids import Wid, read_wid

Json = dict[str, Any]
MAX_QR = 200_000


class GatewayError(Exception):
    """`reason`: unreachable, inner_address, wrong_key, wrong_token, disconnected, odd_answer."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class ServerState:
    """`word` is the server's: CLOSED, INITIALIZING, QRCODE, PHONECODE, CONNECTED.

    `qr` is a data URI of a PNG, `code` what the QR code says.
    """

    word: str
    qr: str | None = None
    code: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class Pair:
    """One person's two names: the phone's digits, the lid's digits."""

    phone: str | None
    lid: str | None


class WppConnectGateway:
    """Speaks with servers about sessions. One gateway serves many threads and numbers."""

    def __init__(self, http: TimedHttp | None = None) -> None:
        self._http = http or TimedHttp(max_answer_bytes=32 * 1024 * 1024)

    # -- the session's life ------------------------------------------------------------------------

    def generate_token(self, base_url: str, session: str, secret_key: str) -> str:
        """A token for the session; it never expires. The key stands in the address, quoted."""
        url = f"{base_url}/api/{session}/{quote(secret_key, safe='')}/generate-token"
        answer = self._call(lambda: self._http.post(url, b"", headers={"User-Agent": "charla"}))
        body = parse(answer.body)
        body = body if isinstance(body, dict) else {}
        if answer.status in (400, 401, 403):
            raise GatewayError("wrong_key")
        token = body.get("token")
        if answer.status not in (200, 201) or not isinstance(token, str) or not token:
            raise GatewayError("odd_answer", f"HTTP {answer.status}")
        return token

    def start(self, channel: WppConnectChannel, *, webhook: str) -> ServerState:
        """Start the session, or do nothing where it runs.

        Always with the whole body: a start without `webhook` would erase the saved one, and
        `waitQrCode` would hang where the browser does not come up. CLOSED here means "starting".
        """
        body = {"webhook": webhook, "waitQrCode": False}
        return _state(self._json(channel, "start-session", body))

    def find_state(self, channel: WppConnectChannel) -> ServerState:
        return _state(self._json(channel, "status-session"))

    def find_own_phone(self, channel: WppConnectChannel) -> str | None:
        """Digits of the phone that is linked; None where the server does not tell."""
        try:
            body = self._json(channel, "get-phone-number")
        except GatewayError as error:
            if error.reason != "odd_answer":
                raise
            return None
        wid = read_wid(body.get("response")) if isinstance(body, dict) else None
        return wid.phone if wid else None

    def close(self, channel: WppConnectChannel) -> None:
        """Close the browser, the link stays. 500 where it was stuck or never started: as good."""
        answer = self._call(lambda: self._post(channel, "close-session", {}))
        if answer.status in (401, 403):
            raise _wrong(answer)

    def log_out(self, channel: WppConnectChannel) -> None:
        """Unlink the phone: a QR code is needed afterwards. GatewayError where not connected."""
        self._json(channel, "logout-session", {})

    # -- what it knows -----------------------------------------------------------------------------

    def find_messages(self, channel: WppConnectChannel, chat: str, *, count: int) -> list[Json]:
        """The last messages of a chat ("573001234567@c.us"), both ways."""
        path = f"get-messages/{quote(chat, safe='@.')}?count={count}"
        return _rows(self._json(channel, path))

    def find_unread(self, channel: WppConnectChannel) -> list[Json]:
        """Every message that nobody has read, over all chats."""
        found: list[Json] = []
        for row in _rows(self._json(channel, "all-unread-messages")):
            # Messages, or (of older versions) chats with their messages.
            inner = row.get("messages")
            rows = inner if isinstance(inner, list) else [row]
            found += [message for message in rows if isinstance(message, dict)]
        return found

    def find_chats(self, channel: WppConnectChannel, *, count: int) -> list[tuple[Wid, int]]:
        """The chats that moved last: (who, unix seconds of the last message)."""
        body = {"count": count, "onlyUsers": True}
        found = []
        for row in _rows(self._json(channel, "list-chats", body)):
            wid = read_wid(row.get("id"))
            moved = row.get("t")
            if wid is not None and wid.is_person and isinstance(moved, int):
                found.append((wid, moved))
        return sorted(found, key=lambda pair: -pair[1])[:count]

    def find_pair(self, channel: WppConnectChannel, name: str) -> Pair:
        """Phone and lid of one person, asked by either ("276974622781686@lid")."""
        body = self._json(channel, f"contact/pn-lid/{quote(name, safe='@')}")
        body = body if isinstance(body, dict) else {}
        lid, phone = read_wid(body.get("lid")), read_wid(body.get("phoneNumber"))
        return Pair(phone.phone if phone else None, lid.lid if lid else None)

    def fetch_media(
        self, channel: WppConnectChannel, message_id: str, into: Callable[[bytes], object]
    ) -> None:
        """`{"base64", "mimetype"}` of a message's file, piece by piece as it comes."""
        url = channel.url(f"get-media-by-message/{quote(message_id, safe='@')}")
        answer = self._call(lambda: self._http.get(url, headers=channel.headers, into=into))
        if answer.status != 200 or answer.body is None:
            raise _wrong(answer)

    # -- calling -----------------------------------------------------------------------------------

    def _json(self, channel: WppConnectChannel, path: str, body: Json | None = None) -> Any:
        def call() -> Answer:
            if body is None:
                return self._http.get(channel.url(path), headers=channel.headers)
            return self._post(channel, path, body)

        answer = self._call(call)
        found = parse(answer.body)
        if answer.status not in (200, 201) or found is None:
            raise _wrong(answer)
        return found

    def _post(self, channel: WppConnectChannel, path: str, body: Json) -> Answer:
        raw = json.dumps(body).encode("ascii")
        return self._http.post(channel.url(path), raw, headers=channel.headers)

    @staticmethod
    def _call(call: Callable[[], Answer]) -> Answer:
        try:
            return call()
        except HttpFailure as failure:
            reason = "inner_address" if failure.is_inner else "unreachable"
            raise GatewayError(reason, str(failure)) from failure


def _wrong(answer: Answer) -> GatewayError:
    body = parse(answer.body)
    if answer.status in (401, 403):
        return GatewayError("wrong_token")
    if answer.status == 404 and isinstance(body, dict) and body.get("status") == "Disconnected":
        return GatewayError("disconnected")
    return GatewayError("odd_answer", f"HTTP {answer.status}")


def _state(body: Any) -> ServerState:
    if not isinstance(body, dict):
        raise GatewayError("odd_answer")
    word = body.get("status")
    return ServerState(
        # No session at all is written as null.
        word=word.upper() if isinstance(word, str) and word else "CLOSED",
        qr=qr_image(body.get("qrcode")),
        code=body["urlcode"] if isinstance(body.get("urlcode"), str) else None,
        version=body["version"] if isinstance(body.get("version"), str) else None,
    )


def qr_image(value: Any) -> str | None:
    """A QR code as a data URI; the webhook leaves the prefix out. None for anything else."""
    if not isinstance(value, str) or not value or len(value) > MAX_QR:
        return None
    base64 = value.removeprefix("data:image/png;base64,")
    good = base64.replace("+", "").replace("/", "").rstrip("=").isalnum() and base64.isascii()
    return f"data:image/png;base64,{base64}" if good else None


def _rows(body: Any) -> list[Json]:
    """A list, bare or under `response` (where a page of it may be an object)."""
    found = body.get("response") if isinstance(body, dict) else body
    if isinstance(found, dict) and isinstance(found.get("data"), list):
        found = found["data"]
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
