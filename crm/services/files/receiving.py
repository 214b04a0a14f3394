"""Bytes on their way in: streamed to a folder of their own, counted as they come."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from crm.errors import DomainError, Invalid, Unavailable
from crm.lib.file_store import StoreError

CHUNK = 256 * 1024
# A folder that is older belongs to a process that was killed.
ABANDONED_SECONDS = 3600


class FileTooLarge(DomainError):
    http_status = 413
    code = "file_too_large"
    message = "This file is too big: %(limit)s MB is the most."


class StoreUnavailable(Unavailable):
    code = "store_unavailable"
    message = "Files cannot be kept right now. Text messages work; try the file again later."


class StoreFull(StoreUnavailable):
    http_status = 507
    code = "store_full"
    message = "There is no room left for files. Text messages work; tell an administrator."


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def refusal(error: StoreError) -> StoreUnavailable:
    """What a person reads when the store does not take or give a file."""
    return StoreFull() if error.is_full else StoreUnavailable()


@contextmanager
def spool(data_dir: Path) -> Iterator[Path]:
    """A folder for one file's work, gone afterwards. StoreFull if there is no room for it."""
    parent = data_dir / "spool"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=parent))
    except OSError as error:
        raise StoreFull() from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_spool(data_dir: Path) -> int:
    """Remove what killed processes left behind; how many folders that were."""
    before = time.time() - ABANDONED_SECONDS
    left = [path for path in (data_dir / "spool").glob("*") if path.stat().st_mtime < before]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return len(left)


def receive(stream: Readable, folder: Path, *, most: int) -> Path:
    """Write a request's body to a file. Raises FileTooLarge, StoreFull, Invalid if it is empty."""
    target = folder / "given"
    length = 0
    try:
        with open(target, "wb") as out:
            while piece := stream.read(CHUNK):
                length += len(piece)
                if length > most:
                    raise FileTooLarge(limit=most // (1024 * 1024))
                out.write(piece)
    except OSError as error:
        if error.errno is None:  # the browser went away: a read error, not one of the disk
            raise
        raise StoreFull() from error
    if not length:
        raise Invalid("This file is empty.")
    return target
