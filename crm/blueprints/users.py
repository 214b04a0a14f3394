"""People in the settings: their accounts, invitations, and what single ones may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import (
    Blueprint,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm.blueprints.areas import Area
from crm.blueprints.bulk import Deed, Rows
from crm.blueprints.kit import ask_by_name, list_query, show_list
from crm.blueprints.permission_words import role_word
from crm.db import atomic, retrying
from crm.errors import Forbidden, Invalid
from crm.forms.users import ReasonForm, UserForm
from crm.models import AuditLog, EmailKind, LinkPurpose, Role, User, UserStatus
from crm.permissions import PERMISSIONS, current_scope, requires
from crm.services import account_links, audit, emails, roles, two_factor, users
from crm.services.kit import find_last_changes
from crm.services.passwords import NO_PASSWORD

blueprint = Blueprint("users", __name__, url_prefix="/settings/users")

# A link that was made for somebody is shown on the next page, once.
SHOWN_ONCE = "link_shown_once"


class Users(Area[User]):
    kind, thing, form = "users", "user", UserForm
    deeds = {
        "reactivate": Deed(_l("Let in again"), {"status": "active", "status_reason": None}),
        "suspend": Deed(_l("Suspend"), {"status": "suspended"}, asks="status_reason"),
    }
    state_of = staticmethod(users.state_of)

    def load(self, row_id: int, *, lock: bool = False) -> User:
        return users.load_user(row_id, lock=lock)

    def make(self, values: dict[str, Any]) -> User:
        user = users.create_user(current_scope(), **values)
        invite(user)
        return user

    def change(self, row: User, values: dict[str, Any]) -> User:
        return users.update_user(current_scope(), row, **values)

    def name_of(self, row: User) -> str:
        return row.full_name

    def may_change(self, row: User) -> bool:
        return users.may_manage(current_scope(), row)

    def rows(self) -> Rows:
        """Many at once: whether they may enter, which is none of the form's fields."""
        return Rows(
            kind="users",
            load=self.load_to_change,
            state_of=users.access_of,
            name_of=self.name_of,
            put=put_access,
            prepare=users.lock_to_end,
        )

    def delete(self, row_id: int) -> ResponseReturnValue:
        ask_by_name(self.name_of(self.load(row_id)))
        run(lambda: users.delete_user(current_scope(), row_id))
        flash(_("The account was deleted."))
        return redirect(url_for("users.index"))

    def prepared(self, form: UserForm, row: User | None) -> UserForm:
        """With the roles that this admin may give, and the one the person has."""
        scope = current_scope()
        given: dict[int, Role] = {role.id: role for role in users.roles_to_give(scope)}
        if row is not None:
            given.setdefault(row.role_id, row.role)
        form.role_id.offer([(role.id, role_word(role)) for role in given.values()])
        if not scope.can("users.update") and not scope.can("users.create"):
            del form.phone  # the agent's own number: the admins' alone
        return form

    def around(self, row: User | None) -> dict[str, Any]:
        if row is None:
            return {}
        return {
            "is_self": current_scope().user_id == row.id,
            "invited": row.password_hash == NO_PASSWORD,
            "trouble": emails.find_trouble(row.id),
            "link": link_of(row) if request.method == "GET" else None,
        }


area = Users()
area.serve(blueprint)


@blueprint.get("")
@requires("users.read")
def index() -> ResponseReturnValue:
    every = [role for role, _people in roles.list_roles()]
    query = list_query(
        filters={
            "status": [status.value for status in UserStatus],
            "role": [role.name for role in every],
        },
        sorts=("name", "role", "login"),
    )
    page = users.list_users(query)
    return show_list(
        "users/list.html",
        query=query,
        page=page,
        deeds=area.deeds,
        pickable=users.find_manageable(current_scope(), [user.id for user, _role in page.rows]),
        role_words={role.name: role_word(role) for role in every},
    )


@blueprint.post("/<int:user_id>/suspend")
@requires("users.update")
def suspend(user_id: int) -> ResponseReturnValue:
    return end_access(user_id, UserStatus.SUSPENDED)


@blueprint.post("/<int:user_id>/deactivate")
@requires("users.update")
def deactivate(user_id: int) -> ResponseReturnValue:
    return end_access(user_id, UserStatus.INACTIVE)


@blueprint.post("/<int:user_id>/reactivate")
@requires("users.update")
def reactivate(user_id: int) -> ResponseReturnValue:
    run(lambda: users.reactivate_user(current_scope(), user_id))
    flash(_("The account is active again."))
    return redirect(url_for("users.edit", user_id=user_id))


