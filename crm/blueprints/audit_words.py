"""The audit trail in the reader's words: what was done, and which field of a form it was.

A deed or column that has no words here is shown as the trail holds it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from flask import Blueprint
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm.blueprints.permission_words import WORDS as PERMISSION_WORDS
from crm.blueprints.roles import MODULES
from crm.forms.campaigns import CampaignForm
from crm.forms.kit import AdminForm
from crm.forms.numbers import NumberForm, NumberPreferences
from crm.forms.queues import QueueForm
from crm.forms.quick_replies import QuickReplyForm
from crm.forms.routing import RoutingForm
from crm.forms.rules import RuleForm
from crm.forms.tags import TagForm
from crm.forms.templates import TemplateForm
from crm.forms.users import RoleForm, UserForm
from crm.services import audit

blueprint = Blueprint("audit_words", __name__)

AREAS = {**MODULES, "auth": _l("Access"), "access": _l("Access"), "profile": _l("Profile")}
VERBS = {
    "create": _l("made"), "update": _l("change"), "delete": _l("deleted"),
    "export": _l("exported"), "login": _l("sign-in"), "logout": _l("sign-out"),
    "two_factor": _l("second factor given"), "denied": _l("attempt without permission"),
    "revoke": _l("ended"), "avatar": _l("picture changed"),
    "suspend": _l("suspended"), "deactivate": _l("deactivated"), "reactivate": _l("let in again"),
    "invite": _l("invited"), "reset": _l("link for a new password"),
    "invite_accepted": _l("invitation accepted"), "reset_accepted": _l("password chosen by link"),
    "change_password": _l("password changed"), "update_profile": _l("own profile changed"),
    "two_factor_on": _l("second factor switched on"),
    "two_factor_off": _l("second factor switched off"),
    "two_factor_reset": _l("second factor taken away"),
    "backup_codes_renewed": _l("written codes renewed"),
    "set_permissions": _l("permissions changed"), "order": _l("new order"),
    "pause": _l("sending paused"), "resume": _l("sending resumed"), "test": _l("connection tested"),
    "subscribe": _l("subscribed at Meta"), "refresh": _l("Meta asked"),
    "connect": _l("phone connected"), "disconnect": _l("phone disconnected"),
    "log_out": _l("phone logged out"),
    "read_body": _l("content read"), "replay": _l("processed again"),
    "replay_many": _l("many processed again"), "stop_replay": _l("processing stopped"),
    "set_aside": _l("set aside"), "take_back": _l("taken back"),
}  # fmt: skip
# What a deed says besides: the circumstances that services and doors write as `meta`.
DETAILS = {
    "session_id": _l("Session"), "sessions": _l("Sessions"), "reason": _l("Reason"),
    "bulk": _l("Changed together"), "undo": _l("Taken back"), "kind": _l("Second factor by"),
    "email": _l("E-mail, as a mark"), "filter": _l("Filter"), "file_id": _l("File"),
    "chosen": _l("Chosen"), "total": _l("In all"),
}  # fmt: skip
# Tables whose word is not the one of their module.
THINGS = {
    "routing_rules": MODULES["rules"], "whatsapp_numbers": MODULES["numbers"],
    "chat_notes": MODULES["notes"], "webhook_events": _l("Deliveries"),
    "webhook_replays": _l("Processing again"),
}  # fmt: skip
# Fields that are in no form of theirs.
FIELDS = {
    "status": _l("Status"), "status_reason": _l("Reason"), "role_id": _l("Role"),
    "agent_status": _l("Availability"), "avatar_url": _l("Picture"), "deleted_at": _l("Deleted"),
    "password_hash": _l("Password"), "two_factor_enabled": _l("Second factor"),
    "two_factor_secret": _l("Second factor's secret"), "is_system": _l("Of the system"),
    "permissions": _l("Permissions"), "order": _l("Order"), "is_active": _l("Active"),
    "sending_paused": _l("Sending is paused"), "sending_paused_at": _l("Paused since"),
    "sending_paused_by": _l("Paused by"), "enter_sends": _l("Enter sends"),
    "uses_phone": _l("Also used on its phone"),
    "phone_number": _l("Phone"), "first_name": _l("First name"), "last_name": _l("Last name"),
    "email": _l("E-mail"), "company": _l("Company"), "city": _l("City"),
    "country": _l("Country"), "address": _l("Address"), "notes": _l("Notes"),
    "lead_status": _l("Lead status"), "lead_score": _l("Lead score"), "segment": _l("Segment"),
    "is_blocked": _l("Blocked"), "block_reason": _l("Reason of the block"),
    "opt_in": _l("Agreed to advertising"), "opt_in_date": _l("Agreed on"),
    "chat_id": _l("Chat"), "user_id": _l("Person"), "content": _l("Text"),
    "edited_at": _l("Edited"), "client_key": _l("Mark of the form"),
    "custom_fields": _l("Own fields"), "ltv": _l("Value of purchases"),
    "total_purchases": _l("Purchases"), "last_purchase_at": _l("Last purchase"),
}  # fmt: skip
# Words of enums and the like, where a value stands for one of a few.
VALUES = {
    "status": {
        "active": _l("Active"), "inactive": _l("Inactive"), "suspended": _l("Suspended"),
        "paused": _l("Paused"), "ended": _l("Ended"),
    },
    "agent_status": {
        "available": _l("Available"), "busy": _l("Busy"), "paused": _l("On a break"),
        "offline": _l("Offline"),
    },
    "kind": {
        "totp": _l("code of the phone"), "backup_code": _l("written code"), "setup": _l("set up"),
    },
}  # fmt: skip
# Why something was refused: the codes of our errors that reach the trail.
ERRORS = {
    "forbidden": _l("no permission"), "login_refused": _l("wrong e-mail or password"),
    "wrong_code": _l("wrong code"),
    "last_super_admin": _l("the last super administrator"),
}  # fmt: skip
# The table of a row -> the forms in which its fields have their labels.
FORMS: dict[str, tuple[type[AdminForm], ...]] = {
    "users": (UserForm,), "roles": (RoleForm,), "campaigns": (CampaignForm,),
    "queues": (QueueForm,), "routing_rules": (RuleForm,), "whatsapp_numbers": (NumberForm,),
    "quick_replies": (QuickReplyForm,), "templates": (TemplateForm,), "tags": (TagForm,),
    "settings": (RoutingForm, NumberPreferences),
}  # fmt: skip


@blueprint.app_template_filter("deed")
def deed(action: str) -> str:
    """'users.update' -> 'People: changed'."""
    area, _dot, verb = action.partition(".")
    if area not in AREAS or verb not in VERBS:
        return action
    return f"{AREAS[area]}: {VERBS[verb]}"


@blueprint.app_template_filter("thing")
def thing(table: str) -> str:
    """'routing_rules' -> 'Routing rules'."""
    return str(THINGS.get(table) or MODULES.get(table, table))


@blueprint.app_template_filter("field_word")
def field_word(column: str, entity_type: str | None) -> str:
    """A column by its form's label; a permission, where people got or lost one, by its name."""
    return str(find_field(column, entity_type) or column)


