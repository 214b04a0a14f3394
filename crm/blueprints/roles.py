"""Roles in the settings: the matrix of roles and permissions, and each role's own form."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm.blueprints.areas import Area
from crm.blueprints.permission_words import as_stored, role_help, role_word
from crm.db import atomic, retrying
from crm.errors import Conflict
from crm.forms.users import RoleForm
from crm.models import Role
from crm.permissions import PERMISSIONS, current_scope, requires
from crm.services import roles, users
from crm.services.kit import find_last_changes, version_of

blueprint = Blueprint("roles", __name__, url_prefix="/settings/roles")

MODULES = {
    "chats": _l("Chats"), "messages": _l("Messages"), "notes": _l("Notes"),
    "clients": _l("Customers"), "tags": _l("Tags"), "tasks": _l("Tasks"), "files": _l("Files"),
    "quick_replies": _l("Quick replies"), "templates": _l("Templates"),
    "campaigns": _l("Campaigns"), "numbers": _l("Numbers"), "queues": _l("Queues"),
    "rules": _l("Routing rules"), "bots": _l("Bots"), "agents": _l("Agents"),
    "board": _l("Board"), "reports": _l("Reports"), "quality": _l("Quality"),
    "users": _l("People"), "roles": _l("Roles and permissions"), "sessions": _l("Sessions"),
    "audit": _l("Audit"), "webhooks": _l("Received events"), "backups": _l("Backups"),
    "alarms": _l("Alarms"),
    "settings": _l("Settings"),
}  # fmt: skip


class Roles(Area[Role]):
    kind, thing, form = "roles", "role", RoleForm
    deeds = {}
    state_of = staticmethod(roles.state_of)

    def load(self, row_id: int, *, lock: bool = False) -> Role:
        return roles.load_role(row_id, lock=lock)

    def name_of(self, row: Role) -> str:
        return row.display_name

    def make(self, values: dict[str, Any]) -> Role:
        return roles.create_role(current_scope(), **values)

    def change(self, row: Role, values: dict[str, Any]) -> Role:
        return roles.update_role(current_scope(), row, **as_stored(row, values))

    def prepared(self, form: RoleForm, row: Role | None) -> RoleForm:
        """A role of the product speaks the reader's language until somebody renames it."""
        if row and not form.is_submitted():
            form.display_name.data, form.description.data = role_word(row), role_help(row)
        return form

    def remove(self, row: Role) -> None:
        roles.delete_role(current_scope(), row)

    def address(self, row: Role) -> str:
        return url_for("roles.index")

    def may_change(self, row: Role) -> bool:
        return roles.may_edit(current_scope(), row)

    def may_remove(self, row: Role) -> bool:
        return self.may_change(row) and not row.is_system


Roles().serve(blueprint)


@blueprint.app_template_filter("module_word")
def module_word(module: str) -> str:
    return str(MODULES.get(module, module))


@blueprint.get("")
@requires("roles.read")
def index() -> ResponseReturnValue:
    scope = current_scope()
    listed = roles.list_roles()
    held = roles.holdings()
    changes = find_last_changes("roles", [role.id for role, _people in listed])
    return render_template(
        "roles/matrix.html",
        frame="settings/_page.html",
        area="settings",
        listed=listed,
        permissions=roles.list_permissions(),
        held={role.id: held.get(role.id, frozenset()) for role, _people in listed},
        versions={role.id: version(held.get(role.id, frozenset())) for role, _people in listed},
        editable={
            role.id
            for role, _people in listed
            if scope.can("roles.update") and roles.may_edit(scope, role)
        },
        mine=scope.permissions,
        change=max(changes.values(), key=lambda change: change.at, default=None),
    )


@blueprint.post("")
@requires("roles.update")
def save_matrix() -> ResponseReturnValue:
    """Only the roles whose version is sent are touched, and only if nobody else was faster."""
    scope = current_scope()

    def unit() -> None:
        with atomic():
            for role, _people in roles.list_roles():
                seen = request.form.get(f"version-{role.id}")
                if seen is None or not roles.may_edit(scope, role):
                    continue
                locked = roles.load_role(role.id, lock=True)
                have = users.permissions_of(locked.id)
                if seen != version(have):
                    raise Conflict
                sent = frozenset(request.form.getlist(f"role-{role.id}")) & set(PERMISSIONS)
                # A switched-off box is not sent: what this person lacks stays as it is.
                wanted = (sent & scope.permissions) | (have - scope.permissions)
                roles.set_permissions(scope, locked, wanted)

    retrying(unit)
    flash(_("Saved."))
    return redirect(url_for("roles.index"))


def version(names: frozenset[str]) -> str:
    return version_of({"held": sorted(names)})
