"""Roles, and what single people may do more or less than theirs.

Nobody gives or takes a permission that they lack, and nobody edits the role they hold. The role
super_admin holds everything and cannot be changed; the five roles of the product cannot be deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, delete, func, select
from sqlalchemy.exc import IntegrityError

from crm.db import db
from crm.errors import Conflict, Forbidden, NotFound
from crm.lib.text import fold
from crm.models import Permission, PermissionType, Role, RolePermission, User, UserPermission
from crm.permissions import SUPER_ADMIN, Scope
from crm.services import audit, sessions, users
from crm.services.kit import WrongField

EDITABLE = ("display_name", "description", "level", "requires_two_factor", "is_active")


class RoleInUse(Conflict):
    code = "role_in_use"
    message = "People hold this role. Give them another one first."


def list_roles() -> Sequence[Row]:
    """(role, number of people who hold it), the highest first."""
    held = (
        select(User.role_id, func.count().label("people"))
        .where(users.people())
        .group_by(User.role_id)
        .subquery()
    )
    return db.session.execute(
        select(Role, func.coalesce(held.c.people, 0).label("people"))
        .outerjoin(held, held.c.role_id == Role.id)
        .order_by(Role.level, Role.id)
    ).all()


def list_permissions() -> Sequence[Permission]:
    """What can be given, by module in the order of the product."""
    active = select(Permission).where(Permission.is_active.is_(True)).order_by(Permission.id)
    return db.session.scalars(active).all()


def holdings() -> dict[int, frozenset[str]]:
    """role id -> names; one statement for all roles."""
    rows = db.session.execute(
        select(RolePermission.role_id, Permission.name)
        .join(Permission, Permission.id == RolePermission.permission_id)
        .where(Permission.is_active.is_(True))
    )
    found: dict[int, set[str]] = {}
    for role_id, name in rows:
        found.setdefault(role_id, set()).add(name)
    return {role_id: frozenset(names) for role_id, names in found.items()}


def load_role(role_id: int, *, lock: bool = False) -> Role:
    query = select(Role).where(Role.id == role_id)
    if lock:
        query = query.with_for_update(key_share=True)
        query = query.execution_options(populate_existing=True)
    role = db.session.scalar(query)
    if role is None:
        raise NotFound
    return role


def may_edit(actor: Scope, role: Role) -> bool:
    if role.name in (SUPER_ADMIN, actor.role):
        return False
    return actor.role == SUPER_ADMIN or role.level > users.level_of(actor)


def state_of(role: Role) -> dict[str, Any]:
    return {name: getattr(role, name) for name in EDITABLE}


def create_role(actor: Scope, **values: Any) -> Role:
    """A role of one's own, empty; the matrix fills it. Its `name` is made from what people read."""
    _check_level(actor, values["level"])
    role = Role(**{name: values[name] for name in EDITABLE if name in values})
    role.name = _name_for(values["display_name"])
    db.session.add(role)
    try:
        db.session.flush()
    except IntegrityError as error:
        raise WrongField(
            "There is a role of this name already.", field_name="display_name"
        ) from error
    return role


def update_role(actor: Scope, role: Role, **values: Any) -> Role:
    """`role` was loaded with its lock; the door records it."""
    _check_may_edit(actor, role)
    if values["level"] != role.level:
        _check_level(actor, values["level"])
    if role.is_active and not values["is_active"] and _holders(role.id):
        raise WrongField(RoleInUse.message, field_name="is_active")
    for name in EDITABLE:
        setattr(role, name, values[name])
    _tell_holders(role.id)
    return role


def set_permissions(actor: Scope, role: Role, names: Iterable[str]) -> None:
    """Give the role exactly these. `role` was loaded with its lock. What the actor does not hold
    stays as it is, whatever was sent; sending something else is refused."""
    wanted = frozenset(names)
    have = users.permissions_of(role.id)
    if wanted == have:
        return
    _check_may_edit(actor, role)
    _check_holds(actor, wanted ^ have)
    ids = _permission_ids(wanted ^ have)
    taken = [ids[name] for name in have - wanted]
    db.session.execute(
        delete(RolePermission).where(
            RolePermission.role_id == role.id, RolePermission.permission_id.in_(taken)
        )
    )
    db.session.add_all(
        RolePermission(role_id=role.id, permission_id=ids[name]) for name in wanted - have
    )
    audit.record(
        "roles.set_permissions",
        role,
        before={"permissions": sorted(have - wanted)},
        after={"permissions": sorted(wanted - have)},
    )
    _tell_holders(role.id)


