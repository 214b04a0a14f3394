"""Files at Meta: where one lies, its bytes, and uploads.

Source: Meta's Cloud API reference, media: `GET /{media-id}` gives a link that lives for five
minutes and wants the same token; `POST /{phone-number-id}/media` takes a multipart form and keeps
the file for 30 days.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import quote, urlsplit

from crm.lib.addresses import PublicOnly
from crm.lib.timed_http import Answer, HttpFailure, TimedHttp
from crm.providers.meta.client import MetaChannel, no_answer, parse_body, read_refusal
from crm.providers.outbound import Effect, ProviderError

# The token goes to these hosts (and what lies below them) and to META_GRAPH_URL's, nowhere else.
MEDIA_HOSTS = ("fbsbx.com", "facebook.com", "fbcdn.net", "whatsapp.net")
MOST_REDIRECTS = 3
# Meta answers some agents that name no browser and no tool with a page of HTML.
USER_AGENT = "charla/1.0 (curl-like)"
TRANSFER_SECONDS = 180.0
# A download without a byte for so long is begun anew: somebody waits for it.
SILENT_SECONDS = 15.0
GONE = {100, 131052}


class FetchFault(Exception):
    """Why a file did not come. `code`: gone, away, token, too_big, foreign_host, no_room."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code} {detail}".strip())
        self.code = code


@dataclass(frozen=True)
class MediaInfo:
    """Where a file lies for the next five minutes. `sha256` in hex, `size` in bytes."""

    url: str
    mime_type: str | None
    sha256: str | None
    size: int | None


@dataclass(frozen=True)
class Fetched:
    size: int
    sha256: str  # hex


