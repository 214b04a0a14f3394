"""Who may do what: the names, the roles, and the one rule by which chats are seen.

`@requires("chats.read")` or `@public` stands on every route (a guard test reads them all). Lists
filter with `visible_chats(scope)` in SQL; single objects load through `load_chat(scope, id)`, which
answers 404 for what the person may not see; the live hub asks `Scope.sees_chat`. The three say the
same rule, and a test holds them against each other.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import current_app, g
from flask_login import current_user
from sqlalchemy import (
    ColumnElement,
    String,
    and_,
    cast,
    exists,
    false,
    literal,
    or_,
    select,
    true,
    union_all,
)

from crm.db import db
from crm.errors import Forbidden, NotFound
from crm.models import (
    CampaignAgent,
    Chat,
    ChatStatus,
    Permission,
    PermissionType,
    Role,
    RolePermission,
    User,
    UserStatus,
)
from crm.models import UserPermission as Extra

View = TypeVar("View", bound=Callable[..., Any])

# Statuses in which nobody owns a chat, so that whoever serves the campaign's queues may see it.
WAITING = (ChatStatus.NEW, ChatStatus.BOT, ChatStatus.QUEUED)

# module -> actions. The migrations seed the same list; a test holds both equal.
ACTIONS: dict[str, tuple[str, ...]] = {
    "chats": (
        "read",
        "read_queue",
        "read_all",
        "reply",
        "start",
        "assign",
        "pick",
        "transfer",
        "close",
        "reopen",
        "peek",
        "whisper",
        "export",
        "delete",
    ),
    "messages": ("retry", "read_revoked"),
    "notes": ("create", "delete"),
    "clients": (
        "read",
        "create",
        "update",
        "delete",
        "view_phone",
        "import",
        "export",
        "merge",
        "block",
        "erase",
    ),
    "tags": ("use", "manage"),
    "tasks": ("read", "read_all", "create", "update", "delete"),
    "files": ("read", "upload", "delete"),
    "quick_replies": ("use", "manage_own", "manage"),
    "templates": ("read", "send", "manage"),
    "campaigns": ("read", "create", "update", "delete"),
    "numbers": ("read", "create", "update", "delete", "connect"),
    "queues": ("read", "create", "update", "delete"),
    "rules": ("read", "create", "update", "delete"),
    "bots": ("read", "create", "update", "delete", "publish"),
    "agents": ("set_own_status", "set_status"),
    "board": ("read",),
    "reports": ("read", "export"),
    "quality": ("read", "score"),
    "users": ("read", "create", "update", "delete"),
    "roles": ("read", "create", "update", "delete"),
    "sessions": ("read", "revoke"),
    "audit": ("read", "export"),
    "webhooks": ("read", "read_body", "replay"),
    "alarms": ("read", "acknowledge"),
    "backups": ("read", "create", "restore", "download"),
    "settings": ("read", "update"),
}
PERMISSIONS: tuple[str, ...] = tuple(
    f"{module}.{action}" for module, actions in ACTIONS.items() for action in actions
)

_AGENT = {
    "chats.read", "chats.read_queue", "chats.reply", "chats.start", "chats.pick", "chats.transfer",
    "chats.close", "chats.reopen", "messages.retry", "notes.create", "clients.read",
    "clients.create", "clients.update", "clients.view_phone", "tags.use", "tasks.read",
    "tasks.create", "tasks.update", "files.read", "files.upload", "quick_replies.use",
    "quick_replies.manage_own", "templates.read", "templates.send", "agents.set_own_status",
}  # fmt: skip
_SUPERVISOR = _AGENT | {
    "chats.read_all", "chats.assign", "chats.peek", "chats.whisper", "chats.export",
    "messages.read_revoked", "notes.delete", "clients.block", "clients.import", "clients.export",
    "clients.merge", "tags.manage", "tasks.read_all", "tasks.delete", "quick_replies.manage",
    "campaigns.read", "numbers.read", "queues.read", "queues.update", "rules.read", "bots.read",
    "agents.set_status", "board.read", "reports.read", "reports.export", "quality.read",
    "users.read", "alarms.read", "alarms.acknowledge",
}  # fmt: skip
# Supervisors steer; they are no candidates for chats unless given the permission to answer.
_SUPERVISOR -= {"chats.reply", "chats.pick", "chats.start"}

# The five roles of the model and what each holds from the start. Roles can be edited later.
ROLES: dict[str, frozenset[str]] = {
    "super_admin": frozenset(PERMISSIONS),
    "supervisor": frozenset(_SUPERVISOR),
    "agent": frozenset(_AGENT),
    "quality": frozenset(
        {"chats.read", "chats.read_all", "chats.peek", "clients.read", "files.read", "quality.read",
         "quality.score", "reports.read", "messages.read_revoked"}
    ),
    "audit": frozenset({"audit.read", "audit.export", "sessions.read", "webhooks.read"}),
}  # fmt: skip
SUPER_ADMIN = "super_admin"


@dataclass(frozen=True)
class Scope:
    """A person's rights as plain values: safe to keep while no database session is open."""

    user_id: int
    role: str
    permissions: frozenset[str]
    campaign_ids: frozenset[int]

    def can(self, permission: str) -> bool:
        return permission in self.permissions

    @property
    def sees_everything(self) -> bool:
        return self.role == SUPER_ADMIN and self.can("chats.read_all")

    def sees_chat(
        self, *, campaign_id: int | None, agent_ids: tuple[int, ...] = (), waiting: bool = False
    ) -> bool:
        """The same rule as `visible_chats`, for one chat given as plain values."""
        if not self.can("chats.read"):
            return False
        if self.sees_everything or self.user_id in agent_ids:
            return True
        if campaign_id not in self.campaign_ids:
            return False
        return self.can("chats.read_all") or (waiting and self.can("chats.read_queue"))


