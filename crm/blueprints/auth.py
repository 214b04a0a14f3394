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
from crm.extensions import htmx, login_manager
from crm.forms.auth import LoginForm
from crm.lib.crypto import new_token
from crm.models import User
from crm.permissions import public, signed_in
from crm.services import audit, first_start, sessions, sign_in
from crm.services.attempts import TooManyAttempts, Turn
from crm.services.sessions import Stage

blueprint = Blueprint("auth", __name__)

# A browser is known for a year after its last sign-in.
DEVICE_SECONDS = 365 * 24 * 3600


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
    if found.stage is not Stage.WHOLE:
        # The one place that decides it: to every other door this is a stranger.
        g.unfinished_session = found
        return None
    g.live_session = found
    return found.user


@login_manager.unauthorized_handler
def ask_to_sign_in() -> ResponseReturnValue:
    """A page goes to the login and comes back; a fragment makes the whole page go there."""
    door = "auth.login" if "unfinished_session" not in g else "two_factor.finish"
    if htmx:
        response = Response(status=401)
        response.headers["HX-Redirect"] = url_for(door)
        return response
    wanted = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for(door, next=wanted if wanted != "/" else None))


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
    if first_start.is_first_start():
        return redirect(url_for("accounts.first"))
    return render_template("auth/login.html", form=LoginForm(next=request.args.get("next")))


@blueprint.post("/login")
@public
def sign_in_form() -> ResponseReturnValue:
    form = LoginForm()
    if not form.validate_on_submit():
        return render_template("auth/login.html", form=form), 422
    email, device = form.email.data, request.cookies.get(device_cookie_name())
    turns: list[Turn] = []
    try:
        with atomic():
            turns = sign_in.begin_attempt(email, address=request.remote_addr or "", device=device)
        device = device or new_token()
        with atomic():
            user = sign_in.authenticate(email, form.password.data, turns=turns)
            token = open_session(user)
            sign_in.remember_device(user, device)
            audit.record("auth.login", user, user_id=user.id)
    except (sign_in.LoginRefused, TooManyAttempts) as refusal:
        if isinstance(refusal, sign_in.LoginRefused):
            note_failure(email, turns)
        form.password.errors = [_(refusal.message, **refusal.values)]
        return render_template("auth/login.html", form=form), refusal.http_status
    # A new CSRF secret with a new session: nothing from before the sign-in stays valid.
    session.clear()
    response = redirect(safe_target(form.next.data))
    set_session_cookie(response, token)
    set_cookie(response, device_cookie_name(), device, seconds=DEVICE_SECONDS)
    return response


def open_session(user: User, *, two_factor: bool = False) -> str:
    """A session of this browser, in the place of the one that its cookie names; its token."""
    config = settings()
    if old := request.cookies.get(config.session_cookie_name):
        sessions.revoke_session(old)
    whole = two_factor or not (user.two_factor_enabled or user.role.requires_two_factor)
    return sessions.open_session(
        user,
        device=request.user_agent.string,
        address=request.remote_addr or "",
        absolute_seconds=(config.session_absolute_seconds if whole else sessions.PENDING_SECONDS),
        two_factor=two_factor,
    )


def note_failure(email: str, turns: list[Turn]) -> None:
    """Count it on the account, and leave a row. What was typed is kept as a hash only."""
    with atomic():
        user_id = sign_in.record_failure(email, turns)
        audit.record(
            "auth.login",
            ("users", user_id),
            success=False,
            error=sign_in.LoginRefused.code,
            meta={"email": audit.keyed_hash(sign_in.folded(email))},
        )


@blueprint.post("/logout")
@signed_in
def logout() -> ResponseReturnValue:
    config = settings()
    with atomic():
        sessions.revoke_session(request.cookies[config.session_cookie_name])
        sessions.publish_access_changed(current_user.id)
        audit.record("auth.logout", ("users", current_user.id))
    g.pop("live_session", None)
    session.clear()
    response = redirect(url_for("auth.login"))
    response.delete_cookie(
        config.session_cookie_name, secure=config.https, httponly=True, samesite="Lax"
    )
    # Drafts of this person leave the browser with them. Not "cache" too: docs/decisions/121.
    response.headers["Clear-Site-Data"] = '"storage"'
    return response


def set_session_cookie(response: BaseResponse, token: str) -> None:
    config = settings()
    set_cookie(response, config.session_cookie_name, token, seconds=config.session_absolute_seconds)


def set_cookie(response: BaseResponse, name: str, value: str, *, seconds: int) -> None:
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        secure=settings().https,
        httponly=True,
        samesite="Lax",
        path="/",
    )


def device_cookie_name() -> str:
    return "__Host-device" if settings().https else "device"


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
