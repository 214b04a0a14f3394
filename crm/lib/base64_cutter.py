"""Cuts long base64 texts out of a JSON stream into files, while it comes in.

A media event of WPPConnect holds the whole file as one base64 text, up to a hundred megabytes of
it. Here such a text is decoded piece by piece into a file, and a short name stands in its place in
the JSON that is left; memory holds a chunk and what is no base64.

    cutter = Base64Cutter(folder)
    for chunk in stream:
        cutter.feed(chunk)
    cut = cutter.finish()          # cut.json, cut.pieces["cut-..."].path
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

# Only what is longer is cut; a short one is as well kept where it is.
SHORTEST = 2048
LETTERS = re.compile(rb"[A-Za-z0-9+/]+")
PADDING = re.compile(rb"={1,2}")
PLAIN = re.compile(rb'[^"\\]+')


class TooMuchText(ValueError):
    """What is left besides base64 is longer than allowed."""


@dataclass(frozen=True)
class Piece:
    """A text that was cut out: its bytes lie in `path`. `sha256` is base64, as WhatsApp's is."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class Cut:
    json: bytes = field(repr=False)
    pieces: dict[str, Piece]

    def text_of(self, name: str) -> str:
        """The base64 text that stood there, for what turns out to be no file."""
        return base64.b64encode(self.pieces[name].path.read_bytes()).decode()

    def discard(self) -> None:
        for piece in self.pieces.values():
            piece.path.unlink(missing_ok=True)


@dataclass
class _Open:
    """The piece that is being written."""

    name: str
    path: Path
    file: BinaryIO
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    carry: bytes = b""
    size: int = 0

    def write(self, letters: bytes) -> None:
        whole = self.carry + letters
        cut = len(whole) - len(whole) % 4
        self.carry = whole[cut:]
        found = base64.b64decode(whole[:cut])
        self.file.write(found)
        self.digest.update(found)
        self.size += len(found)


class Base64Cutter:
    """`most_left` bounds what stays in memory; `folder` is made where it is missing.

    Texts of up to `shortest` letters are left where they are.
    """

    def __init__(
        self, folder: Path, *, most_left: int = 8 * 1024 * 1024, shortest: int = SHORTEST
    ) -> None:
        self._folder = folder
        self._shortest = shortest
        self._most_left = most_left
        self._token = secrets.token_hex(12)
        self._out = bytearray()
        self._held = bytearray()
        self._padding = b""
        self._piece: _Open | None = None
        self._pieces: dict[str, Piece] = {}
        self._step = self._outside

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. TooMuchText where nothing is left but to refuse the whole."""
        at = 0
        while at < len(chunk):
            at = self._step(chunk, at)
            if len(self._out) > self._most_left:
                raise TooMuchText("too much text besides the file")

    def finish(self) -> Cut:
        """What is left and what was cut out; a text that never ended stays as it is."""
        self._put_back()
        return Cut(bytes(self._out), self._pieces)

    def discard(self) -> None:
        """Remove every file: the stream broke off, or was refused."""
        if self._piece is not None:
            self._piece.file.close()
            self._piece.path.unlink(missing_ok=True)
            self._piece = None
        Cut(b"", self._pieces).discard()

    # -- the steps: each takes some bytes and returns where the next begins ------------------------

    def _outside(self, chunk: bytes, at: int) -> int:
        end = chunk.find(b'"', at)
        if end < 0:
            self._out += chunk[at:]
            return len(chunk)
        self._out += chunk[at : end + 1]
        self._step = self._letters
        return end + 1

    def _letters(self, chunk: bytes, at: int) -> int:
        """Inside a text that has been nothing but base64 so far."""
        match = None if self._padding else LETTERS.match(chunk, at)
        if match is not None:
            self._take(match[0])
            return match.end()
        padding = PADDING.match(chunk, at)
        if padding is not None and len(self._padding) + len(padding[0]) <= 2:
            self._padding += padding[0]
            return padding.end()
        if chunk[at : at + 1] == b'"' and self._close():
            self._out += b'"'
            self._step = self._outside
            return at + 1
        self._put_back()
        self._step = self._text
        return at

    def _text(self, chunk: bytes, at: int) -> int:
        match = PLAIN.match(chunk, at)
        if match is not None:
            self._out += match[0]
            return match.end()
        letter = chunk[at : at + 1]
        self._out += letter
        self._step = self._outside if letter == b'"' else self._escaped
        return at + 1

    def _escaped(self, chunk: bytes, at: int) -> int:
        self._out += chunk[at : at + 1]
        self._step = self._text
        return at + 1

    # -- the piece ---------------------------------------------------------------------------------

    def _take(self, letters: bytes) -> None:
        if self._piece is not None:
            self._piece.write(letters)
            return
        self._held += letters
        if len(self._held) > self._shortest:
            self._open()

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"cut-{self._token}-{len(self._pieces)}"
        path = self._folder / name
        self._piece = _Open(name, path, path.open("xb"))
        self._piece.write(bytes(self._held))
        self._held.clear()

    def _close(self) -> bool:
        """The text has ended: keep its piece. False where its end is no base64."""
        piece, padding = self._piece, self._padding
        if piece is None:
            self._out += self._held + padding
            self._held.clear()
            self._padding = b""
            return True
        if piece.carry or padding:
            if len(piece.carry) + len(padding) != 4 or len(piece.carry) < 2:
                return False
            last = base64.b64decode(piece.carry + padding)
            if base64.b64encode(last) != piece.carry + padding:
                return False
            piece.file.write(last)
            piece.digest.update(last)
            piece.size += len(last)
        piece.file.close()
        digest = base64.b64encode(piece.digest.digest()).decode()
        self._pieces[piece.name] = Piece(piece.path, piece.size, digest)
        self._out += piece.name.encode()
        self._piece, self._padding = None, b""
        return True

    def _put_back(self) -> None:
        """It was no base64 after all: what was taken returns to the JSON, letter by letter."""
        piece = self._piece
        if piece is not None:
            piece.file.close()
            if piece.size * 4 / 3 > self._most_left:
                raise TooMuchText("too much text besides the file")
            # Four letters and three bytes stand for each other, so this is what came.
            self._out += base64.b64encode(piece.path.read_bytes()) + piece.carry
            piece.path.unlink()
            self._piece = None
        self._out += self._held + self._padding
        self._held.clear()
        self._padding = b""
