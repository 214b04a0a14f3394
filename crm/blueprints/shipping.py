"""Static files as they leave the house: without the comments of our own, and compressed once.

Made at the start into a folder of this version, so that an update that is laid over a running
process changes nothing under its feet. The road not taken is a bundler: it would ask everybody who
installs this for Node, to save what dropping comments already saves.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import tempfile
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

# Whole lines only: what stands behind code stays, and no text inside a string begins a line so.
_JS_COMMENT = re.compile(r"^[ \t]*(?://.*|/\*[\s\S]*?\*/[ \t]*)$\n?", re.MULTILINE)
_CSS_COMMENT = re.compile(r"/\*[\s\S]*?\*/")
_INDENT = re.compile(r"^[ \t]+|\n(?=\s*\n)", re.MULTILINE)
COMPRESSED = {".js", ".css", ".svg", ".txt", ".json", ".webmanifest"}
LEAST_BYTES = 200


def ship(source: Path, *, into: Path, version: str) -> Path:
    """The folder to serve: `into/<version>`, or `source` itself where nothing may be written."""
    target = into / version
    if target.is_dir():
        return target
    try:
        into.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=into))
        for path in sorted(source.rglob("*")):
            if path.is_file() and path.suffix not in {".gz", ".br"}:
                _ship_file(path, draft / path.relative_to(source))
        draft.chmod(0o755)
        try:
            os.rename(draft, target)
        except OSError:
            # Another process of the same start was faster; its folder holds the same.
            shutil.rmtree(draft, ignore_errors=True)
        return target if target.is_dir() else source
    except OSError as error:
        log.warning("static_files_not_prepared", folder=str(into), error=str(error))
        return source


def _ship_file(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    content = path.read_bytes()
    if "vendor" not in path.parts and path.suffix in {".js", ".css"}:
        content = lighten(content.decode("utf-8"), path.suffix).encode("utf-8")
    target.write_bytes(content)
    if path.suffix in COMPRESSED and len(content) > LEAST_BYTES:
        packed = gzip.compress(content, 9, mtime=0)
        target.with_name(f"{target.name}.gz").write_bytes(packed)


def lighten(text: str, suffix: str) -> str:
    """The same code without comments that fill their lines, and without indentation."""
    text = (_CSS_COMMENT if suffix == ".css" else _JS_COMMENT).sub("", text)
    return _INDENT.sub("", text).strip() + "\n"