def find_field(column: str, entity_type: str | None) -> Any:
    if column in PERMISSION_WORDS:
        return PERMISSION_WORDS[column][0]
    known = labels(entity_type) if entity_type in FORMS else {}
    return known.get(column) or FIELDS.get(column)


@blueprint.app_template_filter("detail_word")
def detail_word(name: str) -> str:
    return str(DETAILS.get(name, name))


@blueprint.app_template_filter("error_word")
def error_word(code: str | None) -> str:
    return str(ERRORS.get(code or "", code or ""))


@blueprint.app_template_filter("audit_value")
def audit_value(value: Any, name: str = "") -> str:
    """A value of a difference, on one line; `name` is its field's."""
    if value is None or value in ("", [], {}):
        return "—"
    if value == audit.HIDDEN:
        return _("hidden")
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if isinstance(value, list):
        return ", ".join(audit_value(each, name) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {audit_value(each)}" for key, each in value.items())
    if name in PERMISSION_WORDS:
        return {"grant": _("Granted"), "revoke": _("Denied")}.get(value, str(value))
    if value in PERMISSION_WORDS:
        return str(PERMISSION_WORDS[value][0])
    return str(VALUES.get(name, {}).get(value, value))


@cache
def labels(entity_type: str) -> dict[str, Any]:
    """Column -> label, still lazy: the language is each reader's."""
    fields = {
        name: getattr(form, name)
        for form in FORMS[entity_type]
        for name in dir(form)
        if not name.startswith("_")
    }
    return {
        name: unbound.args[0]
        for name, unbound in fields.items()
        if hasattr(unbound, "field_class") and unbound.args
    }
