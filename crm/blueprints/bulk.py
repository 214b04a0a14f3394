"""One deed on many rows of an admin list, and taking it back.

A list offers `Deed`s; the rows that are ticked are posted with one of them. Each row is written by
the area's own form service, so that what holds for one holds for many. The answer brings an Undo,
which carries what the rows were, signed, and spares those that somebody has changed since.
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
from crm.permissions import current_scope
from crm.services import audit

MOST = 100
UNDO_SECONDS = 3600
UNDO = "undo"  # the flash category, and the name of the button that brings the token


@dataclass(frozen=True)
class Deed:
    """What a button over the list does: `field` of each ticked row becomes `value`."""

    words: Any
    field: str
    value: Any


SWITCHES = {
    "on": Deed(_l("Switch on"), "is_active", True),
    "off": Deed(_l("Switch off"), "is_active", False),
}


@dataclass(frozen=True)
class Rows:
    """How an area loads (locked), describes, names and writes one row of its."""

    kind: str
    load: Callable[[int], Any]
    state_of: Callable[[Any], dict[str, Any]]
    write: Callable[[Any, dict[str, Any]], Any]
    name_of: Callable[[Any], str]

    def set(self, row: Any, field: str, value: Any, *, meta: dict[str, Any]) -> None:
        before = self.state_of(row)
        self.write(row, {**before, field: value})
        after = self.state_of(row)
        audit.record(f"{self.kind}.update", row, before=before, after=after, meta=meta)


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
        _do(rows, deed)
    back = request.form.get("back", "")
    return redirect(back if back == address or back.startswith(f"{address}?") else address)


def _do(rows: Rows, deed: Deed) -> None:
    ids = _ids(request.form.getlist("ids"))
    changed: list[tuple[int, Any]] = []
    refused: list[str] = []

    def unit() -> None:
        changed.clear()
        refused.clear()
        with atomic():
            for row in map(rows.load, ids):
                before = rows.state_of(row)[deed.field]
                if before == deed.value:
                    continue
                try:
                    with db.session.begin_nested():
                        rows.set(row, deed.field, deed.value, meta={"bulk": ids})
                    changed.append((row.id, before))
                except (Forbidden, NotFound):
                    raise
                except DomainError as error:
                    refused.append(f"{rows.name_of(row)}: {_(error.message, **error.values)}")

    retrying(unit)
    text = ngettext("%(num)d row changed.", "%(num)d rows changed.", len(changed))
    if changed:
        token = signer(rows.kind).dumps({"field": deed.field, "now": deed.value, "rows": changed})
        flash({"text": text, "token": token, "address": request.path}, UNDO)  # type: ignore[arg-type]
    elif not refused:
        flash(_("They were so already."))
    for sentence in refused[:5]:
        flash(sentence, "error")


def _undo(rows: Rows, done: dict[str, Any]) -> None:
    """Put back what is still as the deed left it."""
    spared = 0

    def unit() -> None:
        nonlocal spared
        spared = 0
        with atomic():
            for row_id, before in sorted(done["rows"]):
                try:
                    row = rows.load(row_id)
                    if rows.state_of(row)[done["field"]] != done["now"]:
                        raise Conflict
                    with db.session.begin_nested():
                        rows.set(row, done["field"], before, meta={"undo": True})
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


def _ids(written: list[str]) -> list[int]:
    """In one order, so that two people at once wait for each other instead of locking crosswise."""
    if not written:
        raise Invalid("Tick the rows first.")
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
