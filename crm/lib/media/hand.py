"""The workshop's other half: one order from stdin, one answer to stdout, under the kernel's limits.

Run as `python -m crm.lib.media.hand` by workshop.py alone.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crm.lib.media.refusals import Refused

MEGABYTE = 1024 * 1024
CPU_SECONDS = 20
MEMORY = 768 * MEGABYTE
LARGEST_OUTPUT = 128 * MEGABYTE


def main() -> None:
    limit()
    order = json.load(sys.stdin)
    try:
        told = TASKS[order.pop("task")](
            Path(order.pop("source")), Path(order.pop("folder")), **order
        )
    except Refused as refused:
        told = {"refused": refused.word}
    except MemoryError:
        told = {"refused": "memory"}
    except Exception as error:
        print(type(error).__name__, file=sys.stderr)
        told = {"refused": "broken"}
    json.dump(told, sys.stdout)


def limit() -> None:
    """Heap and mappings, processor time, output, open files; no core dumps."""
    for kind, most in (
        (resource.RLIMIT_DATA, MEMORY),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, LARGEST_OUTPUT),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


# Each task brings only the library that it needs: loading all of them takes longer than most files.


def look(source: Path, folder: Path, *, mime: str) -> dict[str, Any]:
    if mime == "application/pdf":
        from crm.lib.media import papers

        return papers.look(source, folder)
    if mime.startswith("image/"):
        from crm.lib.media import pictures

        return pictures.look(source, folder)
    from crm.lib.media import sounds

    if mime.startswith("video/"):
        return sounds.look_at_film(source, folder)
    return sounds.look_at_sound(source)


def picture(source: Path, folder: Path, *, mime: str, most: int) -> dict[str, Any]:
    from crm.lib.media import pictures

    return pictures.make(source, folder, most=most)


def portrait(source: Path, folder: Path, *, mime: str, side: int) -> dict[str, Any]:
    from crm.lib.media import pictures

    return pictures.portrait(source, folder, side=side)


def film(source: Path, folder: Path, *, mime: str) -> dict[str, Any]:
    from crm.lib.media import sounds

    return sounds.make_film(source, folder)


def loop(source: Path, folder: Path, *, mime: str) -> dict[str, Any]:
    from crm.lib.media import loops

    return loops.make_loop(source, folder)


def voice(source: Path, folder: Path, *, mime: str) -> dict[str, Any]:
    from crm.lib.media import sounds

    return sounds.make_voice(source, folder)


def playable(source: Path, folder: Path, *, mime: str) -> dict[str, Any]:
    from crm.lib.media import sounds

    return sounds.make_playable(source, folder)


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "look": look,
    "picture": picture,
    "portrait": portrait,
    "film": film,
    "loop": loop,
    "voice": voice,
    "playable": playable,
}

if __name__ == "__main__":
    main()
