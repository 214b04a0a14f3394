"""The home of the settings: the areas that the person may open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, current_app, render_template
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l

from crm.permissions import Scope, current_scope, signed_in
from crm.services.first_steps import FirstSteps, find_first_steps
from crm.services.number_states import find_troubled
from crm.services.numbers import visible_numbers

blueprint = Blueprint("settings", __name__, url_prefix="/settings")


@dataclass(frozen=True)
class Area:
    """A card of the home. It appears once its endpoint exists and the person may open it."""

    endpoint: str
    permission: str
    icon: str
    title: Any
    text: Any


GROUPS: tuple[tuple[Any, tuple[Area, ...]], ...] = (
    (
        _l("Attention"),
        (
            Area("campaigns.index", "campaigns.read", "campaign", _l("Campaigns"),
                 _l("Service lines: hours, targets, texts, people and numbers")),
            Area("queues.index", "queues.read", "queue", _l("Queues"),
                 _l("Where chats wait, and what happens when a queue is full")),
            Area("rules.index", "rules.read", "filter", _l("Routing rules"),
                 _l("Which chat goes where, by what is known of it")),
            Area("routing.edit", "settings.read", "arrow-out", _l("Routing"),
                 _l("Offers, lapses, reasons for a pause, priority segments")),
            Area("numbers.index", "numbers.read", "phone", _l("Numbers"),
                 _l("The WhatsApp numbers, their provider and their limits")),
        ),
    ),
    (
        _l("Texts"),
        (
            Area("quick_replies.index", "quick_replies.use", "bolt", _l("Quick replies"),
                 _l("Texts that agents insert with a shortcut")),
            Area("templates.index", "templates.read", "template", _l("Templates"),
                 _l("What may be written outside the 24-hour window")),
            Area("tags.index", "tags.manage", "pin", _l("Tags"),
                 _l("The words by which chats and customers are marked")),
        ),
    ),
    (
        _l("People"),
        (
            Area("users.index", "users.read", "users", _l("People"),
                 _l("Accounts, invitations, roles and campaigns of each person")),
            Area("roles.index", "roles.read", "lock", _l("Roles and permissions"),
                 _l("Who may do what")),
            Area("sessions.index", "sessions.read", "monitor", _l("Sessions"),
                 _l("Who is signed in, from where, and ending it")),
            Area("audit.index", "audit.read", "history", _l("Audit"),
                 _l("Who changed what, before and after")),
        ),
    ),
    (
        _l("Operations"),
        (
            Area("alarms.index", "alarms.read", "bell", _l("Alarms"),
                 _l("What needs somebody, since when, and where it is mended")),
            Area("ledger.index", "webhooks.read", "ledger", _l("Ledger"),
                 _l("Everything that the providers delivered, and what became of it")),
        ),
    ),
)  # fmt: skip


@blueprint.app_template_global("may")
def may(permission: str) -> bool:
    """Whether the person behind this request holds it: for buttons; the route asks again."""
    return current_scope().can(permission)


@blueprint.get("")
@signed_in
def home() -> ResponseReturnValue:
    """Only what this person may open, so that nobody finds closed doors."""
    scope = current_scope()
    shown = [
        (title, [area for area in areas if scope.can(area.permission) and exists(area)])
        for title, areas in GROUPS
    ]
    return render_template(
        "settings/home.html",
        steps=first_steps(scope),
        groups=[(title, areas) for title, areas in shown if areas],
        troubled=find_troubled(visible_numbers(scope)) if scope.can("numbers.read") else {},
        frame="settings/_page.html",
        area="settings",
    )


def first_steps(scope: Scope) -> FirstSteps | None:
    """For who sets an installation up, until it can take its first chat."""
    if not all(map(scope.can, ("users.create", "numbers.create", "campaigns.create"))):
        return None
    steps = find_first_steps()
    return None if steps.done else steps


def exists(area: Area) -> bool:
    return area.endpoint in current_app.view_functions
