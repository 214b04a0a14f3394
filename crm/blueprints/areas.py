"""The one shape of an area of the settings: a form for new and old rows, deleting, changing many.

    class Tags(Area[Tag]):
        kind, thing, form = "tags", "tag", TagForm
        ...what is its own: how a row is loaded, described, named and written

    Tags().serve(blueprint)

gives the blueprint `new`, `create`, `edit`, `save`, `delete` and `bulk`; the list is the area's
own view (`show_list`). What an area does in another way it overrides, view by view.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from crm.blueprints.bulk import SWITCHES, Deed, Rows, change_many
from crm.blueprints.kit import delete_row, save_form, show_form
from crm.forms.kit import AdminForm
from crm.permissions import current_scope, requires
from crm.services import audit
from crm.services.kit import find_last_changes

Row = TypeVar("Row", bound=Any)

# Endpoint: its path, its method, and the right that it asks for.
DOORS = {
    "new": ("/new", "GET", "create"),
    "create": ("/new", "POST", "create"),
    "edit": ("/<int:{thing}_id>", "GET", "read"),
    "save": ("/<int:{thing}_id>", "POST", "update"),
    "delete": ("/<int:{thing}_id>/delete", "POST", "delete"),
    "bulk": ("/bulk", "POST", "update"),
}


class Area(Generic[Row]):
    """What the admin pages of one table have in common, and what each says of itself.

    `kind` is its word in the permissions, the trail, the endpoints and the templates' folder;
    `thing` what a template calls one row, and its id in addresses (`tag` -> `<int:tag_id>`).
    `rights` names the permission of an act (read, create, update, delete) where that is not
    `<kind>.<act>`. Without `deeds` nothing is done to many at once.
    """

    kind: ClassVar[str]
    thing: ClassVar[str]
    form: ClassVar[type[AdminForm]]
    rights: ClassVar[Mapping[str, str]] = {}
    deeds: ClassVar[Mapping[str, Deed]] = SWITCHES

    def load(self, row_id: int, *, lock: bool = False) -> Row:
        """The row, if this person may see it; NotFound otherwise."""
        raise NotImplementedError

    def load_to_change(self, row_id: int) -> Row:
        """The same under its lock; Forbidden where they may only look."""
        return self.load(row_id, lock=True)

    def state_of(self, row: Row, /) -> dict[str, Any]:
        """What the form holds, by field."""
        raise NotImplementedError

    def name_of(self, row: Row) -> str:
        """What is typed to delete it."""
        raise NotImplementedError

    def make(self, values: dict[str, Any], /) -> Row:
        raise NotImplementedError

    def change(self, row: Row, values: dict[str, Any], /) -> Row:
        raise NotImplementedError

    def remove(self, row: Row, /) -> None:
        raise NotImplementedError

    def may_change(self, row: Row) -> bool:
        """Of a row that they see and an act that they hold: whether it is theirs to change."""
        return True

    def may_remove(self, row: Row) -> bool:
        return self.may_change(row)

    def prepared(self, form: Any, row: Row | None) -> Any:
        """The form with what this person may choose."""
        return form

    def around(self, row: Row | None) -> dict[str, Any]:
        """What the template shows besides the form, the row and its last change."""
        return {}

    def address(self, row: Row) -> str:
        """Where one goes from a saved form."""
        return self._page_of(row.id)

    def saved(self, row: Row) -> None:
        """What follows a saved form, outside of its transaction."""

    def rows(self) -> Rows:
        """How `deeds` change one of many: by the area's own form service."""
        return Rows(
            kind=self.kind,
            load=self.load_to_change,
            state_of=self.state_of,
            name_of=self.name_of,
            put=self.put,
        )

    def put(self, row: Row, values: dict[str, Any], meta: dict[str, Any]) -> Any:
        before = self.state_of(row)
        self.change(row, values)
        return audit.record(
            f"{self.kind}.update", row, before=before, after=self.state_of(row), meta=meta
        )

    # The views.

    def new(self) -> ResponseReturnValue:
        return show_form(self.template, self.prepared(self.form(), None), **self.context(None))

    def create(self) -> ResponseReturnValue:
        return save_form(
            self.template,
            self.prepared(self.form(), None),
            kind=self.kind,
            state_of=self.state_of,
            write=lambda _row, values: self.make(values),
            address=self._after_saving,
            **self.context(None),
        )

    def edit(self, row_id: int) -> ResponseReturnValue:
        row = self.load(row_id)
        state = self.state_of(row)
        form = self.prepared(self.form(data=state), row)
        return show_form(self.template, form, state=state, **self.context(row))

    def save(self, row_id: int) -> ResponseReturnValue:
        row = self.load(row_id)
        return save_form(
            self.template,
            self.prepared(self.form(data=self.state_of(row)), row),
            kind=self.kind,
            load=lambda: self.load_to_change(row_id),
            state_of=self.state_of,
            write=self.change,
            address=self._after_saving,
            **self.context(row),
        )

    def delete(self, row_id: int) -> ResponseReturnValue:
        return delete_row(
            kind=self.kind,
            load=lambda: self.load_to_change(row_id),
            state_of=self.state_of,
            name_of=self.name_of,
            delete=self.remove,
            address=url_for(f"{self.kind}.index"),
            back=self._page_of(row_id),
        )

    def bulk(self) -> ResponseReturnValue:
        return change_many(self.rows(), self.deeds, address=url_for(f"{self.kind}.index"))

    @property
    def template(self) -> str:
        return f"{self.kind}/form.html"

    def context(self, row: Row | None) -> dict[str, Any]:
        """For `settings/_form.html`: the row, its last change, and what may be done with it."""
        scope, of_row = current_scope(), {f"{self.thing}_id": row.id} if row else {}
        may_delete = row and scope.can(self.right("delete")) and self.may_remove(row)
        return {
            self.thing: row,
            "row": row,
            "row_name": self.name_of(row) if row else None,
            "change": find_last_changes(row.__tablename__, [row.id]).get(row.id) if row else None,
            "home": url_for(f"{self.kind}.index"),
            "action": url_for(f"{self.kind}.{'save' if row else 'create'}", **of_row),
            "may_edit": not row or (scope.can(self.right("update")) and self.may_change(row)),
            "delete_to": url_for(f"{self.kind}.delete", **of_row) if may_delete else None,
            **self.around(row),
        }

    def right(self, act: str) -> str:
        return self.rights.get(act, f"{self.kind}.{act}")

    def serve(self, blueprint: Blueprint) -> None:
        """Give the blueprint its routes, each behind its right."""
        for name, (path, method, act) in DOORS.items():
            if name == "bulk" and not self.deeds:
                continue
            blueprint.add_url_rule(
                path.format(thing=self.thing),
                name,
                requires(self.right(act))(_with_id(getattr(self, name))),
                methods=[method],
            )

    def _page_of(self, row_id: int) -> str:
        of_row: dict[str, Any] = {f"{self.thing}_id": row_id}
        return url_for(f"{self.kind}.edit", **of_row)

    def _after_saving(self, row: Row) -> str:
        self.saved(row)
        return self.address(row)


def _with_id(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """The id has each area's own name in addresses, and none in these views."""

    @functools.wraps(view)
    def with_id(**ids: int) -> ResponseReturnValue:
        return view(*ids.values())

    return with_id
