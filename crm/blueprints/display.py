"""What templates may call: times, names of things, and the words behind codes.

A Blueprint without routes, so that it is on every application and every fragment, live ones
included.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from babel.dates import format_date as babel_date
from flask import Blueprint, has_request_context, request
from flask.blueprints import BlueprintSetupState
from flask_babel import format_date, format_decimal, format_time, get_locale, get_timezone
from flask_babel import gettext as _
from markupsafe import Markup

from crm.blueprints.assets import versioned_path
from crm.forms.templates import CATEGORY_WORDS
from crm.lib.clock import utcnow
from crm.lib.languages import name_language
from crm.lib.person import format_phone, initials
from crm.lib.rich_text import is_few_emoji, plain_text, render_text
from crm.models import LeadStatus
from crm.services.inbox import Bubble, NoteBubble

blueprint = Blueprint("display", __name__)

LANGUAGES = (("es", "Español"), ("en", "English"))
THEMES = ("light", "dark")


@blueprint.record_once
def set_globals(state: BlueprintSetupState) -> None:
    """Where the icons are: a global, as imported macros see no context."""
    state.app.jinja_env.globals["icons_url"] = f"{versioned_path()}/img/icons.svg"


@blueprint.app_context_processor
def page_values() -> dict[str, Any]:
    """For every template: the languages, and the theme of this browser."""
    theme = request.cookies.get("theme") if has_request_context() else None
    return {"languages": LANGUAGES, "theme": theme if theme in THEMES else None}


blueprint.add_app_template_global(get_locale, "get_locale")
blueprint.add_app_template_filter(render_text, "rich")
blueprint.add_app_template_filter(plain_text, "plain")
blueprint.add_app_template_filter(is_few_emoji, "few_emoji")
blueprint.add_app_template_filter(initials, "initials")
blueprint.add_app_template_filter(format_phone, "phone")


@blueprint.app_template_test("bubble")
def is_bubble(item: object) -> bool:
    return isinstance(item, Bubble)


@blueprint.app_template_test("note")
def is_note(item: object) -> bool:
    return isinstance(item, NoteBubble)


@blueprint.app_template_filter("moment")
def moment(at: datetime, style: str, css_class: str = "") -> Markup:
    """A `<time>` that the browser writes anew in its own zone; the text here serves until then.

    Styles: clock (10:42), row (10:42, yesterday, Mon, 3 Jul), soon (with the day), date, month.
    """
    return Markup('<time datetime="{}" data-style="{}"{}>{}</time>').format(
        at.isoformat(),
        style,
        Markup(' class="{}"').format(css_class) if css_class else "",
        written(at, style),
    )


@blueprint.app_template_filter("written")
def written(at: datetime, style: str) -> str:
    """The moment in words, in the zone of the request."""
    if style == "clock":
        return format_time(at, "HH:mm")
    if style == "month":
        return format_date(at, "MMMM yyyy")
    if style == "date":
        return format_date(at, "d MMM")
    today = utcnow().astimezone(get_timezone()).date()
    day = at.astimezone(get_timezone()).date()
    if day == today:
        return format_time(at, "HH:mm")
    if style == "soon":
        return f"{babel_date(day, 'EEE', locale=get_locale())} {format_time(at, 'HH:mm')}"
    age = (today - day).days
    if age == 1:
        return _("yesterday")
    if 1 < age < 7:
        return babel_date(day, "EEE", locale=get_locale())
    return babel_date(day, "d MMM", locale=get_locale())


@blueprint.app_template_filter("time_left")
def time_left(seconds: int) -> str:
    """'23 h 49 min left'."""
    hours, minutes = divmod(seconds // 60, 60)
    spoken = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return _("%(time)s left", time=spoken)


@blueprint.app_template_filter("lead_word")
def lead_word(status: LeadStatus) -> str:
    return {
        LeadStatus.NEW: _("New"),
        LeadStatus.CONTACTED: _("Contacted"),
        LeadStatus.QUALIFIED: _("Qualified"),
        LeadStatus.PROPOSAL: _("Proposal"),
        LeadStatus.NEGOTIATION: _("Negotiation"),
        LeadStatus.WON: _("Won"),
        LeadStatus.LOST: _("Lost"),
        LeadStatus.FOLLOW_UP: _("Follow-up"),
    }[status]


@blueprint.app_template_filter("iso_moment")
def iso_moment(text: str, style: str) -> Markup | str:
    """A moment that an event keeps as text."""
    try:
        return moment(datetime.fromisoformat(text), style)
    except ValueError:
        return text


@blueprint.app_template_filter("country_name")
def country_name(code: str | None) -> str:
    """'CO' -> 'Colombia'; anything else as it was typed."""
    return get_locale().territories.get((code or "").upper(), code or "")


@blueprint.app_template_filter("language_name")
def language_name(code: str | None) -> str:
    """'es_CO' -> 'Español (Colombia)', in the reader's language; an unknown code as it is."""
    return name_language(code or "", reader=get_locale())


@blueprint.app_template_filter("category_word")
def category_word(category: str | None) -> str:
    """A template's category; one that Meta has invented since as it is."""
    return str(CATEGORY_WORDS.get(category or "", category or "—"))


@blueprint.app_template_filter("reason")
def failure_reason(message: str | None, code: str | None) -> str:
    """Why a message was not delivered: our words where we have them, else the provider's."""
    if message:
        return _(message)
    return _("Reason %(code)s.", code=code) if code else ""


@blueprint.app_template_filter("duration")
def duration(seconds: int | None) -> str:
    """18 -> '0:18', 3700 -> '1:01:40'; nothing where it is not known."""
    if not seconds:
        return ""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@blueprint.app_template_filter("whole")
def whole(number: int | None) -> str:
    """1000 -> '1.000', in the reader's own writing of numbers."""
    return str(format_decimal(number or 0))


@blueprint.app_template_filter("file_size")
def file_size(size: int | None) -> str:
    """1234567 -> '1,2 MB', in the reader's own writing of numbers."""
    size = size or 0
    if size < 1024 * 1024:
        return f"{max(1, round(size / 1024))} KB"
    return f"{format_decimal(round(size / 1024 / 1024, 1))} MB"
