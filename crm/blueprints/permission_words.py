"""Permissions and the product's own roles in the reader's language.

The rows hold Spanish names, as the migrations seed them. A role that somebody has renamed is shown
as they call it.
"""

# ruff: noqa: E501  (a table: one permission, one line)

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flask import Blueprint
from flask_babel import lazy_gettext as _l

from crm.models import Permission, Role
from crm.permissions import ACTIONS

blueprint = Blueprint("permission_words", __name__)

# name: what it is called, what it allows. A test holds the names against crm.permissions.
WORDS: dict[str, tuple[Any, Any]] = {
    "chats.read": (_l("See chats"), _l("See one's own chats, and those that other permissions open.")),
    "chats.read_queue": (_l("See waiting chats"), _l("See the chats that wait in the queues of one's campaigns.")),
    "chats.read_all": (_l("See all chats"), _l("See all chats of one's campaigns, other people's too.")),
    "chats.reply": (_l("Answer chats"), _l("Write to customers and receive assigned chats.")),
    "chats.start": (_l("Start chats"), _l("Write first to a customer, with a template.")),
    "chats.assign": (_l("Assign chats"), _l("Assign or reassign chats to any agent of one's campaigns.")),
    "chats.pick": (_l("Take chats"), _l("Take a chat that waits in the queue.")),
    "chats.transfer": (_l("Pass chats on"), _l("Offer a chat to somebody, or move it to another queue or campaign.")),
    "chats.close": (_l("Close chats"), _l("Close chats with their reason and outcome.")),
    "chats.reopen": (_l("Reopen chats"), _l("Reopen a closed chat.")),
    "chats.peek": (_l("Watch chats"), _l("Open somebody else's chat without marking it as read.")),
    "chats.whisper": (_l("Whisper to the agent"), _l("Write to the agent without the customer seeing it.")),
    "chats.export": (_l("Export chats"), _l("Download conversations.")),
    "chats.delete": (_l("Delete chats"), _l("Take test chats or spam out of lists and figures.")),
    "messages.retry": (_l("Retry messages"), _l("Send a message again that has failed.")),
    "messages.read_revoked": (_l("See deleted messages"), _l("See the original of a message that the customer deleted.")),
    "notes.create": (_l("Write notes"), _l("Add internal notes to a chat.")),
    "notes.delete": (_l("Delete notes"), _l("Delete other people's internal notes.")),
    "clients.read": (_l("See customers"), _l("See customers' data and history.")),
    "clients.create": (_l("Create customers"), _l("Add new customers.")),
    "clients.update": (_l("Edit customers"), _l("Change a customer's data.")),
    "clients.delete": (_l("Delete customers"), _l("Take customers out of the lists.")),
    "clients.view_phone": (_l("See phone numbers"), _l("See customers' whole phone numbers.")),
    "clients.import": (_l("Import customers"), _l("Load customers from CSV or XLSX.")),
    "clients.export": (_l("Export customers"), _l("Download the list of customers.")),
    "clients.merge": (_l("Merge customers"), _l("Merge doubles, and undo it.")),
    "clients.block": (_l("Block customers"), _l("Block or unblock a customer, with a reason.")),
    "clients.erase": (_l("Erase customers' data"), _l("Make a customer who asks for it anonymous.")),
    "tags.use": (_l("Use tags"), _l("Put on and take off existing tags.")),
    "tags.manage": (_l("Manage tags"), _l("Create, change and withdraw tags.")),
    "tasks.read": (_l("See tasks"), _l("See one's own tasks.")),
    "tasks.read_all": (_l("See all tasks"), _l("See the tasks of the people in one's campaigns.")),
    "tasks.create": (_l("Create tasks"), _l("Create tasks and reminders.")),
    "tasks.update": (_l("Edit tasks"), _l("Change, comment and complete tasks.")),
    "tasks.delete": (_l("Delete tasks"), _l("Delete tasks.")),
    "files.read": (_l("See files"), _l("Open files of the chats that one may see.")),
    "files.upload": (_l("Upload files"), _l("Attach files.")),
    "files.delete": (_l("Delete files"), _l("Delete stored files.")),
    "quick_replies.use": (_l("Use quick replies"), _l("Insert quick replies.")),
    "quick_replies.manage_own": (_l("Manage own quick replies"), _l("Create and change one's personal quick replies.")),
    "quick_replies.manage": (_l("Manage quick replies"), _l("Create and change those of campaigns and of everybody.")),
    "templates.read": (_l("See templates"), _l("See the message templates.")),
    "templates.send": (_l("Send templates"), _l("Send approved templates.")),
    "templates.manage": (_l("Manage templates"), _l("Create templates, send them to review, delete them.")),
    "campaigns.read": (_l("See campaigns"), _l("See how campaigns are set up.")),
    "campaigns.create": (_l("Create campaigns"), _l("Create service campaigns.")),
    "campaigns.update": (_l("Edit campaigns"), _l("Change hours, targets, texts and agents of a campaign.")),
    "campaigns.delete": (_l("Delete campaigns"), _l("Withdraw campaigns.")),
    "numbers.read": (_l("See numbers"), _l("See the WhatsApp numbers and how they are.")),
    "numbers.create": (_l("Add numbers"), _l("Add WhatsApp numbers.")),
    "numbers.update": (_l("Edit numbers"), _l("Change a number's credentials and limits.")),
    "numbers.delete": (_l("Delete numbers"), _l("Withdraw WhatsApp numbers.")),
    "numbers.connect": (_l("Connect numbers"), _l("Connect, disconnect and test a number.")),
    "queues.read": (_l("See queues"), _l("See the queues.")),
    "queues.create": (_l("Create queues"), _l("Create queues of a campaign.")),
    "queues.update": (_l("Edit queues"), _l("Change limits, priority and overflow of a queue.")),
    "queues.delete": (_l("Delete queues"), _l("Delete queues of a campaign.")),
    "rules.read": (_l("See rules"), _l("See the routing rules.")),
    "rules.create": (_l("Create rules"), _l("Create routing rules.")),
    "rules.update": (_l("Edit rules"), _l("Change and order routing rules.")),
    "rules.delete": (_l("Delete rules"), _l("Delete routing rules.")),
    "bots.read": (_l("See bots"), _l("See the bot flows.")),
    "bots.create": (_l("Create bots"), _l("Create bot flows.")),
    "bots.update": (_l("Edit bots"), _l("Change a flow's draft.")),
    "bots.delete": (_l("Delete bots"), _l("Delete flows that are not in use.")),
    "bots.publish": (_l("Publish bots"), _l("Publish a version of a flow.")),
    "agents.set_own_status": (_l("Change one's status"), _l("Change one's own availability.")),
    "agents.set_status": (_l("Change agents' status"), _l("Change the status and the limits of other agents.")),
    "board.read": (_l("See the board"), _l("See the live board.")),
    "reports.read": (_l("See reports"), _l("See reports and figures.")),
    "reports.export": (_l("Export reports"), _l("Download reports as CSV and XLSX.")),
    "quality.read": (_l("See evaluations"), _l("See the evaluations of quality.")),
    "quality.score": (_l("Evaluate conversations"), _l("Rate conversations.")),
    "users.read": (_l("See people"), _l("See the people and their roles.")),
    "users.create": (_l("Create accounts"), _l("Invite people.")),
    "users.update": (_l("Edit accounts"), _l("Change data, role and permissions of an account.")),
    "users.delete": (_l("Delete accounts"), _l("Withdraw accounts.")),
    "roles.read": (_l("See roles"), _l("See the roles and their permissions.")),
    "roles.create": (_l("Create roles"), _l("Create roles of one's own.")),
    "roles.update": (_l("Edit roles"), _l("Change the permissions of a role.")),
    "roles.delete": (_l("Delete roles"), _l("Delete roles that nobody holds.")),
    "sessions.read": (_l("See sessions"), _l("See other people's open sessions.")),
    "sessions.revoke": (_l("End sessions"), _l("End other people's sessions.")),
    "audit.read": (_l("See the audit trail"), _l("Read the audit trail.")),
    "audit.export": (_l("Export the audit trail"), _l("Download the audit trail.")),
    "webhooks.read": (_l("See received events"), _l("See what the providers have sent.")),
    "webhooks.read_body": (_l("Read received bodies"), _l("Read deliveries as they came, with what customers wrote.")),
    "webhooks.replay": (_l("Process events again"), _l("Process again events that failed.")),
    "alarms.read": (_l("See alarms"), _l("See the alarms of numbers and providers.")),
    "alarms.acknowledge": (_l("Mark alarms as seen"), _l("Mark alarms as seen, so that they stop asking.")),
    "backups.read": (_l("See backups"), _l("See the backups and their verification.")),
    "backups.create": (_l("Create backups"), _l("Start a backup.")),
    "backups.restore": (_l("Restore backups"), _l("Restore a backup.")),
    "backups.download": (_l("Download backups"), _l("Download a backup.")),
    "settings.read": (_l("See the settings"), _l("See how the installation is set up.")),
    "settings.update": (_l("Change the settings"), _l("Change how the installation is set up.")),
}  # fmt: skip

