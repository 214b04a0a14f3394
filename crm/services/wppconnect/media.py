"""The file of a message that came through WPPConnect: from where it was put while it came in, or
from the server, which still has it in the phone's history."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, BinaryIO

from crm.lib.base64_cutter import Base64Cutter, Cut, TooMuchText
from crm.providers.meta.media import Fetched, FetchFault, MediaInfo
from crm.providers.wppconnect.gateway import GatewayError, WppConnectGateway

BLOCK = 256 * 1024
# In the answer stand "base64", "mimetype" and the two values; a file is longer than those.
SHORTEST_FILE = 64
NAME = re.compile(r"cut-[0-9a-f]{24}-\d+")
FAULTS = {"wrong_token": "token", "wrong_key": "token", "inner_address": "foreign_host"}


class ServerMedia:
    """Where one message's file lies. `folder` holds what was cut out of deliveries."""

    def __init__(self, gateway: WppConnectGateway, folder: Path, spool: Any = None) -> None:
        self._gateway = gateway
        self._folder = folder
        self._kept = folder / spool if isinstance(spool, str) and NAME.fullmatch(spool) else None

    def find(self, channel: Any, media_id: str) -> MediaInfo:
        """There is nothing to look up: the message's name is the address."""
        return MediaInfo(url=media_id, mime_type=None, sha256=None, size=None)

    def download(self, channel: Any, url: str, target: BinaryIO, *, most: int) -> Fetched:
        """Write the bytes to `target`. FetchFault: gone, away, token, too_big, foreign_host."""
        if self._kept is not None and self._kept.exists():
            if self._kept.stat().st_size > most:
                # Nobody will take it, ever, and it is large.
                self.release()
                raise FetchFault("too_big")
            return _copy(self._kept, target, most=most)
        cut = self._ask(channel, url)
        try:
            if not cut.pieces:
                raise FetchFault("gone", "an answer without a file")
            return _copy(next(iter(cut.pieces.values())).path, target, most=most)
        finally:
            cut.discard()

    def release(self) -> None:
        """Only now: the server may have lost its copy, and who fetches may be killed half-way."""
        if self._kept is not None:
            self._kept.unlink(missing_ok=True)

    def _ask(self, channel: Any, message_id: str) -> Cut:
        """The server's answer, its base64 decoded to the disk as it comes."""
        cutter = Base64Cutter(self._folder, shortest=SHORTEST_FILE)
        try:
            self._gateway.fetch_media(channel, message_id, cutter.feed)
            return cutter.finish()
        except GatewayError as error:
            cutter.discard()
            gone = error.detail in ("HTTP 400", "HTTP 404", "HTTP 500")
            raise FetchFault(FAULTS.get(error.reason) or ("gone" if gone else "away")) from error
        except TooMuchText as error:
            cutter.discard()
            raise FetchFault("gone", "an answer without a file") from error
        except BaseException:
            cutter.discard()
            raise


def _copy(source: Path, target: BinaryIO, *, most: int) -> Fetched:
    size, digest = 0, hashlib.sha256()
    with source.open("rb") as file:
        while block := file.read(BLOCK):
            size += len(block)
            if size > most:
                raise FetchFault("too_big")
            digest.update(block)
            target.write(block)
    return Fetched(size, digest.hexdigest())