def scope_of(user: User) -> Scope:
    """Read a user's rights: the role's permissions, more by grant, less by denial (denial wins).

    One query for everything: every request and every socket asks it first.
    """
    role = select(literal("role"), Role.name).where(Role.id == user.role_id)
    from_role = (
        select(literal("held"), Permission.name)
        .join(RolePermission, RolePermission.permission_id == Permission.id)
        .where(RolePermission.role_id == user.role_id, Permission.is_active.is_(True))
    )
    extras = (
        select(cast(Extra.type, String), Permission.name)
        .join(Permission, Permission.id == Extra.permission_id)
        .where(Extra.user_id == user.id, Permission.is_active.is_(True))
    )
    campaigns = select(literal("campaign"), cast(CampaignAgent.campaign_id, String)).where(
        CampaignAgent.user_id == user.id, CampaignAgent.is_active.is_(True)
    )
    found: dict[str, set[str]] = defaultdict(set)
    for kind, value in db.session.execute(union_all(role, from_role, extras, campaigns)):
        found[kind].add(value)
    return Scope(
        user_id=user.id,
        role=found["role"].pop(),
        permissions=frozenset((found["held"] | found["grant"]) - found["revoke"]),
        campaign_ids=frozenset(map(int, found["campaign"])),
    )


def find_holders(name: str) -> Sequence[User]:
    """Everybody with a working account who holds this permission, however they came by it."""

    def extra(kind: PermissionType) -> ColumnElement[bool]:
        return exists().where(
            Extra.user_id == User.id, Extra.type == kind, Extra.permission_id == Permission.id
        )

    by_role = exists().where(
        RolePermission.role_id == User.role_id, RolePermission.permission_id == Permission.id
    )
    statement = (
        select(User)
        .join(Permission, and_(Permission.name == name, Permission.is_active.is_(True)))
        .where(
            User.status == UserStatus.ACTIVE,
            User.deleted_at.is_(None),
            User.is_system.is_(False),
            or_(by_role, extra(PermissionType.GRANT)),
            ~extra(PermissionType.REVOKE),
        )
        .order_by(User.id)
    )
    return db.session.scalars(statement).all()


def current_scope() -> Scope:
    """The scope of the person behind this request, read once."""
    if "scope" not in g:
        g.scope = scope_of(current_user)
    return g.scope


def visible_chats(scope: Scope) -> ColumnElement[bool]:
    """The SQL criterion on Chat for what this person may see."""
    alive = Chat.deleted_at.is_(None)
    if not scope.can("chats.read"):
        return false()
    if scope.sees_everything:
        return and_(alive, true())
    own = or_(Chat.assigned_agent_id == scope.user_id, Chat.offered_agent_id == scope.user_id)
    if not scope.campaign_ids:
        return and_(alive, own)
    in_campaigns = Chat.campaign_id.in_(scope.campaign_ids)
    if scope.can("chats.read_all"):
        return and_(alive, or_(own, in_campaigns))
    if scope.can("chats.read_queue"):
        waiting = and_(in_campaigns, Chat.status.in_(WAITING), Chat.assigned_agent_id.is_(None))
        return and_(alive, or_(own, waiting))
    return and_(alive, own)


def load_chat(scope: Scope, chat_id: int) -> Chat:
    """The chat, if this person may see it; NotFound otherwise, whether it exists or not."""
    chat = db.session.scalar(select(Chat).where(Chat.id == chat_id, visible_chats(scope)))
    if chat is None:
        raise NotFound
    return chat


def requires(*names: str) -> Callable[[View], View]:
    """Let in who is signed in and holds every one of `names`; 401 and 403 otherwise."""
    for name in names:
        if name not in PERMISSIONS:
            raise LookupError(f"no permission is called {name!r}; crm.permissions lists them")

    def wrap(view: View) -> View:
        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if not current_user.is_authenticated:
                return _unauthenticated()
            scope = current_scope()
            if not all(scope.can(name) for name in names):
                raise Forbidden
            return view(*args, **kwargs)

        guarded.access = names  # type: ignore[attr-defined]
        return guarded  # type: ignore[return-value]

    return wrap


def signed_in(view: View) -> View:
    """Let in whoever is signed in, whatever they hold: their own profile, signing out."""
    return requires()(view)


def public(view: View) -> View:
    """Mark a route that anybody may ask for."""
    view.access = "public"  # type: ignore[attr-defined]
    return view


def _unauthenticated() -> Any:
    return current_app.login_manager.unauthorized()  # type: ignore[attr-defined]
