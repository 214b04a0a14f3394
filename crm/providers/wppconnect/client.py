"""Sends through WPPConnect Server. Dataclass in, dataclass out; it knows neither our tables nor
Flask.

The server has no key against doubles and drives a browser: what it answers is held against what a
sent message must have (an id), and what nobody can know is UNKNOWN, to be looked up in the chat's
history (see gateway.py).
"""

from __future__ import annotations

import base64
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from crm.lib.timed_http import Answer, HttpFailure, TimedHttp
from crm.providers.outbound import (
    Amendment,
    Deletion,
    Edit,
    Effect,
    OutboundMessage,
    ProviderError,
    Reaction,
    SendResult,
    Sign,
)
from crm.providers.wppconnect.ids import MessageKey, read_key, stored_id
from crm.providers.wppconnect.payloads import FILE, Call, call_for, refusal, sign_call

Json = dict[str, Any]
# A multiple of three bytes is base64 without an end in the middle.
BLOCK = 3 * 64 * 1024


@dataclass(frozen=True)
class WppConnectChannel:
    """One session at a server: where it lives and what opens it."""

    number_id: int
    base_url: str  # "https://wpp.example.com", without a slash at the end
    session: str
    token: str = field(repr=False)

    def url(self, path: str) -> str:
        return f"{self.base_url}/api/{self.session}/{path}"

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "User-Agent": "charla",
        }


class WppConnectClient:
    """Sends through WPPConnect. One client serves many threads and numbers."""

    def __init__(self, http: TimedHttp | None = None, *, files: TimedHttp | None = None) -> None:
        """`files` makes the calls with a file in them, with the patience that these need."""
        self._http = http or TimedHttp()
        self._files = files or self._http

    def send(self, channel: WppConnectChannel, message: OutboundMessage) -> SendResult:
        """Send one message: a result means that WhatsApp Web has it, with its id.

        Raises ProviderError with the effect that fits, by the table in codes.py.
        """
        call = call_for(message)
        if isinstance(message.content, Edit | Deletion):
            return self._amend(channel, message, message.content)
        answer = self.post(channel, call)
        if isinstance(message.content, Reaction):
            return _reacted(channel, message, answer)
        return read_answer(answer, channel)

    def _amend(
        self, channel: WppConnectChannel, message: OutboundMessage, content: Amendment
    ) -> SendResult:
        """Twice is as good as once, so that an answer that did not come is no doubt: again."""
        try:
            answer = self.post(channel, call_for(message))
            _check_amended(answer, content)
        except ProviderError as error:
            if error.effect is not Effect.UNKNOWN:
                raise
            raise ProviderError(
                error.reason, effect=Effect.RETRY, code=error.code, detail=error.detail
            ) from error
        word = "edit" if isinstance(content, Edit) else "revoke"
        return SendResult(stored_id(channel.number_id, f"{word}_{message.opaque_id}"))

    def tell(self, channel: WppConnectChannel, sign: Sign) -> None:
        """Blue ticks, or "typing..." until it is taken back. Raises ProviderError as `send` does.

        The server marks the whole chat as read; it knows no single message.
        """
        _check_success(self.post(channel, sign_call(sign)))

    def post(self, channel: WppConnectChannel, call: Call) -> Answer:
        """The bare call. ProviderError where no whole answer came."""
        try:
            if call.file is None:
                raw = json.dumps(call.body).encode("ascii")
                return self._http.post(channel.url(call.path), raw, headers=channel.headers)
            with tempfile.TemporaryFile() as body:
                _write(call.body, call.file, body)
                body.seek(0)
                return self._files.post(channel.url(call.path), body, headers=channel.headers)
        except HttpFailure as failure:
            raise no_answer(failure) from failure


def _write(fields: Json, path: str, body: IO[bytes]) -> None:
    """The JSON of a call with a file in it, block by block: memory holds one of them."""
    before, _, after = json.dumps(fields).partition(json.dumps(FILE).strip('"'))
    body.write(before.encode("ascii"))
    try:
        with Path(path).open("rb") as file:
            while block := file.read(BLOCK):
                body.write(base64.b64encode(block))
    except OSError as error:
        raise refusal("wpp_file_missing", detail=type(error).__name__) from error
    body.write(after.encode("ascii"))


