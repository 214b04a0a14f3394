"""The second factor at the door: giving the code, or setting it up where the role demands it."""

from __future__ import annotations

import segno
from flask import Blueprint, g, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from crm.blueprints.auth import open_session, safe_target, set_session_cookie, settings
from crm.db import atomic, db
from crm.errors import DomainError
from crm.forms.auth import CodeForm
from crm.models import User
from crm.permissions import public
from crm.services import audit, passwords, sessions, two_factor
from crm.services.sessions import LiveSession, Stage

blueprint = Blueprint("two_factor", __name__)


def unfinished() -> LiveSession | None:
    """The session that lacks its second factor. Who is whole, or nobody, has none."""
    if current_user.is_authenticated:
        return None
    return g.get("unfinished_session")


@blueprint.get("/login/two-factor")
@public
def finish() -> ResponseReturnValue:
    waiting = unfinished()
    if waiting is None:
        return redirect(url_for("auth.login", next=request.args.get("next")))
    return show(waiting, CodeForm(next=request.args.get("next")))


@blueprint.post("/login/two-factor")
@public
def finish_form() -> ResponseReturnValue:
    waiting = unfinished()
    if waiting is None:
        return redirect(url_for("auth.login"))
    form = CodeForm()
    if not form.validate_on_submit():
        return show(waiting, form, status=422)
    codes: list[str] = []
    try:
        with atomic():
            passwords.count_confirmation(waiting.user.id)
        with atomic():
            user = db.session.get_one(User, waiting.user.id)
            if waiting.stage is Stage.SETUP:
                codes = two_factor.finish_setup(user, form.code.data, keys=keys())
                kind = "setup"
            else:
                kind = two_factor.give_code(user, form.code.data, keys=keys())
            token = open_session(user, two_factor=True)
            sessions.publish_access_changed(user.id)
            audit.record("auth.two_factor", user, user_id=user.id, meta={"kind": kind})
    except DomainError as error:
        if isinstance(error, two_factor.WrongCode):
            with atomic():
                audit.record(
                    "auth.two_factor", ("users", waiting.user.id), success=False, error=error.code
                )
        form.code.errors = [_(error.message, **error.values)]
        return show(waiting, form, status=error.http_status)
    session.clear()
    target = safe_target(form.next.data)
    # The codes are shown here and never again.
    page = render_template("auth/backup_codes.html", codes=codes, target=target) if codes else None
    response = make_response(page) if page else redirect(target)
    set_session_cookie(response, token)
    return response


def show(waiting: LiveSession, form: CodeForm, *, status: int = 200) -> ResponseReturnValue:
    if waiting.stage is Stage.CODE:
        return render_template("auth/two_factor.html", form=form), status
    with atomic():
        user = db.session.get_one(User, waiting.user.id)
        secret = two_factor.begin_setup(user, keys=keys())
        address = two_factor.address_of(user, secret)
    values = {"secret": spaced(secret), "picture": qr(address)}
    return render_template("auth/two_factor_setup.html", form=form, **values), status


def qr(address: str) -> str:
    """An SVG as a data address: the policy allows pictures, not styles or scripts in the page."""
    return segno.make(address, error="m").svg_data_uri(
        scale=5, border=3, dark="#10201e", light="#ffffff"
    )


def spaced(secret: str) -> str:
    """In fours, for whoever types it."""
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))


def keys() -> tuple[str, ...]:
    return settings().encryption_keys
