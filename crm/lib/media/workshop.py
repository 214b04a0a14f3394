"""Has a file looked at, or made into another, by a process of its own under limits.

The child (`hand.py`) gets no settings, no network addresses and no open files of ours; memory,
time and the size of what it writes are bounded by the kernel. What it says is JSON that is checked
here: a decoder that was taken over can lie about a picture, and nothing more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 30.0
ROOT = Path(__file__).parents[3]
PEAKS = 64
# Each may take most of a gigabyte: a rush of files waits its turn.
AT_ONCE = 3

_turns = threading.BoundedSemaphore(AT_ONCE)


class Unreadable(Exception):
    """The file cannot be worked on. `reason`: broken, pixels, memory, slow, crash, codec (a film
    of other streams than asked for), sound (a film's container without a picture in it), still (a
    moving picture that does not move).
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Look:
    """What is known of a file. Measures in pixels and seconds; `peaks` are 0 to 100; `pages` of a
    paper, which is locked where only a password opens it."""

    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    peaks: tuple[int, ...] = ()
    is_animated: bool = False
    pages: int | None = None
    is_locked: bool = False
    thumbnail: Path | None = None


@dataclass(frozen=True)
class Made:
    """A file that was made: where it lies, and what it is."""

    path: Path
    mime_type: str
    look: Look = field(default_factory=Look)


def look_at(source: Path, mime_type: str, *, folder: Path) -> Look:
    """Measure a picture, sound, film or PDF and draw its thumbnail (`folder/thumbnail.webp`).

    Raises Unreadable.
    """
    return read_look(_run("look", source, folder, mime=mime_type), folder)


def make_picture(source: Path, mime_type: str, *, folder: Path, most_bytes: int) -> Made:
    """A JPEG or PNG of at most `most_bytes`, upright, without EXIF; the same pixels if they fit."""
    told = _run("picture", source, folder, mime=mime_type, most=most_bytes)
    return _made(told, folder)


def make_portrait(source: Path, mime_type: str, *, folder: Path, side: int) -> Made:
    """A square JPEG of at most `side` pixels, always written anew, with a small thumbnail."""
    return _made(_run("portrait", source, folder, mime=mime_type, side=side), folder)


def make_film(source: Path, mime_type: str, *, folder: Path) -> Made:
    """An MP4 with H.264 and AAC, put into a new container without re-encoding.

    Raises Unreadable("codec") where the streams are others: such a film travels as a document.
    """
    return _made(_run("film", source, folder, mime=mime_type), folder)


def make_loop(source: Path, mime_type: str, *, folder: Path) -> Made:
    """An MP4 of a moving picture. Raises Unreadable("still") for one that does not move."""
    return _made(_run("loop", source, folder, mime=mime_type), folder)


def make_voice(source: Path, mime_type: str, *, folder: Path) -> Made:
    """A voice note: Ogg with Opus, one channel. Opus is passed through, the rest is encoded."""
    return _made(_run("voice", source, folder, mime=mime_type), folder)


def make_playable(source: Path, mime_type: str, *, folder: Path) -> Made:
    """The same sound as M4A (AAC), which every browser plays."""
    return _made(_run("playable", source, folder, mime=mime_type), folder)


def _run(task: str, source: Path, folder: Path, **options: Any) -> dict[str, Any]:
    with _turns:
        return _done(task, source, folder, options)


def _done(task: str, source: Path, folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    order = {"task": task, "source": str(source), "folder": str(folder), **options}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "crm.lib.media.hand"],
            input=json.dumps(order).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            cwd=ROOT,
            env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unreadable("slow") from None
    try:
        told = json.loads(done.stdout)
    except ValueError:
        raise Unreadable("crash") from None  # killed by a limit, or by what it read
    if not isinstance(told, dict) or "refused" in told:
        raise Unreadable(str(told.get("refused", "crash"))[:20] if told else "crash")
    return told


def _made(told: dict[str, Any], folder: Path) -> Made:
    path = folder / Path(str(told["file"])).name
    return Made(path, str(told["mime"]), read_look(told, folder))


def read_look(told: dict[str, Any], folder: Path) -> Look:
    """What a child has said of the file in `folder`, with the thumbnail that it left there."""
    thumbnail = folder / "thumbnail.webp"
    return Look(
        width=_whole(told.get("width")),
        height=_whole(told.get("height")),
        seconds=_seconds(told.get("seconds")),
        peaks=tuple(_whole(peak) or 0 for peak in (told.get("peaks") or [])[:PEAKS]),
        is_animated=told.get("animated") is True,
        pages=_whole(told.get("pages")),
        is_locked=told.get("locked") is True,
        thumbnail=thumbnail if thumbnail.is_file() else None,
    )


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 2**31 else None


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value < 10**7 else None