def no_answer(failure: HttpFailure) -> ProviderError:
    if failure.is_inner:
        return refusal("wpp_inner_address")
    code = "wpp_no_answer" if failure.body_sent else "wpp_unreachable"
    return refusal(code, detail=str(failure))


def read_answer(answer: Answer, channel: WppConnectChannel) -> SendResult:
    """A send's answer: the message, or `{ack, id}` for files, in a list or (vcard) alone."""
    body = parse(answer.body)
    if answer.status not in (200, 201):
        raise refused(answer, body)
    if not isinstance(body, dict):
        raise refusal("wpp_bad_answer")
    if str(body.get("status")).lower() != "success":
        raise refusal("wpp_bad_answer", detail=_words(body))
    rows = body.get("response")
    rows = rows if isinstance(rows, list) else [rows]
    keys = [key for row in rows if (key := _key(row)) is not None]
    if not keys:
        raise refusal("wpp_empty", detail=_words(body))
    chat = keys[0].chat
    return SendResult(
        whatsapp_message_id=stored_id(channel.number_id, keys[0]),
        wa_id=chat.phone if chat else None,
        lid=chat.lid if chat else None,
        serialized_id=keys[0].text,
    )


def _key(row: Any) -> MessageKey | None:
    if not isinstance(row, dict):
        return None
    try:
        return read_key(row.get("id"))
    except ValueError:
        return None


def _reacted(channel: WppConnectChannel, message: OutboundMessage, answer: Answer) -> SendResult:
    """A reaction's answer has no id: it gets one of ours."""
    _check_success(answer)
    return SendResult(stored_id(channel.number_id, f"reaction_{message.opaque_id}"))


def _check_success(answer: Answer) -> None:
    """For calls whose answer says no more than that they were done."""
    body = parse(answer.body)
    if answer.status not in (200, 201) or not isinstance(body, dict):
        raise refused(answer, body)
    if str(body.get("status")).lower() != "success":
        raise refusal("wpp_error", detail=_words(body))


def _check_amended(answer: Answer, content: Amendment) -> None:
    """A deletion that WhatsApp Web refuses is a 401 with other words than those of a wrong key."""
    body = parse(answer.body)
    row = body if isinstance(body, dict) else {}
    code = "wpp_not_edited" if isinstance(content, Edit) else "wpp_not_deleted"
    said = str(row.get("status")).lower()
    if answer.status in (401, 500) and said == "error":
        raise refusal(code, detail=_words(row))
    _check_success(answer)


def refused(answer: Answer, body: Any) -> ProviderError:
    """What an answer that is no success says."""
    row = body if isinstance(body, dict) else {}
    status, words = answer.status, _words(row)
    if status == 404 and row.get("status") == "Disconnected":
        return refusal("wpp_disconnected", detail=words)
    if status in (401, 403):
        missing = "mandatory" in words or "obrigat" in words
        return refusal("wpp_file_missing" if missing else "wpp_token", detail=words)
    if status == 400 and "response" in row and row.get("status") == "Connected":
        return refusal("wpp_no_whatsapp", detail=words)
    if status == 404:
        return refusal("wpp_not_there", detail=words)
    if status == 413:
        return refusal("wpp_too_large")
    if status == 429:
        return refusal("wpp_busy")
    if 400 <= status < 500 and status != 408:
        return refusal("wpp_refused", detail=words or f"HTTP {status}")
    if status == 500 and str(row.get("status")).lower() == "error":
        return refusal("wpp_error", detail=words)
    return refusal("wpp_no_answer" if status >= 500 else "wpp_bad_answer", detail=f"HTTP {status}")


def parse(body: bytes | None) -> Any:
    try:
        return json.loads(body or b"")
    except (ValueError, RecursionError):
        return None


def _words(body: Json) -> str:
    """The server's own words, for the log."""
    error = body.get("error")
    parts = (body.get("message"), error if isinstance(error, str) else None)
    return " - ".join(part for part in parts if isinstance(part, str)).replace("\x00", "")[:500]
