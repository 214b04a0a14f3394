"""The audit trail in the reader's words: what was done, and which field of a form it was.

A deed or column that has no words here is shown as the trail holds it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from flask import Blueprint
from flask_babel import lazy_gettext as _l

from crm.blueprints.roles import MODULES
from crm.forms.campaigns import CampaignForm
from crm.forms.kit import AdminForm
from crm.forms.numbers import NumberForm
from crm.forms.queues import QueueForm
from crm.forms.quick_replies import QuickReplyForm
from crm.forms.rules import RuleForm
from crm.forms.tags import TagForm
from crm.forms.templates import TemplateForm
from crm.forms.users import RoleForm, UserForm

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
    "read_body": _l("content read"), "replay": _l("processed again"),
}  # fmt: skip
# The table of a row -> the form in which its fields have their labels.
FORMS: dict[str, type[AdminForm]] = {
    "users": UserForm, "roles": RoleForm, "campaigns": CampaignForm, "queues": QueueForm,
    "routing_rules": RuleForm, "whatsapp_numbers": NumberForm, "quick_replies": QuickReplyForm,
    "templates": TemplateForm, "tags": TagForm,
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
    area = {"routing_rules": "rules", "whatsapp_numbers": "numbers"}.get(table, table)
    return str(MODULES.get(area, table))


@blueprint.app_template_filter("field_word")
def field_word(column: str, entity_type: str | None) -> str:
    return str(labels(entity_type).get(column, column)) if entity_type in FORMS else column


@cache
def labels(entity_type: str) -> dict[str, Any]:
    """Column -> label, still lazy: the language is each reader's."""
    form = FORMS[entity_type]
    fields = {name: getattr(form, name) for name in dir(form) if not name.startswith("_")}
    return {
        name: unbound.args[0]
        for name, unbound in fields.items()
        if hasattr(unbound, "field_class") and unbound.args
    }
