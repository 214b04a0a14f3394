"""Holds rows and bytes against each other: every row has its bytes, no bytes are nobody's."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice

from sqlalchemy import or_, select

from crm.db import db
from crm.extensions import file_store
from crm.lib.clock import utcnow
from crm.lib.file_store import Missing
from crm.models import File

# Younger bytes may belong to a row that is just being written.
SETTLED = timedelta(hours=1)
KEYS_AT_ONCE = 500


@dataclass
class Comparison:
    """`lost`: ids of files whose bytes are gone, or are not as many as they were. `nobodys`: keys
    that no row names."""

    files: int = 0
    lost: list[int] = field(default_factory=list)
    nobodys: list[str] = field(default_factory=list)


def compare_store() -> Comparison:
    """Look at every row and every key. Reads only; StoreError where the store does not answer."""
    found = Comparison()
    alive = select(File).where(File.deleted_at.is_(None)).execution_options(yield_per=500)
    for file in db.session.scalars(alive):
        found.files += 1
        try:
            if file_store.store.size(file.file_path) != file.size_bytes:
                found.lost.append(file.id)
        except Missing:
            found.lost.append(file.id)
    keys = iter(file_store.store.keys())
    while some := list(islice(keys, KEYS_AT_ONCE)):
        found.nobodys += sorted(set(some) - _known(some))
    return found


def remove_nobodys(found: Comparison) -> int:
    """Remove the bytes that no row names; how many that were."""
    for key in found.nobodys:
        file_store.store.delete(key)
    return len(found.nobodys)


def _known(keys: list[str]) -> set[str]:
    """Those that a row names, and those of a row that may be written this very moment."""
    columns = (File.file_path, File.thumbnail_path, File.playable_path)
    rows = db.session.execute(select(*columns).where(or_(*(c.in_(keys) for c in columns))))
    named = {key for row in rows for key in row if key}
    months = {f"{utcnow() - SETTLED:%Y/%m}", f"{utcnow():%Y/%m}"}
    young = {key for key in keys if key[:7] in months and _is_young(key)}
    return named | young


def _is_young(key: str) -> bool:
    return file_store.store.age(key) < SETTLED.total_seconds()