# name: what is seeded -> the reader's language, for its name and its description.
ROLES: dict[str, dict[str, dict[str, Any]]] = {
    "super_admin": {
        "display_name": {"Super Administrador": _l("Super administrator")},
        "description": {"Acceso total al sistema": _l("May do everything")},
    },
    "supervisor": {
        "display_name": {"Supervisor": _l("Supervisor")},
        "description": {"Gestión de equipo y monitoreo": _l("Leads the team and watches over it")},
    },
    "agent": {
        "display_name": {"Agente": _l("Agent")},
        "description": {"Atención de chats": _l("Attends chats")},
    },
    "quality": {
        "display_name": {"Calidad": _l("Quality")},
        "description": {"Evaluación de conversaciones": _l("Scores conversations")},
    },
    "audit": {
        "display_name": {"Auditoría": _l("Audit")},
        "description": {"Solo lectura de logs": _l("Reads the logs, nothing else")},
    },
}


@blueprint.app_template_filter("permission_word")
def permission_word(permission: Permission) -> str:
    words = WORDS.get(permission.name)
    return str(words[0]) if words else permission.display_name


@blueprint.app_template_filter("permission_help")
def permission_help(permission: Permission) -> str:
    words = WORDS.get(permission.name)
    return str(words[1]) if words else permission.description or ""


