"""People: their accounts, and who may look after whose.

One manages only people of a lower role who hold nothing that one lacks (super_admin: everybody),
gives only roles that grant nothing beyond one's own, and never one's own account. The last
super_admin stays: every step that could end one takes the lock of that role first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.exc import IntegrityError

from crm.db import db
from crm.errors import Conflict, Forbidden, NotFound
from crm.models import (
    AgentStatus,
    AuditLog,
    Chat,
    ChatStatus,
    Permission,
    PermissionType,
    Role,
    RolePermission,
    User,
    UserPermission,
    UserStatus,
)
from crm.permissions import SUPER_ADMIN, Scope, scope_of
from crm.services import account_links, agents, audit, avatars, sessions, sign_in
from crm.services.chats import person, requeue_chat
from crm.services.kit import ListQuery, Page, WrongField, find_page
from crm.services.passwords import NO_PASSWORD

# What a form may set; everything else about an account has a verb of its own.
EDITABLE = (
    "email", "first_name", "last_name", "phone", "language", "time_zone", "max_concurrent_chats",
    "auto_assign_enabled",
)  # fmt: skip
HELD_STATUSES = (ChatStatus.ASSIGNED, ChatStatus.ACTIVE, ChatStatus.PENDING, ChatStatus.TRANSFERRED)


class LastSuperAdmin(Conflict):
    code = "last_super_admin"
    message = "This is the last super administrator; make somebody else one first."


def people() -> ColumnElement[bool]:
    """The SQL criterion on User for accounts of persons that are not deleted."""
    return User.deleted_at.is_(None) & User.is_system.is_(False)


def load_user(user_id: int, *, lock: bool = False) -> User:
    query = select(User).where(User.id == user_id, people())
    if lock:
        query = query.with_for_update(key_share=True, of=User)
        query = query.execution_options(populate_existing=True)
    user = db.session.scalar(query)
    if user is None:
        raise NotFound
    return user


def list_users(query: ListQuery) -> Page:
    """(user, role) of everybody, by name."""
    statement = select(User, Role).join(Role, Role.id == User.role_id).where(people())
    if status := query.filters.get("status"):
        statement = statement.where(User.status == status)
    if role := query.filters.get("role"):
        statement = statement.where(Role.name == role)
    return find_page(
        statement,
        query,
        search=[User.first_name, User.last_name, User.email],
        sorts={
            "name": func.lower(User.first_name),
            "role": Role.level,
            "login": User.last_login_at,
        },
        default=[func.lower(User.first_name), func.lower(User.last_name)],
        key=User.id,
    )


def count_people() -> int:
    return db.session.scalar(select(func.count()).select_from(User).where(people())) or 0


def may_manage(actor: Scope, target: User) -> bool:
    """May `actor` change this account? Taking one over must not give them anything new."""
    if actor.user_id == target.id:
        return False
    if actor.role == SUPER_ADMIN:
        return True
    return target.role.level > level_of(actor) and scope_of(target).permissions <= actor.permissions


def may_give(actor: Scope, role: Role) -> bool:
    """May `actor` make somebody this? Never more than they hold, nor their own height."""
    if actor.role != SUPER_ADMIN and role.level <= level_of(actor):
        return False
    return permissions_of(role.id) <= actor.permissions


def roles_to_give(actor: Scope) -> list[Role]:
    active = select(Role).where(Role.is_active.is_(True)).order_by(Role.level, Role.display_name)
    return [role for role in db.session.scalars(active) if may_give(actor, role)]


def level_of(actor: Scope) -> int:
    return db.session.scalars(select(Role.level).where(Role.name == actor.role)).one()


def permissions_of(role_id: int) -> frozenset[str]:
    names = (
        select(Permission.name)
        .join(RolePermission, RolePermission.permission_id == Permission.id)
        .where(RolePermission.role_id == role_id, Permission.is_active.is_(True))
    )
    return frozenset(db.session.scalars(names))


def create_user(actor: Scope | None, *, role_id: int, **values: Any) -> User:
    """A new account without a password; its invitation sets one. `actor` None: a command.

    The door records it, as the form kit does for every area.
    """
    role = _load_role(actor, role_id)
    user = User(
        **{name: values[name] for name in EDITABLE if name in values},
        role_id=role.id,
        password_hash=NO_PASSWORD,
        created_by=actor.user_id if actor else None,
    )
    user.email = _free_email(user.email)
    db.session.add(user)
    _flush_email()
    return user


def update_user(actor: Scope, user: User, *, role_id: int, **values: Any) -> User:
    """Change data and role. `user` was loaded with its lock; the door records it."""
    _check_may_manage(actor, user)
    email = user.email
    if role_id != user.role_id:
        role = _load_role(actor, role_id)
        guard_last_super_admin(user)
        user.role_id = role.id
        db.session.flush()
        db.session.expire(user, ["role"])
        sessions.publish_access_changed(user.id)
    for name in EDITABLE:
        if name in values:
            setattr(user, name, values[name])
    if sign_in.folded(user.email) != email:
        user.email = _free_email(user.email, own_id=user.id)
        # A link that went to the old address must not open the account.
        account_links.end_links(user.id)
    _flush_email()
    return user


def state_of(user: User) -> dict[str, Any]:
    """What the form of an account holds."""
    return {name: getattr(user, name) for name in (*EDITABLE, "role_id")}


def update_own_profile(user: User, **values: Any) -> None:
    """What people set about themselves; never role, limits or e-mail."""
    before = audit.snapshot(user)
    for name in ("first_name", "last_name", "phone", "language", "time_zone"):
        if name in values:
            setattr(user, name, values[name])
    audit.record("users.update_profile", user, before=before)


def access_of(user: User) -> dict[str, Any]:
    """Whether they may enter, and why not."""
    return {"status": str(user.status), "status_reason": user.status_reason}


def find_manageable(actor: Scope, ids: Collection[int]) -> set[int]:
    """Those of `ids` whom `actor` may manage: `may_manage` for many, in two statements."""
    if actor.role == SUPER_ADMIN:
        return set(ids) - {actor.user_id}

    def held_in(
        table: type[RolePermission | UserPermission], *criteria: Any
    ) -> ColumnElement[bool]:
        rows = exists().where(table.permission_id == Permission.id, *criteria)
        return rows.correlate(User, Permission)

    def exception(kind: PermissionType) -> ColumnElement[bool]:
        own = UserPermission.user_id == User.id
        return held_in(UserPermission, own, UserPermission.type == kind)

    by_role = held_in(RolePermission, RolePermission.role_id == User.role_id)
    more = exists().where(
        Permission.is_active.is_(True),
        Permission.name.not_in(actor.permissions),
        or_(by_role, exception(PermissionType.GRANT)),
        ~exception(PermissionType.REVOKE),
    )
    lower = Role.level > level_of(actor)
    found = (
        select(User.id).join(Role, Role.id == User.role_id).where(User.id.in_(ids), lower, ~more)
    )
    return set(db.session.scalars(found)) - {actor.user_id}


def lock_to_end(ids: Collection[int]) -> None:
    """For many at once: the super_admin role, then the open chats, before any account is locked."""
    db.session.execute(
        select(Role.id).where(Role.name == SUPER_ADMIN).with_for_update(key_share=True)
    )
    _lock_held_chats(ids)


def end_access(
    actor: Scope,
    user_id: int,
    *,
    status: UserStatus,
    reason: str,
    meta: dict[str, Any] | None = None,
) -> AuditLog | None:
    """Suspend (locked by an admin) or set inactive (left, on leave): out at once, chats back."""
    user = load_user(user_id)
    _check_may_manage(actor, user)
    if user.status == status:
        return None
    guard_last_super_admin(user)
    return_chats(user, by=actor.user_id)
    user = load_user(user_id, lock=True)
    before = audit.snapshot(user)
    user.status = status
    user.status_reason = reason
    _close_doors(user)
    return audit.record(f"users.{_word(status)}", user, before=before, reason=reason, meta=meta)


def reactivate_user(
    actor: Scope, user_id: int, *, meta: dict[str, Any] | None = None
) -> AuditLog | None:
    """Let somebody in again; they sign in with the password they had."""
    user = load_user(user_id, lock=True)
    _check_may_manage(actor, user)
    before = audit.snapshot(user)
    user.status = UserStatus.ACTIVE
    user.status_reason = None
    return audit.record("users.reactivate", user, before=before, meta=meta)


def delete_user(actor: Scope, user_id: int) -> User:
    """Out of every list; the row stays for what they did, and the e-mail can be used again."""
    user = load_user(user_id)
    _check_may_manage(actor, user)
    guard_last_super_admin(user)
    return_chats(user, by=actor.user_id)
    user = load_user(user_id, lock=True)
    before = audit.snapshot(user)
    user.status = UserStatus.INACTIVE
    user.deleted_at = func.now()
    user.email = f"deleted-{user.id}@deleted.invalid"
    user.password_hash = NO_PASSWORD
    user.two_factor_enabled = False
    user.two_factor_secret = None
    avatars.remove_avatar(user)
    _close_doors(user)
    audit.record("users.delete", user, before=before, after={})
    return user


def return_chats(user: User, *, by: int) -> int:
    """Everything open that this person has goes to the head of its queue; how many chats."""
    held = _lock_held_chats([user.id])
    for chat in held:
        requeue_chat(chat, actor=person(by), reason="agent_left")
    agents.set_agent_status(user, AgentStatus.OFFLINE, actor=person(by))
    return len(held)


def _lock_held_chats(user_ids: Collection[int]) -> Sequence[Chat]:
    return db.session.scalars(
        select(Chat)
        .where(
            Chat.assigned_agent_id.in_(user_ids),
            Chat.status.in_(HELD_STATUSES),
            Chat.deleted_at.is_(None),
        )
        .order_by(Chat.id)
        .with_for_update(key_share=True, of=Chat)
    ).all()


def guard_last_super_admin(user: User) -> None:
    """Before a super_admin loses the role or the account: there must be another who can sign in.

    The role's row is the lock. Two who end each other at once take turns, and the second is told.
    """
    if user.role.name != SUPER_ADMIN:
        return
    role_id = _lock_super_admin()
    others = select(func.count()).where(
        User.role_id == role_id,
        User.id != user.id,
        User.status == UserStatus.ACTIVE,
        people(),
    )
    if not db.session.scalar(others):
        raise LastSuperAdmin


def _lock_super_admin() -> int:
    role = select(Role.id).where(Role.name == SUPER_ADMIN)
    return db.session.scalars(role.with_for_update(key_share=True)).one()


def _close_doors(user: User) -> None:
    db.session.flush()
    sessions.revoke_sessions(user.id)
    account_links.end_links(user.id)
    sign_in.forget_devices(user.id)
    sessions.publish_access_changed(user.id)


def _word(status: UserStatus) -> str:
    return {UserStatus.SUSPENDED: "suspend", UserStatus.INACTIVE: "deactivate"}[status]


def _check_may_manage(actor: Scope, user: User) -> None:
    if not may_manage(actor, user):
        raise Forbidden("You cannot change this account: it may do something that you may not.")


def _load_role(actor: Scope | None, role_id: int) -> Role:
    role = db.session.get(Role, role_id)
    if role is None or not role.is_active:
        raise WrongField("This role is not available.", field_name="role_id")
    if actor is not None and not may_give(actor, role):
        raise Forbidden("You cannot give a role that may do more than you.")
    return role


def _free_email(email: str, *, own_id: int | None = None) -> str:
    folded = sign_in.folded(email)
    with db.session.no_autoflush:
        other = sign_in.find_by_email(folded)
    if other is not None and other.id != own_id:
        raise WrongField("Somebody else has this e-mail already.", field_name="email")
    return folded


def _flush_email() -> None:
    try:
        db.session.flush()
    except IntegrityError as error:
        if "idx_users_email" not in str(error.orig):
            raise
        raise WrongField("Somebody else has this e-mail already.", field_name="email") from error
