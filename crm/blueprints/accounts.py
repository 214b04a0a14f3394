"""Before one can sign in: the first start, an invitation, a forgotten password."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from crm.blueprints.auth import open_session, set_session_cookie, settings
from crm.db import atomic
from crm.errors import DomainError
from crm.forms.auth import FirstStartForm, ForgotForm, NewPasswordForm
from crm.models import AttemptKind, EmailKind
from crm.permissions import public
from crm.services import account_links, emails, first_start, sign_in
from crm.services.account_links import LinkIsOver
from crm.services.attempts import TooManyAttempts, network_of, take_turns, turn_of
from crm.services.kit import WrongField

blueprint = Blueprint("accounts", __name__)

# Where the token of a link waits while its page is open: out of the address, and so out of the
# browser's history, of logs and of what other pages are told.
LINK = "account_link"


@blueprint.get("/setup")
@public
def first() -> ResponseReturnValue:
    """Nobody has an account yet: whoever installed this, and so knows its code, makes the first."""
    if not first_start.is_first_start():
        return redirect(url_for("auth.login"))
    form = FirstStartForm(setup_token=request.args.get("code", "")[:40])
    return render_template("auth/first_start.html", form=form)


@blueprint.post("/setup")
@public
def first_form() -> ResponseReturnValue:
    if not first_start.is_first_start():
        return redirect(url_for("auth.login"))
    form = FirstStartForm()
    if not form.validate_on_submit():
        return render_template("auth/first_start.html", form=form), 422
    try:
        first_start.check_setup_token(form.setup_token.data or "", secret_key=settings().secret_key)
        with atomic():
            user = first_start.create_first_admin(
                email=form.email.data,
                first_name=form.first_name.data,
                last_name=form.last_name.data,
                password=form.password.data,
            )
            token = open_session(user)
    except WrongField as error:
        form[error.field_name].errors = [_(error.message)]
        return render_template("auth/first_start.html", form=form), 422
    except first_start.NotTheFirst:
        return redirect(url_for("auth.login"))
    session.clear()
    # Nothing can come in yet: what is to be done first stands there.
    response = redirect(url_for("settings.home"))
    set_session_cookie(response, token)
    return response


@blueprint.get("/account/link/<token>")
@public
def follow_link(token: str) -> ResponseReturnValue:
    """Looking at a link does not use it: mail programs look before people do."""
    session[LINK] = token[:100]
    return redirect(url_for("accounts.choose_password"))


@blueprint.get("/account/password")
@public
def choose_password() -> ResponseReturnValue:
    link, user = account_links.load_link(session.get(LINK, ""))
    return render_template(
        "auth/new_password.html", form=NewPasswordForm(), user=user, purpose=link.purpose
    )


@blueprint.post("/account/password")
@public
def choose_password_form() -> ResponseReturnValue:
    token = session.get(LINK, "")
    link, user = account_links.load_link(token)
    form = NewPasswordForm()
    if form.validate_on_submit():
        try:
            with atomic():
                account_links.use_link(token, form.password.data)
        except LinkIsOver:
            session.pop(LINK, None)
            raise
        except DomainError as error:
            form.password.errors = [_(error.message, **error.values)]
        else:
            session.pop(LINK, None)
            return redirect(url_for("auth.login", done="password"))
    page = render_template("auth/new_password.html", form=form, user=user, purpose=link.purpose)
    return page, 422


@blueprint.get("/forgot")
@public
def forgot() -> ResponseReturnValue:
    return render_template("auth/forgot.html", form=ForgotForm(), by_mail=has_mail())


@blueprint.post("/forgot")
@public
def forgot_form() -> ResponseReturnValue:
    """The same answer, after the same work, for an address that somebody has and one that not."""
    form = ForgotForm()
    if not has_mail() or not form.validate_on_submit():
        return render_template("auth/forgot.html", form=form, by_mail=has_mail()), 422
    email = sign_in.folded(form.email.data)
    try:
        with atomic():
            take_turns(
                [
                    turn_of(AttemptKind.NETWORK, network_of(request.remote_addr or "")),
                    turn_of(AttemptKind.RESET, email),
                ]
            )
            emails.queue_email(EmailKind.RESET, None, recipient=email)
    except TooManyAttempts as error:
        form.email.errors = [_(error.message, **error.values)]
        return render_template("auth/forgot.html", form=form, by_mail=True), error.http_status
    return render_template("auth/forgot.html", form=form, by_mail=True, sent=True)


def has_mail() -> bool:
    return settings().mail_server is not None
