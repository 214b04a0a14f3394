"""Campaigns: identity, routing, service targets, texts, hours, people and numbers."""

from __future__ import annotations

import re
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms.validators import ValidationError

from crm.forms.hours import HoursField
from crm.forms.kit import (
    AdminForm,
    DurationField,
    LongTextField,
    NumberField,
    OneOf,
    Pick,
    TextField,
    Tick,
    Word,
    at_most,
    between,
    lasting,
    needed,
)
from crm.forms.rows import Column, RowsField
from crm.models import CampaignStatus, RoutingStrategy

CODE = re.compile(r"[A-Z0-9][A-Z0-9_-]{1,19}")
DAY, YEAR = 86_400, 31_536_000
# WhatsApp's own limit for a text, with room for the variables.
LONGEST_TEXT = 4000

STATUS_WORDS = {
    "active": (_l("Active"), _l("Takes new chats")),
    "paused": (_l("Paused"), _l("New chats get the offline message and wait")),
    "ended": (_l("Ended"), _l("Takes no chats any more")),
}
STRATEGY_WORDS = {
    "round_robin": (_l("By turns"), _l("Whoever has waited longest for a chat")),
    "least_busy": (_l("Least busy"), _l("Whoever has the lightest load")),
    "skills": (_l("By skills"), _l("Whoever has all that is asked")),
    "priority": (_l("By priority"), _l("The first ones first")),
    "last_agent": (_l("Last agent"), _l("Whoever attended the customer before")),
    "manual": (_l("By hand"), _l("Each one takes from the queue")),
}
CURRENCIES = ("COP", "MXN", "ARS", "BRL", "CLP", "PEN", "USD", "EUR")
LANGUAGES = (
    ("es-CO", _l("Spanish (Colombia)")),
    ("es-MX", _l("Spanish (Mexico)")),
    ("es-AR", _l("Spanish (Argentina)")),
    ("pt-BR", _l("Portuguese (Brazil)")),
    ("en-US", _l("English")),
)


@cache
def time_zones() -> frozenset[str]:
    return frozenset(name for name in available_timezones() if "/" in name) | {"UTC"}


class CampaignForm(AdminForm):
    name = TextField(_l("Name"), validators=[needed(), at_most(150)])
    code = TextField(_l("Code"), validators=[needed(), at_most(20)])
    description = LongTextField(_l("Description"), validators=[at_most(2000)])
    status = OneOf(_l("Status"), CampaignStatus, STATUS_WORDS)
    priority = NumberField(_l("Priority"), default=0, validators=[needed(), between(-1000, 1000)])
    language = Word(_l("Language of the texts"), LANGUAGES, default="es-CO")
    currency = Word(_l("Currency"), [(code, code) for code in CURRENCIES], default="COP")

    routing_strategy = OneOf(_l("Strategy"), RoutingStrategy, STRATEGY_WORDS)
    take_back_seconds = DurationField(
        _l("Take back without an answer"),
        default=300,
        validators=[lasting(30, DAY)],
    )
    max_queue_size = NumberField(
        _l("Chats waiting at most"), default=100, validators=[needed(), between(1, 100_000)]
    )
    max_wait_seconds = DurationField(
        _l("Longest wait"),
        default=600,
        validators=[needed(), lasting(10, DAY)],
    )
    abandon_enabled = Tick(_l("Give up after the longest wait"))
    reopen_window_seconds = DurationField(
        _l("Reopen a closed chat within"), validators=[lasting(60, 30 * DAY)]
    )

    sla_first_response_seconds = DurationField(
        _l("First response"), default=60, validators=[lasting(5, DAY)]
    )
    sla_resolution_seconds = DurationField(
        _l("Resolution"), default=3600, validators=[lasting(60, YEAR)]
    )

    welcome_message = LongTextField(_l("Welcome"), validators=[at_most(LONGEST_TEXT)])
    queue_message = LongTextField(_l("On entering the queue"), validators=[at_most(LONGEST_TEXT)])
    queue_message_interval_seconds = DurationField(
        _l("Say it again at most every"), validators=[lasting(60, DAY)]
    )
    wait_message = LongTextField(_l("After the longest wait"), validators=[at_most(LONGEST_TEXT)])
    offline_message = LongTextField(_l("Outside hours"), validators=[at_most(LONGEST_TEXT)])
    closed_message = LongTextField(_l("On closing"), validators=[at_most(LONGEST_TEXT)])
    abandon_message = LongTextField(_l("On giving up"), validators=[at_most(LONGEST_TEXT)])
    inactivity_reminder_seconds = DurationField(
        _l("Remind a silent customer after"),
        validators=[lasting(60, DAY)],
    )
    inactivity_reminder_message = LongTextField(_l("Reminder"), validators=[at_most(LONGEST_TEXT)])
    inactivity_close_seconds = DurationField(
        _l("Close a silent chat after"), validators=[lasting(60, 30 * DAY)]
    )
    csat_enabled = Tick(_l("Ask how satisfied the customer is"))
    csat_question = LongTextField(_l("Question"), validators=[at_most(1000)])
    bot_enabled = Tick(_l("The bot answers first"), default=True)
    outcome_required = Tick(_l("Closing asks for an outcome"))

    timezone = TextField(
        _l("Time zone"), default="America/Bogota", validators=[needed(), at_most(50)]
    )
    business_hours = HoursField(_l("Business hours"))

    agents = RowsField(
        _l("Agents"),
        columns=(
            Column("max_concurrent_chats", _l("Chats at once"), "number", 5, 1, 100),
            Column("priority", _l("Priority"), "number", 0, -1000, 1000),
            Column("skills", _l("Skills, with commas"), "words"),
            Column("is_active", _l("Works here"), "tick", True),
        ),
    )
    numbers = RowsField(
        _l("Numbers"), columns=(Column("priority", _l("Priority"), "number", 0, -1000, 1000),)
    )
    primary_number = Pick(_l("Primary number"), empty=_l("none"))

    def validate_code(self, field: Any) -> None:
        if field.data and not CODE.fullmatch(field.data):
            raise ValidationError(
                _("2 to 20 capital letters, digits, - or _; it begins with a letter or digit.")
            )

    def validate_timezone(self, field: Any) -> None:
        if field.data and field.data not in time_zones():
            raise ValidationError(
                _("There is no such time zone; one is written like America/Bogota.")
            )

    def validate_inactivity_close_seconds(self, field: Any) -> None:
        reminder = self.inactivity_reminder_seconds.data
        if field.data is not None and reminder is not None and field.data <= reminder:
            raise ValidationError(_("Closing must come after the reminder."))

    def validate_inactivity_reminder_message(self, field: Any) -> None:
        if self.inactivity_reminder_seconds.data and not field.data:
            raise ValidationError(_("Write what the reminder says."))

    def validate_csat_question(self, field: Any) -> None:
        if self.csat_enabled.data and not field.data:
            raise ValidationError(_("Write the question that the customer gets."))

    def validate_primary_number(self, field: Any) -> None:
        linked = {row["key"] for row in self.numbers.data or []}
        if not field.raw_data and field.data not in linked:
            field.data = None  # its row was taken out, and the choice with it
        if self.numbers.errors:
            return
        if field.data is not None and field.data not in linked:
            raise ValidationError(_("The primary number is one of this campaign's."))
