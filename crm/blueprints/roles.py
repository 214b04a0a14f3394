"""Roles in the settings: the matrix of roles and permissions, and each role's own form."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm.blueprints.kit import delete_row, save_form, show_form
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


@blueprint.get("/new")
@requires("roles.create")
def new() -> ResponseReturnValue:
    return show_form("roles/form.html", RoleForm(), role=None, change=None, may_edit=True)


@blueprint.post("/new")
@requires("roles.create")
def create() -> ResponseReturnValue:
    scope = current_scope()
    return save_form(
        "roles/form.html",
        RoleForm(),
        kind="roles",
        state_of=roles.state_of,
        write=lambda _row, values: roles.create_role(scope, **values),
        address=lambda role: url_for("roles.index"),
        role=None,
        change=None,
        may_edit=True,
    )


@blueprint.get("/<int:role_id>")
@requires("roles.read")
def edit(role_id: int) -> ResponseReturnValue:
    role = roles.load_role(role_id)
    state = roles.state_of(role)
    return show_form("roles/form.html", RoleForm(data=state), state=state, **around(role))


@blueprint.post("/<int:role_id>")
@requires("roles.update")
def save(role_id: int) -> ResponseReturnValue:
    scope = current_scope()
    role = roles.load_role(role_id)
    return save_form(
        "roles/form.html",
        RoleForm(data=roles.state_of(role)),
        kind="roles",
        load=lambda: roles.load_role(role_id, lock=True),
        state_of=roles.state_of,
        write=lambda row, values: roles.update_role(scope, row, **values),
        address=lambda row: url_for("roles.edit", role_id=row.id),
        **around(role),
    )


@blueprint.post("/<int:role_id>/delete")
@requires("roles.delete")
def delete(role_id: int) -> ResponseReturnValue:
    scope = current_scope()
    return delete_row(
        kind="roles",
        load=lambda: roles.load_role(role_id, lock=True),
        state_of=roles.state_of,
        name_of=lambda role: role.display_name,
        delete=lambda role: roles.delete_role(scope, role),
        address=url_for("roles.index"),
    )


def version(names: frozenset[str]) -> str:
    return version_of({"held": sorted(names)})


def around(role: Role) -> dict[str, Any]:
    scope = current_scope()
    return {
        "role": role,
        "change": find_last_changes("roles", [role.id]).get(role.id),
        "may_edit": scope.can("roles.update") and roles.may_edit(scope, role),
    }
