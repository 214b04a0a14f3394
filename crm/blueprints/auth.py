"""Signing in and out, and who is behind a request."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import (
    Blueprint,
    Response,
    current_app,
    g,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response as BaseResponse

from crm.config import Config
from crm.db import atomic
from crm.events import AccessChanged, Audience, publish_on_commit
from crm.extensions import htmx, login_manager
from crm.forms.auth import LoginForm
from crm.models import User
from crm.permissions import public, signed_in
from crm.services import sessions, users

blueprint = Blueprint("auth", __name__)


@login_manager.request_loader
def load_user(_request: object) -> User | None:
    """The person of the session cookie. Machines' routes (webhooks) never ask."""
    config = settings()
    token = request.cookies.get(config.session_cookie_name)
    if not token:
        return None
    found = sessions.find_session(token, idle_seconds=config.session_idle_seconds)
    if found is None:
        return None
    g.live_session = found
    return found.user


@login_manager.unauthorized_handler
def ask_to_sign_in() -> ResponseReturnValue:
    """A page goes to the login and comes back; a fragment makes the whole page go there."""
    if htmx:
        response = Response(status=401)
        response.headers["HX-Redirect"] = url_for("auth.login")
        return response
    wanted = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("auth.login", next=wanted if wanted != "/" else None))


@blueprint.after_app_request
def note_activity(response: Response) -> Response:
    """A signed-in request keeps its session from idling out."""
    live = g.get("live_session")
    if live is not None and live.is_stale and response.status_code < 500:
        with atomic():
            sessions.touch_sessions([live.id])
    return response


@blueprint.get("/")
@public
def home() -> ResponseReturnValue:
    return redirect(url_for("inbox.page"))


@blueprint.get("/login")
@public
def login() -> ResponseReturnValue:
    if current_user.is_authenticated:
        return redirect(url_for("inbox.page"))
    return render_template("auth/login.html", form=LoginForm(next=request.args.get("next")))


@blueprint.post("/login")
@public
def sign_in() -> ResponseReturnValue:
    form = LoginForm()
    if not form.validate_on_submit():
        return render_template("auth/login.html", form=form), 422
    try:
        with atomic():
            user = users.authenticate(form.email.data, form.password.data)
            token = sessions.open_session(
                user,
                device=request.user_agent.string,
                address=request.remote_addr or "",
                absolute_seconds=settings().session_absolute_seconds,
            )
    except users.LoginRefused as refusal:
        with atomic():
            users.record_failed_login(form.email.data)
        form.password.errors = [_(refusal.message)]
        return render_template("auth/login.html", form=form), 422
    # A new CSRF secret with a new session: nothing from before the sign-in stays valid.
    session.clear()
    response = redirect(safe_target(form.next.data))
    set_session_cookie(response, token)
    return response


@blueprint.post("/logout")
@signed_in
def logout() -> ResponseReturnValue:
    config = settings()
    with atomic():
        sessions.revoke_session(request.cookies[config.session_cookie_name])
        publish_on_commit(AccessChanged(current_user.id), Audience(user_ids=(current_user.id,)))
    g.pop("live_session", None)
    session.clear()
    response = redirect(url_for("auth.login"))
    response.delete_cookie(
        config.session_cookie_name, secure=config.https, httponly=True, samesite="Lax"
    )
    # Drafts and fragments of this person leave the browser with them.
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


def set_session_cookie(response: BaseResponse, token: str) -> None:
    config = settings()
    response.set_cookie(
        config.session_cookie_name,
        token,
        max_age=config.session_absolute_seconds,
        secure=config.https,
        httponly=True,
        samesite="Lax",
        path="/",
    )


def safe_target(wanted: str | None) -> str:
    """Where to go after signing in: a path of ours, else the inbox. Never another site."""
    fallback = url_for("inbox.page")
    if not wanted or not wanted.startswith("/") or wanted.startswith(("//", "/\\")):
        return fallback
    parts = urlsplit(wanted)
    if parts.scheme or parts.netloc or any(char < " " for char in wanted) or "\\" in wanted:
        return fallback
    return wanted


def settings() -> Config:
    return current_app.config["CRM"]
