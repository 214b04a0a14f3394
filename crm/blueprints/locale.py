"""In which language and time zone a person sees the screens."""

from flask import current_app, has_request_context, request
from flask_login import current_user

LOCALES = ("es", "en")
COOKIE = "lang"


def select_locale() -> str:
    """The person's own choice, else this browser's cookie, else what it asks for, else Spanish."""
    default = current_app.config["CRM"].default_locale
    if not has_request_context():
        return default
    chosen = current_user.language if current_user.is_authenticated else None
    chosen = chosen or request.cookies.get(COOKIE)
    if chosen in LOCALES:
        return chosen
    return request.accept_languages.best_match(LOCALES, default) or default


def select_time_zone() -> str:
    default = current_app.config["CRM"].default_time_zone
    if has_request_context() and current_user.is_authenticated and current_user.time_zone:
        return current_user.time_zone
    return default
