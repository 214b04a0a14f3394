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

from crm.blueprints.kit import ask_by_name, list_query, save_form, show_form, show_list
from crm.db import atomic, retrying
from crm.errors import Forbidden, Invalid
from crm.forms.users import ReasonForm, UserForm
from crm.models import EmailKind, LinkPurpose, Role, User, UserStatus
from crm.permissions import PERMISSIONS, current_scope, requires
from crm.services import account_links, audit, emails, roles, two_factor, users
from crm.services.kit import find_last_changes
from crm.services.passwords import NO_PASSWORD

blueprint = Blueprint("users", __name__, url_prefix="/settings/users")

# A link that was made for somebody is shown on the next page, once.
SHOWN_ONCE = "link_shown_once"


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
        role_words={role.name: role.display_name for role in every},
    )


@blueprint.get("/new")
@requires("users.create")
def new() -> ResponseReturnValue:
    return show_form("users/form.html", prepared(UserForm()), **around(None))


@blueprint.post("/new")
@requires("users.create")
def create() -> ResponseReturnValue:
    scope = current_scope()

    def write(_row: None, values: dict[str, Any]) -> User:
        user = users.create_user(scope, **values)
        invite(user)
        return user

    return save_form(
        "users/form.html",
        prepared(UserForm()),
        kind="users",
        state_of=users.state_of,
        write=write,
        address=lambda user: url_for("users.edit", user_id=user.id),
        **around(None),
    )


@blueprint.get("/<int:user_id>")
@requires("users.read")
def edit(user_id: int) -> ResponseReturnValue:
    user = users.load_user(user_id)
    state = users.state_of(user)
    form = prepared(UserForm(data=state), user)
    shown = session.pop(SHOWN_ONCE, None) or {}
    link = None
    if shown.get("user_id") == user.id:
        link = url_for("accounts.follow_link", token=shown["token"], _external=True)
    return show_form("users/form.html", form, state=state, link=link, **around(user))


@blueprint.post("/<int:user_id>")
@requires("users.update")
def save(user_id: int) -> ResponseReturnValue:
    scope = current_scope()
    user = users.load_user(user_id)
    return save_form(
        "users/form.html",
        prepared(UserForm(data=users.state_of(user)), user),
        kind="users",
        load=lambda: users.load_user(user_id, lock=True),
        state_of=users.state_of,
        write=lambda row, values: users.update_user(scope, row, **values),
        address=lambda row: url_for("users.edit", user_id=row.id),
        **around(user),
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


@blueprint.post("/<int:user_id>/delete")
@requires("users.delete")
def delete(user_id: int) -> ResponseReturnValue:
    ask_by_name(users.load_user(user_id).full_name)
    run(lambda: users.delete_user(current_scope(), user_id))
    flash(_("The account was deleted."))
    return redirect(url_for("users.index"))


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


def prepared(form: UserForm, user: User | None = None) -> UserForm:
    """With the roles that this admin may give, and the one the person has."""
    given: dict[int, Role] = {role.id: role for role in users.roles_to_give(current_scope())}
    if user is not None:
        given.setdefault(user.role_id, user.role)
    form.role_id.offer([(role.id, role.display_name) for role in given.values()])
    if not current_scope().can("users.update") and not current_scope().can("users.create"):
        del form.phone  # the agent's own number: the admins' alone
    return form


def around(user: User | None) -> dict[str, Any]:
    """What stands around the form."""
    if user is None:
        return {"user": None, "may_edit": True, "change": None, "link": None, "trouble": None}
    scope = current_scope()
    return {
        "user": user,
        "may_edit": scope.can("users.update") and users.may_manage(scope, user),
        "is_self": scope.user_id == user.id,
        "invited": user.password_hash == NO_PASSWORD,
        "change": find_last_changes("users", [user.id]).get(user.id),
        "trouble": emails.find_trouble(user.id),
        "reason_form": ReasonForm(),
    } | ({} if request.method == "GET" else {"link": None})
