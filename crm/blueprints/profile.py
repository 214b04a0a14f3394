"""What a person sets for themselves."""

from __future__ import annotations

from flask import Blueprint, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from crm.blueprints.locale import LOCALES
from crm.db import atomic, db
from crm.models import User
from crm.permissions import signed_in

blueprint = Blueprint("profile", __name__)


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
