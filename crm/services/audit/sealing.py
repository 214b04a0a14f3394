"""The seal: rows joined to a chain, so that a change by someone with the database shows.

`seal = HMAC(key, seal before | position | row)`, set each minute for what is new. Not at the
insert: a lock for each row would cost most of the writing speed. The chain alone cannot tell that
its tail was cut off; for that its head is written outside the database, by `append_head`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, inspect, select, text, update

from crm.db import db
from crm.lib.clock import utcnow
from crm.models import AuditLog

AT_ONCE = 500
START = "0" * 64
SEAL_COLUMNS = {"seal", "sealed_at", "position"}
# Any constant: whoever seals holds it until the commit.
SEALING_LOCK = 727_001


@dataclass(frozen=True)
class Head:
    """The last link of the chain at a moment."""

    position: int
    seal: str
    at: str


@dataclass(frozen=True)
class Verdict:
    """What `verify_chain` found: rows looked at, rows to be sealed yet, what does not fit."""

    checked: int
    unsealed: int
    problems: tuple[str, ...]

    @property
    def intact(self) -> bool:
        return not self.problems


def seal_rows(key: bytes) -> int:
    """Seal the oldest unsealed rows, at most AT_ONCE; how many. Two who seal take turns.

    A row whose transaction commits later than a younger one's simply gets the next position.
    """
    db.session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": SEALING_LOCK})
    rows = db.session.scalars(
        select(AuditLog).where(AuditLog.seal.is_(None)).order_by(AuditLog.id).limit(AT_ONCE)
    ).all()
    if not rows:
        return 0
    position, seal = _last()
    sealed = []
    for row in rows:
        position += 1
        seal = _seal(key, seal, position, row)
        sealed.append({"id": row.id, "position": position, "seal": seal, "sealed_at": utcnow()})
    db.session.execute(update(AuditLog), sealed)
    return len(sealed)


def find_head() -> Head | None:
    position, seal = _last()
    return Head(position, seal, utcnow().isoformat()) if position else None


def verify_chain(key: bytes, heads: Sequence[Head]) -> Verdict:
    """Compute every seal anew and hold the chain against the heads kept outside."""
    wanted = {head.position: head for head in heads}
    problems: list[str] = []
    seal, expected = START, 0
    for row in _sealed_rows():
        expected += 1
        if row.position != expected:
            problems.append(f"position {expected} is missing (the next is {row.position})")
            break
        seal = _seal(key, seal, expected, row)
        if not hmac.compare_digest(seal, row.seal or ""):
            problems.append(f"position {expected} (id {row.id}) or one before it was changed")
            break
        head = wanted.pop(expected, None)
        if head is not None and head.seal != seal:
            problems.append(f"position {expected} is not what was noted on {head.at}")
            break
    else:
        problems += [
            f"position {head.position}, noted on {head.at}, is gone: the end was cut off"
            for head in sorted(wanted.values(), key=lambda head: head.position)[:1]
        ]
    unsealed = db.session.scalar(select(func.count()).where(AuditLog.seal.is_(None))) or 0
    return Verdict(expected, unsealed, tuple(problems))


def append_head(path: Path, head: Head) -> bool:
    """Note the head in a file of JSON lines: one line a day, the newest moves along.

    Written whole beside it and renamed, so that a crash leaves the old or the new one. False where
    the file says the same already.
    """
    heads = read_heads(path)
    if heads and (heads[-1].position, heads[-1].seal) == (head.position, head.seal):
        return False
    if heads and heads[-1].at[:10] == head.at[:10] and heads[-1].position <= head.position:
        heads.pop()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    with draft.open("w", encoding="utf-8") as file:
        for one in (*heads, head):
            file.write(json.dumps(asdict(one)) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return True


def read_heads(path: Path) -> list[Head]:
    """The noted heads, oldest first; empty where nothing was noted yet."""
    if not path.exists():
        return []
    lines = path.read_text("utf-8").splitlines()
    return [Head(**json.loads(line)) for line in lines if line.strip()]


def heads_path(data_dir: Path) -> Path:
    return data_dir / "audit" / "heads.jsonl"


def _last() -> tuple[int, str]:
    row = db.session.execute(
        select(AuditLog.position, AuditLog.seal)
        .where(AuditLog.position.is_not(None))
        .order_by(AuditLog.position.desc())
        .limit(1)
    ).one_or_none()
    return (row.position, row.seal) if row else (0, START)


def _sealed_rows() -> Iterator[AuditLog]:
    """In order of position, some hundred in memory at a time; each is read from the table."""
    after = 0
    while True:
        rows = db.session.scalars(
            select(AuditLog)
            .where(AuditLog.position > after)
            .order_by(AuditLog.position)
            .limit(AT_ONCE)
            .execution_options(populate_existing=True)
        ).all()
        if not rows:
            return
        yield from rows
        after = rows[-1].position or 0
        db.session.expunge_all()


def _seal(key: bytes, before: str, position: int, row: AuditLog) -> str:
    columns = inspect(AuditLog).columns.keys()
    values = {
        name: _plain(getattr(row, name)) for name in sorted(columns) if name not in SEAL_COLUMNS
    }
    body = json.dumps(values, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hmac.new(key, f"{before}|{position}|{body}".encode(), hashlib.sha256).hexdigest()


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
