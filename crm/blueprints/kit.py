"""One way for all admin pages: lists whose state is their address, forms that lose nothing.

A list view reads `list_query(...)`, asks its service for a page and answers `show_list(...)`. A
form needs two views: GET answers `show_form(...)`, POST `save_form(...)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from flask import flash, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from crm.blueprints.bulk import COUNTED
from crm.blueprints.htmx import go_to, with_address
from crm.db import atomic, retrying
from crm.errors import Conflict, Invalid
from crm.extensions import htmx
from crm.forms.kit import AdminForm, SecretField
from crm.services import audit
from crm.services.kit import ListQuery, Page, WrongField, fields_changed, version_of

LONGEST_SEARCH = 100
Load = Callable[[], Any]


def list_query(*, filters: Mapping[str, Sequence[str]], sorts: Sequence[str]) -> ListQuery:
    """The list that this address asks for; what it does not know is left out, not refused."""
    sort = request.args.get("sort", "")
    name = sort.removeprefix("-")
    chosen = {name: request.args.get(name, "") for name in filters}
    page = request.args.get("page", "1")
    return ListQuery(
        text=" ".join(request.args.get("q", "").replace("\x00", "").split())[:LONGEST_SEARCH],
        filters={name: value for name, value in chosen.items() if value in filters[name]},
        sort=name if name in sorts else "",
        descending=sort.startswith("-"),
        page=int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
    )


def list_address(query: ListQuery, **changes: Any) -> str:
    """The address of this list with some of it changed; empty parts are left out."""
    sort = f"-{query.sort}" if query.sort and query.descending else query.sort
    parts = {"q": query.text, **query.filters, "sort": sort, "page": query.page, **changes}
    parts = {name: value for name, value in parts.items() if value not in ("", None, 1)}
    return f"{request.path}?{urlencode(parts)}" if parts else request.path


def show_list(
    template: str, /, *, query: ListQuery, page: Page, **values: Any
) -> ResponseReturnValue:
    """The whole page, or for a search or filter only its table, under the list's own address."""
    values |= {"query": query, "page": page, "list_address": list_address, "area": "settings"}
    values["counted"] = COUNTED.get(request.blueprint or "")
    if htmx:
        return with_address(
            render_template(template, frame="settings/_part.html", **values), list_address(query)
        )
    return render_template(template, frame="settings/_page.html", **values)


@dataclass
class Clash:
    """Somebody saved while this form was open. `fields`: the ones that both have changed."""

    taken_over: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)


class Stale(Invalid):
    """The row is not what the form was opened on."""

    def __init__(self, theirs: Mapping[str, Any]) -> None:
        super().__init__("Somebody has saved this in the meantime.")
        self.theirs = theirs


def show_form(
    template: str, form: AdminForm, /, *, state: Mapping[str, Any] | None = None, **values: Any
) -> ResponseReturnValue:
    """A form as it stands; `state` is what the row holds, for the version."""
    form.version.data = version_of(state) if state is not None else ""
    return render_template(
        template, form=form, clash=None, frame="settings/_page.html", area="settings", **values
    )


def save_form(
    template: str,
    form: AdminForm,
    /,
    *,
    kind: str,
    write: Callable[[Any, dict[str, Any]], Any],
    state_of: Callable[[Any], dict[str, Any]],
    address: Callable[[Any], str],
    load: Load | None = None,
    **values: Any,
) -> ResponseReturnValue:
    """Validate, then load (with a lock), compare with the version, write, audit: one transaction.

    `kind` is the word of the area, as in its permissions and the audit trail. `write(row, values)`
    returns the row; without `load` it makes a new one and `row` is None. Wrong input and a clash
    come back as the form itself, with everything that was typed, under 422 and 409.
    """
    clash: Clash | None = None
    status = 422
    if form.validate_on_submit():

        def unit() -> Any:
            with atomic():
                if load:
                    row = load()
                    theirs = dict(state_of(row))
                    if fields_changed(form.version.data or "", theirs):
                        raise Stale(theirs)
                    row = write(row, form.values())
                    audit.record(f"{kind}.update", row, before=theirs, after=state_of(row))
                    return row
                row = write(None, form.values())
                audit.record(f"{kind}.create", row, after=state_of(row))
                return row

        try:
            row = retrying(unit)
        except WrongField as error:
            mark_wrong(form, error)
        except Stale as stale:
            clash, status = _merge(form, stale.theirs), 409
        else:
            flash(_("Saved."))
            return go_to(address(row))
    return _form_again(template, form, clash=clash, **values), status


def _form_again(template: str, form: AdminForm, /, *, clash: Clash | None, **values: Any) -> str:
    return render_template(
        template,
        form=form,
        clash=clash,
        frame="settings/_part.html" if htmx else "settings/_page.html",
        area="settings",
        **values,
    )


def mark_wrong(form: AdminForm, error: WrongField) -> None:
    wrong = form[error.field_name]
    wrong.errors = [*wrong.errors, _(error.message, **error.values)]


def _merge(form: AdminForm, theirs: Mapping[str, Any]) -> Clash:
    """Take over what only the other person changed, keep what was typed, name what both changed.

    The next save of this form is meant to be the last word, so it gets the new version.
    """
    mine = form.values()
    opened = form.version.data or ""
    changed_there = fields_changed(opened, theirs)
    kept = {n for n in mine if isinstance(form[n], SecretField) and form[n].data is None}
    changed_here = fields_changed(opened, mine) - kept
    clash = Clash()
    for name in changed_there:
        if name not in form:
            continue
        if name in changed_here and mine[name] != theirs[name]:
            clash.fields.append(str(form[name].label.text))
        elif name not in changed_here:
            form[name].process(None, theirs[name])
            form[name].raw_data = None
            clash.taken_over.append(str(form[name].label.text))
    form.version.data = version_of(theirs)
    form.version.raw_data = None
    return clash


def delete_row(
    *,
    kind: str,
    load: Load,
    state_of: Callable[[Any], dict[str, Any]],
    name_of: Callable[[Any], str],
    delete: Callable[[Any], None],
    address: str,
    back: str,
) -> ResponseReturnValue:
    """Delete what the person has confirmed by typing its name; to the list.

    What stands against it is said on the thing's own page (`back`), where it can be mended.
    """

    def unit() -> None:
        with atomic():
            row = load()
            ask_by_name(name_of(row))
            before = state_of(row)
            thing = (row.__tablename__, row.id)
            delete(row)
            audit.record(f"{kind}.delete", thing, before=before, after={})

    try:
        retrying(unit)
    except Conflict as error:
        flash(_(error.message, **error.values), "error")
        return go_to(back)
    flash(_("Deleted."))
    return go_to(address)


def ask_by_name(name: str) -> None:
    """A deed that cannot be undone is confirmed by typing the thing's name."""
    typed = " ".join(request.form.get("confirm_name", "").split())
    if typed.casefold() != " ".join(name.split()).casefold():
        raise Invalid("The name you typed is not the one of what you want to delete.")