@blueprint.post("/<int:user_id>/link")
@requires("users.update")
def make_link(user_id: int) -> ResponseReturnValue:
    """An invitation for who has no password yet, else a reset: by e-mail, or shown once."""

    def unit() -> None:
        user = manageable(user_id)
        purpose = invite(user)
        audit.record(f"users.{purpose}", user)

    run(unit)
    return redirect(url_for("users.edit", user_id=user_id))


@blueprint.post("/<int:user_id>/reset-two-factor")
@requires("users.update")
def reset_two_factor(user_id: int) -> ResponseReturnValue:
    run(lambda: two_factor.reset_second_factor(manageable(user_id)))
    flash(_("The second factor was taken away; they can set up a new one."))
    return redirect(url_for("users.edit", user_id=user_id))


@blueprint.get("/<int:user_id>/permissions")
@requires("users.read", "roles.read")
def permissions(user_id: int) -> ResponseReturnValue:
    user = users.load_user(user_id)
    return render_template(
        "users/permissions.html",
        frame="settings/_page.html",
        area="settings",
        user=user,
        permissions=roles.list_permissions(),
        by_role=users.permissions_of(user.role_id),
        exceptions=roles.exceptions_of(user.id),
        held=current_scope().permissions,
        may_edit=current_scope().can("users.update") and users.may_manage(current_scope(), user),
        change=find_last_changes("users", [user.id]).get(user.id),
    )


@blueprint.post("/<int:user_id>/permissions")
@requires("users.update", "roles.read")
def save_permissions(user_id: int) -> ResponseReturnValue:
    """Each permission's own field; what is not sent stays as it is."""
    sent = {name: request.form[name] for name in PERMISSIONS if name in request.form}
    if not set(sent.values()) <= {"", "grant", "revoke"}:
        raise Invalid("Choose one of the options.")

    def unit() -> None:
        user = users.load_user(user_id, lock=True)
        wanted = {**roles.exceptions_of(user.id), **sent}
        chosen = {name: kind for name, kind in wanted.items() if kind}
        roles.set_exceptions(current_scope(), user, chosen)

    run(unit)
    flash(_("Saved."))
    return redirect(url_for("users.permissions", user_id=user_id))


def end_access(user_id: int, status: UserStatus) -> ResponseReturnValue:
    users.load_user(user_id)
    form = ReasonForm()
    if not form.validate_on_submit():
        raise Invalid("Write the reason.")
    scope = current_scope()
    reason = form.reason.data
    run(lambda: users.end_access(scope, user_id, status=status, reason=reason))
    flash(_("The account is closed; their chats went back to their queues."))
    return redirect(url_for("users.edit", user_id=user_id))


def invite(user: User) -> LinkPurpose:
    """Send the link, or keep it for the next page where no mail server is set."""
    purpose = LinkPurpose.INVITE if user.password_hash == NO_PASSWORD else LinkPurpose.RESET
    if current_app.config["CRM"].mail_server is not None:
        emails.queue_email(EmailKind(purpose.value), user, by=current_scope().user_id)
        flash(_("A link is on its way to %(email)s.", email=user.email))
    else:
        token = account_links.create_link(user, purpose, by=current_scope().user_id)
        session[SHOWN_ONCE] = {"user_id": user.id, "token": token}
    return purpose


def link_of(user: User) -> str | None:
    """The link that was just made for this person; it is shown this once."""
    shown = session.pop(SHOWN_ONCE, None) or {}
    if shown.get("user_id") != user.id:
        return None
    return url_for("accounts.follow_link", token=shown["token"], _external=True)


def manageable(user_id: int) -> User:
    user = users.load_user(user_id, lock=True)
    if not users.may_manage(current_scope(), user):
        raise Forbidden
    return user


def run(work: Callable[[], Any]) -> None:
    def unit() -> None:
        with atomic():
            work()

    retrying(unit)


def put_access(user: User, values: dict[str, Any], meta: dict[str, Any]) -> AuditLog | None:
    """Bring an account to a status (`values`: status, status_reason)."""
    scope, status, reason = current_scope(), values["status"], values["status_reason"]
    if status == UserStatus.ACTIVE:
        return users.reactivate_user(scope, user.id, meta=meta)
    return users.end_access(scope, user.id, status=UserStatus(status), reason=reason, meta=meta)