@blueprint.app_template_filter("role_word")
def role_word(role: Role) -> str:
    """Its name in the reader's language, while nobody has given it another one."""
    return _say(role, "display_name")


@blueprint.app_template_filter("role_help")
def role_help(role: Role) -> str:
    """What it is for, likewise."""
    return _say(role, "description")


def _say(role: Role, field: str) -> str:
    stored = getattr(role, field) or ""
    return str(ROLES.get(role.name, {}).get(field, {}).get(stored, stored))


def as_stored(role: Role, values: Mapping[str, Any]) -> dict[str, Any]:
    """What a form says of the role, with the words that were only translated as they are stored."""
    untranslated = {
        field: getattr(role, field)
        for field in ("display_name", "description")
        if values[field] == _say(role, field)
    }
    return {**values, **untranslated}


@blueprint.app_template_filter("by_module")
def by_module(permissions: Iterable[Permission]) -> list[tuple[str, list[Permission]]]:
    """(module, its permissions) in the order of the product: chats first, settings last."""
    found: dict[str, list[Permission]] = {module: [] for module in ACTIONS}
    for permission in permissions:
        found.setdefault(permission.module, []).append(permission)
    for module, items in found.items():
        known = [f"{module}.{action}" for action in ACTIONS.get(module, ())]
        items.sort(key=lambda one: known.index(one.name) if one.name in known else len(known))
    return [(module, items) for module, items in found.items() if items]
