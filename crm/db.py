"""The database: one session, one transaction per unit of work, and what happens after it commits.

Only doors (blueprints, jobs, the socket, commands) open `atomic()`. Services work inside it and
register what must wait for the commit with `on_commit`.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import DateTime, MetaData, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase

log = structlog.get_logger(__name__)
T = TypeVar("T")

MIGRATIONS = Path(__file__).parent.parent / "migrations"
# Postgres: serialization_failure and deadlock_detected. Both ask for the whole unit again.
RETRYABLE_SQLSTATES = {"40001", "40P01"}


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "idx_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


# Objects stay readable after the commit: the door renders them, and its session ends right after.
db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})

# The base of every model. mypy knows no base class that is an object's attribute, and to it the two
# are the same.
if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model

# Every moment is an aware UTC timestamp.
Timestamp = DateTime(timezone=True)


@contextmanager
def atomic() -> Iterator[None]:
    """One transaction: commit at the end, then the `on_commit` callbacks; any error rolls back.

    Nesting is refused: a service that opens a transaction of its own would commit half of its
    caller's work.
    """
    session = db.session()
    if session.info.get("atomic"):
        raise RuntimeError("atomic() inside atomic(): only doors open a transaction")
    # A read before us (the user loader) may have begun the transaction already; we join it.
    session.info["atomic"] = True
    session.info["on_commit"] = []
    try:
        yield
        session.commit()
    except BaseException:
        session.rollback()
        session.info["on_commit"] = []
        raise
    finally:
        session.info["atomic"] = False
        callbacks = session.info.pop("on_commit", [])
    _run_all_after_commit(callbacks)


@contextmanager
def savepoint() -> Iterator[None]:
    """A part of the transaction that may fail alone: its rows and its callbacks are undone."""
    callbacks = db.session().info["on_commit"]
    mark = len(callbacks)
    try:
        with db.session.begin_nested():
            yield
    except BaseException:
        del callbacks[mark:]
        raise


def on_commit(callback: Callable[[], Any]) -> None:
    """Run `callback` once the current transaction is committed; never if it is not."""
    info = db.session().info
    if not info.get("atomic"):
        raise RuntimeError("on_commit() outside atomic(): open the transaction at the door")
    info["on_commit"].append(callback)


def on_commit_together(callback: Callable[[list[Any]], Any], item: Any) -> None:
    """Like `on_commit`, for what is cheaper done once: at the commit `callback` is called with the
    items of all calls that named it, in their order."""
    on_commit(_Item(callback, item))


class _Item:
    """One item of many for a callback; an item of its own, so that a savepoint can undo it."""

    def __init__(self, callback: Callable[[list[Any]], Any], item: Any) -> None:
        self.callback = callback
        self.item = item

    def __call__(self) -> None:
        self.callback([self.item])


def postpone_callbacks() -> Callable[[], None]:
    """Inside `atomic()`, at its end: what was to run at the commit, to be run later by the door.

    For a door that answers somebody first. Call it only when the commit has succeeded.
    """
    info = db.session().info
    callbacks, info["on_commit"] = info["on_commit"], []

    def run() -> None:
        _run_all_after_commit(callbacks)

    return run


def _run_all_after_commit(callbacks: list[Callable[[], Any]]) -> None:
    """Items for one callback are gathered at the place of the first."""
    gathered: dict[Callable[[list[Any]], Any], list[Any]] = {}
    order: list[Callable[[], Any]] = []
    for callback in callbacks:
        if not isinstance(callback, _Item):
            order.append(callback)
        elif callback.callback in gathered:
            gathered[callback.callback].append(callback.item)
        else:
            items = gathered[callback.callback] = [callback.item]
            order.append(functools.partial(callback.callback, items))
    for each in order:
        _run_after_commit(each)


def _run_after_commit(callback: Callable[[], Any]) -> None:
    """The work is committed: a ring or an event that fails must not look like a failed request."""
    try:
        callback()
    except Exception:
        log.exception("after_commit_failed", callback=getattr(callback, "__qualname__", "?"))


def retrying(unit: Callable[[], T], *, attempts: int = 3) -> T:
    """Run a whole unit (with its own `atomic()`) again after a deadlock or serialization error."""
    for attempt in range(1, attempts + 1):
        try:
            return unit()
        except DBAPIError as error:
            sqlstate = getattr(error.orig, "pgcode", None)
            if sqlstate not in RETRYABLE_SQLSTATES or attempt == attempts:
                raise
            log.info("unit_retried", sqlstate=sqlstate, attempt=attempt)
            time.sleep(0.02 * attempt)
    raise AssertionError("unreachable")


def database_now() -> Any:
    """Postgres' clock: leases, windows and due times are decided by it, not by this machine's."""
    return db.session.execute(text("SELECT clock_timestamp()")).scalar_one()