class MetaMedia:
    """Fetches and uploads. One serves many threads and numbers of one Graph address."""

    def __init__(
        self,
        graph_url: str,
        *,
        seconds: float = TRANSFER_SECONDS,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        own = urlsplit(graph_url)
        self._own = (own.scheme, own.hostname, own.port)
        guard = PublicOnly([own.hostname or ""])
        # The cap of a file is the caller's; this one only ends what never ends.
        self._downloads = TimedHttp(
            total_seconds=seconds,
            silent_seconds=silent_seconds,
            max_answer_bytes=10**9,
            guard=guard,
        )
        self._uploads = TimedHttp(total_seconds=seconds, guard=guard)
        self._calls = TimedHttp(total_seconds=20, guard=guard)

    def find(self, channel: MetaChannel, media_id: str) -> MediaInfo:
        """The link of a media id. FetchFault gone: Meta knows it no more (7 days), or never did."""
        url = (
            f"{channel.graph_url}/{quote(media_id, safe='')}"
            f"?phone_number_id={quote(channel.phone_number_id, safe='')}"
        )
        try:
            answer = self._calls.get(url, headers=_headers(channel))
        except HttpFailure as failure:
            raise FetchFault("away", str(failure)) from failure
        body = parse_body(answer.body) or {}
        link = body.get("url")
        if answer.status == 200 and isinstance(link, str):
            return MediaInfo(
                url=link,
                mime_type=body["mime_type"] if isinstance(body.get("mime_type"), str) else None,
                sha256=body["sha256"].lower() if isinstance(body.get("sha256"), str) else None,
                size=_whole(body.get("file_size")),
            )
        raise _fault(answer, body)

    def download(self, channel: MetaChannel, url: str, target: BinaryIO, *, most: int) -> Fetched:
        """Write the bytes behind a link to `target`, at most `most` of them.

        FetchFault: too_big, gone (the link's five minutes are over), token, away, foreign_host,
        no_room.
        """
        for _ in range(MOST_REDIRECTS + 1):
            if not self._is_ours(url):
                raise FetchFault("foreign_host", urlsplit(url).hostname or "")
            taken = _Taken(target, most)
            try:
                answer = self._downloads.get(url, headers=_headers(channel), into=taken.take)
            except HttpFailure as failure:
                raise FetchFault("foreign_host" if failure.is_inner else "away") from failure
            if answer.status == 200 and answer.body is not None:
                announced = _whole(answer.headers.get("Content-Length"))
                if announced is not None and announced != taken.size:
                    raise FetchFault("away", "cut short")
                return Fetched(taken.size, taken.digest.hexdigest())
            if answer.status not in {301, 302, 303, 307, 308}:
                raise _fault(answer, parse_body(answer.body) or {})
            url = answer.headers.get("Location", "")
        raise FetchFault("away", "too many redirects")

    def release(self) -> None:
        """Nothing was put aside for us: Meta keeps its own copy for seven days."""

    def upload(self, channel: MetaChannel, path: Path, mime_type: str, *, filename: str) -> str:
        """Give Meta a file; its media id, good for 30 days. Raises ProviderError.

        Nothing is sent to anybody by it, so that whatever went wrong may be tried again.
        """
        with open(path, "rb") as file:
            form = _Form(file, path.stat().st_size, mime_type, filename)
            try:
                answer = self._uploads.post(
                    f"{channel.graph_url}/{channel.phone_number_id}/media",
                    cast(BinaryIO, form),
                    headers={**_headers(channel), "Content-Type": form.content_type},
                )
            except HttpFailure as failure:
                raise _again(no_answer(failure)) from failure
        body = parse_body(answer.body)
        media_id = body.get("id") if body else None
        if answer.status == 200 and isinstance(media_id, str) and 0 < len(media_id) <= 255:
            return media_id
        raise _again(read_refusal(answer))

    def _is_ours(self, url: str) -> bool:
        """A host of Meta's over https, or the very place of META_GRAPH_URL."""
        try:
            parts = urlsplit(url)
            place = (parts.scheme, parts.hostname, parts.port)
        except ValueError:
            return False
        if parts.username is not None or parts.hostname is None:
            return False
        if place == self._own:
            return True
        is_metas = any(
            parts.hostname == host or parts.hostname.endswith(f".{host}") for host in MEDIA_HOSTS
        )
        return parts.scheme == "https" and parts.port in (None, 443) and is_metas


class _Taken:
    """Counts and hashes what is written, and stops at the cap."""

    def __init__(self, target: BinaryIO, most: int) -> None:
        self.size = 0
        self.digest = hashlib.sha256()
        self._write: Callable[[bytes], Any] = target.write
        self._most = most

    def take(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > self._most:
            raise FetchFault("too_big")
        self.digest.update(piece)
        try:
            self._write(piece)
        except OSError as error:
            # As an OSError it would look like a broken connection.
            raise FetchFault("no_room") from error


class _Form(io.RawIOBase):
    """A multipart form around a file, read as it goes out; TimedHttp asks for its length."""

    def __init__(self, file: BinaryIO, size: int, mime_type: str, filename: str) -> None:
        edge = f"charla{secrets.token_hex(12)}"
        self.content_type = f"multipart/form-data; boundary={edge}"
        fields = {"messaging_product": "whatsapp", "type": mime_type}
        head = "".join(
            f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        # The name of the form only; what the customer reads stands in the message itself.
        plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in filename)
        head += (
            f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{plain}"\r\n'
            f"Content-Type: {mime_type}\r\n\r\n"
        )
        tail = f"\r\n--{edge}--\r\n"
        self._parts: list[Any] = [io.BytesIO(head.encode()), file, io.BytesIO(tail.encode())]
        self._length = len(head.encode()) + size + len(tail)

    def __len__(self) -> int:
        return self._length

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while self._parts:
            piece: bytes = self._parts[0].read(size)
            if piece:
                return piece
            self._parts.pop(0)
        return b""


def _headers(channel: MetaChannel) -> dict[str, str]:
    return {"Authorization": f"Bearer {channel.access_token}", "User-Agent": USER_AGENT}


def _fault(answer: Answer, body: dict[str, Any]) -> FetchFault:
    """What a refusal means for a file that we want."""
    error = body.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if answer.status == 401 or code in {0, 10, 190, 200}:
        return FetchFault("token", str(code))
    if answer.status in {404, 410} or (answer.status == 400 and (code in GONE or code is None)):
        return FetchFault("gone", str(code))
    return FetchFault("away", f"http {answer.status} {code}")


def _again(error: ProviderError) -> ProviderError:
    """An upload whose answer was lost has sent nothing: there is no "nobody knows" about it."""
    if error.effect is not Effect.UNKNOWN:
        return error
    return ProviderError(
        error.reason,
        effect=Effect.RETRY,
        code=error.code,
        detail=error.detail,
        wait_seconds=error.wait_seconds,
    )


def _whole(value: Any) -> int | None:
    """A size, which Meta writes as a number or as text."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def sha256_of_webhook(value: Any) -> str | None:
    """The hash of a webhook (base64) as hex; None for what is no hash."""
    try:
        raw = base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw.hex() if len(raw) == 32 else None
