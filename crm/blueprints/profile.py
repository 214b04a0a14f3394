"""What a person sets for themselves: name, language, password, second factor, sessions."""

from __future__ import annotations

from flask import (
    Blueprint,
    abort,
    current_app,
    flash,
    g,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from crm.blueprints.auth import set_session_cookie
from crm.blueprints.locale import LOCALES
from crm.blueprints.two_factor import keys, qr, spaced
from crm.db import atomic, db
from crm.errors import DomainError, Invalid
from crm.forms.auth import CodeForm
from crm.forms.users import ConfirmForm, PasswordChangeForm, PersonForm
from crm.models import User
from crm.permissions import signed_in
from crm.services import audit, avatars, files, passwords, sessions, two_factor, users
from crm.services.files import AVATAR
from crm.services.kit import find_last_changes

blueprint = Blueprint("profile", __name__)

# What a multipart form weighs beside its file.
FORM_BYTES = 16 * 1024
FIELDS = ("first_name", "last_name", "phone", "language", "time_zone")


@blueprint.post("/profile/language")
@signed_in
def set_language() -> ResponseReturnValue:
    """Show the screens in another language from now on, on every device of this person."""
    language = request.form.get("language", "")
    if language not in LOCALES:
        abort(400)
    with atomic():
        user = db.session.get_one(User, current_user.id)
        user.language = language
    return redirect(url_for("inbox.page"))


@blueprint.get("/profile")
@signed_in
def page() -> ResponseReturnValue:
    form = PersonForm(data={name: getattr(current_user, name) for name in FIELDS})
    form.version.data = ""
    return show(form=form)


@blueprint.post("/profile")
@signed_in
def save() -> ResponseReturnValue:
    form = PersonForm()
    if not form.validate_on_submit():
        return show(form=form, status=422)
    with atomic():
        users.update_own_profile(me(), **form.values())
    flash(_("Saved."))
    return redirect(url_for("profile.page"))


@blueprint.url_value_preprocessor
def allow_pictures(endpoint: str | None, _values: object) -> None:
    """Here and not in the view: the CSRF check reads the whole form before it."""
    if endpoint == "profile.save_avatar":
        request.max_content_length = AVATAR.most_bytes + FORM_BYTES


@blueprint.post("/profile/avatar")
@signed_in
def save_avatar() -> ResponseReturnValue:
    """A new picture, or none: one form with two buttons."""
    if "remove" in request.form:
        with atomic():
            avatars.remove_avatar(me())
        flash(_("The picture was taken away."))
        return redirect(url_for("profile.page"))
    try:
        stored = store_picture()
    except DomainError as error:
        why = _(error.message, **error.values)
        return show(picture_error=why, status=error.http_status)
    try:
        with atomic():
            avatars.set_avatar(me(), stored)
    except Exception:
        files.drop_stored(stored)
        raise
    flash(_("Saved."))
    return redirect(url_for("profile.page"))


def store_picture() -> files.Stored:
    picture = request.files.get("picture")
    if picture is None or not picture.filename:
        raise Invalid("Choose a picture: JPEG, PNG or WebP.")
    # Nothing of the database is held while the picture is made.
    db.session.rollback()
    return avatars.store_avatar(
        picture.stream, name=picture.filename, data_dir=current_app.config["CRM"].data_dir
    )


@blueprint.post("/profile/password")
@signed_in
def change_password() -> ResponseReturnValue:
    form = PasswordChangeForm()
    if not form.validate_on_submit():
        return show(password_form=form, status=422)
    try:
        with atomic():
            passwords.count_confirmation(current_user.id)
        with atomic():
            user = me()
            passwords.confirm_password(user, form.current.data)
            passwords.change_password(user, new=form.password.data, session_id=g.live_session.id)
    except DomainError as error:
        wrong = form.password if hasattr(error, "field_name") else form.current
        wrong.errors = [_(error.message, **error.values)]
        return show(password_form=form, status=error.http_status)
    flash(_("The password was changed; your other sessions were ended."))
    return redirect(url_for("profile.page"))


@blueprint.post("/profile/two-factor/begin")
@signed_in
def begin_two_factor() -> ResponseReturnValue:
    """After the password: the QR. A stolen session must not bind somebody else's phone."""
    form = ConfirmForm()
    if not confirmed(form):
        return show(confirm_form=form, status=422)
    with atomic():
        two_factor.begin_setup(me(), keys=keys())
    return show_setup(CodeForm())


@blueprint.post("/profile/two-factor/confirm")
@signed_in
def confirm_two_factor() -> ResponseReturnValue:
    form = CodeForm()
    if not form.validate_on_submit():
        return show_setup(form, status=422)
    try:
        with atomic():
            passwords.count_confirmation(current_user.id)
        with atomic():
            user = me()
            own = g.live_session.id
            codes = two_factor.finish_setup(user, form.code.data, keys=keys(), keep_session=own)
            token = sessions.rotate_session(own)
    except DomainError as error:
        form.code.errors = [_(error.message, **error.values)]
        return show_setup(form, status=error.http_status)
    response = make_response(show_codes(codes))
    set_session_cookie(response, token)
    return response


@blueprint.post("/profile/two-factor/off")
@signed_in
def switch_two_factor_off() -> ResponseReturnValue:
    form = ConfirmForm()
    if not confirmed(form, with_code=True):
        return show(confirm_form=form, status=422)
    with atomic():
        user = me()
        two_factor.switch_off(user, demanded=user.role.requires_two_factor)
        sessions.revoke_sessions(user.id, except_id=g.live_session.id)
    flash(_("The second factor is off."))
    return redirect(url_for("profile.page"))


@blueprint.post("/profile/two-factor/codes")
@signed_in
def renew_codes() -> ResponseReturnValue:
    form = ConfirmForm()
    if not confirmed(form, with_code=True):
        return show(confirm_form=form, status=422)
    with atomic():
        user = me()
        codes = two_factor.renew_backup_codes(user)
        audit.record("users.backup_codes_renewed", user)
    return show_codes(codes)


def confirmed(form: ConfirmForm, *, with_code: bool = False) -> bool:
    """The person proved again who they are; each try is counted beforehand."""
    if not form.validate_on_submit():
        return False
    wrong = form.current
    try:
        with atomic():
            passwords.count_confirmation(current_user.id)
        with atomic():
            user = me()
            passwords.confirm_password(user, form.current.data)
            wrong = form.code
            if with_code and user.two_factor_enabled:
                two_factor.give_code(user, form.code.data or "", keys=keys())
    except DomainError as error:
        wrong.errors = [_(error.message, **error.values)]
        return False
    return True


def me() -> User:
    return db.session.get_one(User, current_user.id)


def show(
    *,
    form: PersonForm | None = None,
    password_form: PasswordChangeForm | None = None,
    confirm_form: ConfirmForm | None = None,
    picture_error: str | None = None,
    status: int = 200,
) -> ResponseReturnValue:
    idle = current_app.config["CRM"].session_idle_seconds
    if form is None:
        form = PersonForm(formdata=None, data={n: getattr(current_user, n) for n in FIELDS})
    values = {
        "form": form,
        "password_form": password_form or PasswordChangeForm(formdata=None),
        "confirm_form": confirm_form or ConfirmForm(formdata=None),
        "picture_error": picture_error,
        "change": find_last_changes("users", [current_user.id]).get(current_user.id),
        "rows": sessions.list_live_sessions(idle_seconds=idle, user_id=current_user.id),
        "own_id": g.live_session.id,
        "codes_left": two_factor.count_backup_codes(current_user.id),
        "demanded": current_user.role.requires_two_factor,
    }
    return render_template("profile/page.html", frame="settings/_page.html", **values), status


def show_setup(form: CodeForm, *, status: int = 200) -> ResponseReturnValue:
    with atomic():
        user = me()
        secret = two_factor.begin_setup(user, keys=keys())
        address = two_factor.address_of(user, secret)
    values = {"secret": spaced(secret), "picture": qr(address), "form": form}
    page = render_template("profile/two_factor.html", frame="settings/_page.html", **values)
    return page, status


def show_codes(codes: list[str]) -> str:
    return render_template("profile/codes.html", frame="settings/_page.html", codes=codes)
