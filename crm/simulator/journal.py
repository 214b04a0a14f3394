"""The simulator's files: a journal that rebuilds its memory, and ledgers that judge the product.

Every change is one JSON line, written before it has an effect. `write` reaches the kernel at once,
so kill -9 loses nothing; ledgers are also fsynced, many waiting calls sharing one fsync (a single
fsync per call was the road not taken: it caps a slow disk at a few hundred sends a second).
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event

# Made once: json.dumps with options builds an encoder for every call.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Log:
    """An append-only JSONL file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut_torn_line(path)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.size = os.fstat(self._fd).st_size

    def append(self, row: dict[str, Any]) -> None:
        """Write one line; it survives the death of this process."""
        line = _encode(row).encode("utf-8", "surrogatepass") + b"\n"
        os.write(self._fd, line)
        self.size += len(line)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every line so far, oldest first; a torn last line is left out."""
        with self.path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line.decode("utf-8", "surrogatepass"))

    def replace(self, rows: Iterable[dict[str, Any]]) -> None:
        """Put these rows in place of all, so that a death in between leaves one or the other."""
        spare = self.path.with_suffix(".new")
        spare.unlink(missing_ok=True)
        fresh = Log(spare)
        for row in rows:
            fresh.append(row)
        os.fsync(fresh._fd)
        spare.replace(self.path)
        # The number stays open throughout: another thread may be in the middle of an fsync with it.
        os.dup2(fresh._fd, self._fd, inheritable=False)
        fresh.close()
        self.size = fresh.size

    def close(self) -> None:
        os.close(self._fd)


class Ledger(Log):
    """A log whose lines are on the disk, not only in the kernel, when `settle` returns."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._next = Event()
        self._wanted = Event()
        gevent.spawn(self._sync_forever)

    def settle(self) -> None:
        """Wait until everything appended before this call is fsynced."""
        mine = self._next
        self._wanted.set()
        mine.wait()

    def soon(self) -> None:
        """Have it fsynced in the background."""
        self._wanted.set()

    def _sync_forever(self) -> None:
        pool = gevent.get_hub().threadpool
        while True:
            self._wanted.wait()
            self._wanted.clear()
            # Lines appended from here on wait for the next round: their write may come too late.
            done, self._next = self._next, Event()
            try:
                pool.apply(os.fsync, (self._fd,))
            except OSError as error:
                # A judge that cannot write must not go on answering; a supervisor starts it anew.
                print(f"simulator: {self.path}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
            done.set()


def _cut_torn_line(path: Path) -> None:
    """Remove a half-written last line, which the death of the machine may leave."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        while size:
            start = max(0, size - 65536)
            file.seek(start)
            block = file.read(size - start)
            found = block.rfind(b"\n")
            if found >= 0:
                file.truncate(start + found + 1)
                return
            size = start
        file.truncate(0)
