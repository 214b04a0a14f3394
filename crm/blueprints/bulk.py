"""One deed on many rows of an admin list, and taking it back.

A list offers `Deed`s; the rows that are ticked are posted with one of them. Each row is written by
the area's own service, so that what holds for one holds for many. The answer brings an Undo, which
finds in the audit trail what the rows were, and spares those that were changed since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import current_app, flash, redirect, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from itsdangerous import BadSignature, URLSafeTimedSerializer

from crm.db import atomic, db, retrying
from crm.errors import Conflict, DomainError, Forbidden, Invalid, NotFound
from crm.lib.text import clean
from crm.models import AuditLog
from crm.permissions import current_scope

MOST = 100
LONGEST_ANSWER = 500
UNDO_SECONDS = 3600
UNDO = "undo"  # the flash category, and the name of the button that brings the token


@dataclass(frozen=True)
class Deed:
    """What a button over the list does: each ticked row takes over `changes`.

    `asks` names one more field that the person writes with it: why somebody is suspended.
    """

    words: Any
    changes: Mapping[str, Any]
    asks: str | None = None


# What an area calls so many of its rows. `count` may be what a script fills in: "{n}".
COUNTED: dict[str, Callable[..., str]] = {
    "campaigns": lambda n, count: ngettext(
        "%(count)s campaign", "%(count)s campaigns", n, count=count
    ),
    "numbers": lambda n, count: ngettext("%(count)s number", "%(count)s numbers", n, count=count),
    "queues": lambda n, count: ngettext("%(count)s queue", "%(count)s queues", n, count=count),
    "quick_replies": lambda n, count: ngettext(
        "%(count)s quick reply", "%(count)s quick replies", n, count=count
    ),
    "rules": lambda n, count: ngettext("%(count)s rule", "%(count)s rules", n, count=count),
    "tags": lambda n, count: ngettext("%(count)s tag", "%(count)s tags", n, count=count),
    "templates": lambda n, count: ngettext(
        "%(count)s template", "%(count)s templates", n, count=count
    ),
    "users": lambda n, count: ngettext("%(count)s person", "%(count)s people", n, count=count),
}

SWITCHES = {
    "on": Deed(_l("Switch on"), {"is_active": True}),
    "off": Deed(_l("Switch off"), {"is_active": False}),
}


@dataclass(frozen=True)
class Rows:
    """How an area loads (locked), describes, names and changes one row of its.

    `put(row, state, meta)` brings the row to `state` and returns its row of the trail, None where
    nothing was to be done. `prepare(ids)` may take locks that come before the rows'.
    """

    kind: str
    load: Callable[[int], Any]
    state_of: Callable[[Any], dict[str, Any]]
    name_of: Callable[[Any], str]
    put: Callable[[Any, dict[str, Any], dict[str, Any]], AuditLog | None]
    prepare: Callable[[list[int]], object] = list


def change_many(rows: Rows, deeds: Mapping[str, Deed], *, address: str) -> ResponseReturnValue:
    """Do it, or take it back; then the list again, as it was searched and filtered.

    A row that is not this person's, or not there, refuses all (404). One that cannot be changed so
    stays and is named with the reason; the others are changed.
    """
    if token := request.form.get(UNDO):
        _undo(rows, read_token(rows.kind, token))
    else:
        deed = deeds.get(request.form.get("do", ""))
        if deed is None:
            raise Invalid("Choose one of the options.")
        _do(rows, _wanted(deed))
    back = request.form.get("back", "")
    return redirect(back if back == address or back.startswith(_below(address)) else address)


def _below(address: str) -> tuple[str, str]:
    return f"{address}?", f"{address}/"


def _wanted(deed: Deed) -> dict[str, Any]:
    if deed.asks is None:
        return dict(deed.changes)
    written = " ".join(clean(request.form.get(deed.asks, "")).split())[:LONGEST_ANSWER]
    if not written:
        raise Invalid("Write the reason.")
    return {**deed.changes, deed.asks: written}


def _do(rows: Rows, wanted: dict[str, Any]) -> None:
    ids = _ids(request.form.getlist("ids"))
    trail: list[int] = []
    refused: list[str] = []

    def unit() -> None:
        trail.clear()
        refused.clear()
        with atomic():
            rows.prepare(ids)
            for row in map(rows.load, ids):
                state = rows.state_of(row)
                if all(state[name] == value for name, value in wanted.items()):
                    continue
                try:
                    with db.session.begin_nested():
                        entry = rows.put(row, {**state, **wanted}, {"bulk": len(ids)})
                        db.session.flush()
                    if entry is not None:
                        trail.append(entry.id)
                except (Forbidden, NotFound):
                    raise
                except DomainError as error:
                    refused.append(f"{rows.name_of(row)}: {_(error.message, **error.values)}")

    retrying(unit)
    text = _("Changed: %(things)s.", things=COUNTED[rows.kind](len(trail), len(trail)))
    if trail:
        token = signer(rows.kind).dumps(trail)
        flash({"text": text, "token": token, "address": request.path}, UNDO)  # type: ignore[arg-type]
    elif not refused:
        flash(_("They were so already."))
    for sentence in refused[:5]:
        flash(sentence, "error")


def _undo(rows: Rows, trail: list[int]) -> None:
    """Put back what is still as the deed left it: before and after stand in the trail."""
    spared = 0

    def unit() -> None:
        nonlocal spared
        spared = 0
        with atomic():
            entries = sorted(
                (db.session.get_one(AuditLog, entry_id) for entry_id in trail),
                key=lambda entry: entry.entity_id or 0,
            )
            rows.prepare([entry.entity_id or 0 for entry in entries])
            for entry in entries:
                try:
                    _put_back(rows, entry)
                except (Forbidden, DomainError):
                    spared += 1

    retrying(unit)
    flash(_("Taken back."))
    if spared:
        words = ngettext(
            "%(num)d was changed by somebody in the meantime and stays.",
            "%(num)d were changed by somebody in the meantime and stay.",
            spared,
        )
        flash(words, "error")


def _put_back(rows: Rows, entry: AuditLog) -> None:
    row = rows.load(entry.entity_id or 0)
    state, changes = rows.state_of(row), entry.changes or {}
    if any(state[name] != change["after"] for name, change in changes.items()):
        raise Conflict
    with db.session.begin_nested():
        was = {name: change["before"] for name, change in changes.items()}
        rows.put(row, {**state, **was}, {"undo": True})


def _ids(written: list[str]) -> list[int]:
    """In one order, so that two people at once wait for each other instead of locking crosswise."""
    if not written:
        raise Invalid("Choose something in the list first.")
    if len(written) > MOST or not all(w.isascii() and w.isdigit() and len(w) < 10 for w in written):
        raise Invalid("That cannot be done.")
    return sorted(set(map(int, written)))


def signer(kind: str) -> URLSafeTimedSerializer:
    """What an Undo carries counts for this person and this kind of rows alone."""
    salt = f"undo {kind} {current_scope().user_id}"
    return URLSafeTimedSerializer(current_app.secret_key or "", salt=salt)


def read_token(kind: str, token: str) -> Any:
    """What `signer(kind)` wrote, for an hour; Conflict after it, or for what it did not write."""
    try:
        return signer(kind).loads(token, max_age=UNDO_SECONDS)
    except BadSignature:
        raise Conflict("It is too late to take this back.") from None