def delete_role(actor: Scope, role: Role) -> None:
    """Only a role of one's own that nobody holds."""
    _check_may_edit(actor, role)
    if role.is_system:
        raise Forbidden("The roles of the product cannot be deleted; take permissions away.")
    # Deleted people keep their row, and it names a role: they go to the lowest one that stays.
    if _holders(role.id):
        raise RoleInUse
    lowest = select(Role.id).where(Role.is_system.is_(True)).order_by(Role.level.desc()).limit(1)
    db.session.execute(
        User.__table__.update()  # type: ignore[attr-defined]
        .where(User.role_id == role.id)
        .values(role_id=lowest.scalar_subquery())
    )
    db.session.delete(role)
    db.session.flush()


def exceptions_of(user_id: int) -> dict[str, str]:
    """name -> "grant" or "revoke"."""
    rows = db.session.execute(
        select(Permission.name, UserPermission.type)
        .join(Permission, Permission.id == UserPermission.permission_id)
        .where(UserPermission.user_id == user_id)
    )
    return {name: kind.value for name, kind in rows}


def set_exceptions(actor: Scope, user: User, wanted: Mapping[str, str]) -> None:
    """Let one person do more ("grant") or less ("revoke") than their role. `user` is locked."""
    if not users.may_manage(actor, user):
        raise Forbidden
    have = exceptions_of(user.id)
    changed = {name for name in {*have, *wanted} if have.get(name) != wanted.get(name)}
    if not changed:
        return
    _check_holds(actor, changed)
    ids = _permission_ids(changed)
    db.session.execute(
        delete(UserPermission).where(
            UserPermission.user_id == user.id, UserPermission.permission_id.in_(ids.values())
        )
    )
    db.session.add_all(
        UserPermission(
            user_id=user.id,
            permission_id=ids[name],
            type=PermissionType(wanted[name]),
            created_by=actor.user_id,
        )
        for name in sorted(changed)
        if name in wanted
    )
    audit.record(
        "users.set_permissions",
        user,
        before={name: have.get(name) for name in sorted(changed)},
        after={name: wanted.get(name) for name in sorted(changed)},
    )
    sessions.publish_access_changed(user.id)


def _check_may_edit(actor: Scope, role: Role) -> None:
    if not may_edit(actor, role):
        raise Forbidden("You cannot change this role: it is yours, or above yours.")


def _check_holds(actor: Scope, names: Iterable[str]) -> None:
    if not frozenset(names) <= actor.permissions:
        raise Forbidden("You can neither give nor take a permission that you do not have.")


def _check_level(actor: Scope, level: int) -> None:
    lowest = 1 if actor.role == SUPER_ADMIN else users.level_of(actor) + 1
    if level < lowest:
        raise WrongField(
            "At least %(low)s: a role stands below yours.", field_name="level", low=lowest
        )


def _permission_ids(names: Iterable[str]) -> dict[str, int]:
    wanted = set(names)
    rows = db.session.execute(
        select(Permission.name, Permission.id).where(
            Permission.name.in_(wanted), Permission.is_active.is_(True)
        )
    )
    ids = {row.name: row.id for row in rows}
    if ids.keys() != wanted:
        raise NotFound
    return ids


def _holders(role_id: int) -> list[int]:
    return list(db.session.scalars(select(User.id).where(User.role_id == role_id, users.people())))


def _tell_holders(role_id: int) -> None:
    for user_id in _holders(role_id):
        sessions.publish_access_changed(user_id)


def _name_for(display_name: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", fold(display_name)).strip("_")[:50]
    if not name:
        raise WrongField("Use letters in the name.", field_name="display_name")
    return name
