"""The dialogs of a chat: closing, putting aside, passing on, assigning."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import Field, StringField
from wtforms.validators import ValidationError

from crm.forms.kit import AdminForm, LongTextField, Pick, TextField, Word, at_most, needed
from crm.lib.text import clean

CLOSE_WORDS = {
    "resolved": _l("Resolved"),
    "no_reply": _l("The customer does not answer"),
    "duplicate": _l("Duplicate"),
    "wrong_number": _l("Wrong number"),
    "spam": _l("Spam"),
    "rejected": _l("Turned away by a rule"),
    "overflow": _l("The queue was full"),
    "blocked": _l("The contact is blocked"),
    "abandoned": _l("Nobody answered in time"),
}
OUTCOME_WORDS = {
    "sale": _l("Sale"),
    "no_sale": _l("No sale"),
    "information": _l("Information"),
    "complaint": _l("Complaint"),
}
TRANSFER_REASONS = (
    ("knows_more", _l("They know more about this")),
    ("asked_for", _l("The customer asks for them")),
    ("other_area", _l("It belongs to another area")),
    ("too_much", _l("Too much work at once")),
    ("leaving", _l("I am leaving")),
)
MOST_VALUE = Decimal("9999999999999999.99")
# How far ahead something can be put aside.
LONGEST_SNOOZE = timedelta(days=90)


class MoneyField(Field):
    """An amount as people here write it: 1.250.000, 1.250,50 or 1250.50; None when empty."""

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else str(self.data)

    def process_formdata(self, valuelist: list[str]) -> None:
        written = clean(valuelist[0]).strip().lstrip("$").replace(" ", "") if valuelist else ""
        self.data = None
        if not written:
            return
        try:
            self.data = Decimal(_plain_number(written))
        except InvalidOperation:
            raise ValueError(_("Write an amount, like 1.250.000 or 1250,50.")) from None
        if not self.data.is_finite() or not 0 <= self.data <= MOST_VALUE:
            raise ValueError(_("Write an amount, like 1.250.000 or 1250,50."))


def _plain_number(text: str) -> str:
    """The last point or comma parts the cents if one or two digits follow; others group."""
    last = max(text.rfind("."), text.rfind(","))
    if last < 0 or len(text) - last - 1 not in (1, 2):
        return text.replace(".", "").replace(",", "")
    whole = text[:last].replace(".", "").replace(",", "")
    return f"{whole}.{text[last + 1 :]}"


class CloseForm(AdminForm):
    reason = Word(_l("Reason"), ())
    outcome = Word(_l("Outcome"), (), empty=_l("none"))
    outcome_value = MoneyField(_l("Value of the sale"))
    notes = LongTextField(_l("Notes for the next time"), validators=[at_most(2000)])
    outcome_required = False

    def offer(self, reasons: list[tuple[str, Any]], outcomes: list[tuple[str, Any]]) -> None:
        self.reason.choices = reasons
        self.outcome.choices = [("", self.outcome.choices[0][1]), *outcomes]

    def validate_outcome(self, field: Any) -> None:
        if self.outcome_required and not field.data:
            raise ValidationError(_("This campaign asks for an outcome."))


class SnoozeForm(AdminForm):
    """`until` is "customer" (until they write), a preset, or "custom" with `at`."""

    until = Word(_l("Until when"), ())
    at = StringField(_l("Day and hour"))
    note = LongTextField(_l("Note"), validators=[at_most(2000)])
    zone = ZoneInfo("UTC")
    moment: datetime | None = None

    def validate_at(self, field: Any) -> None:
        if self.until.data != "custom":
            return
        try:
            self.moment = datetime.fromisoformat(clean(field.data or "")).replace(tzinfo=self.zone)
        except ValueError:
            raise ValidationError(_("Choose a day and an hour.")) from None
        now = datetime.now(self.zone)
        if not now < self.moment <= now + LONGEST_SNOOZE:
            raise ValidationError(_("Choose a moment within the next 90 days."))


def snooze_presets(now: datetime) -> list[tuple[str, Any, datetime]]:
    """(code, words, moment) of what people usually mean; `now` in the person's own zone."""
    tomorrow = now + timedelta(days=1)
    monday = now + timedelta(days=7 - now.weekday())
    afternoon = now.replace(hour=15, minute=0, second=0, microsecond=0)
    presets = [
        ("1h", _l("In an hour"), now + timedelta(hours=1)),
        ("3h", _l("In three hours"), now + timedelta(hours=3)),
        ("afternoon", _l("This afternoon"), afternoon),
        ("tomorrow", _l("Tomorrow at nine"), _at_nine(tomorrow)),
        ("monday", _l("On Monday at nine"), _at_nine(monday)),
    ]
    return [preset for preset in presets if preset[2] > now]


def _at_nine(day: datetime) -> datetime:
    return day.replace(hour=9, minute=0, second=0, microsecond=0)


class PassOnForm(AdminForm):
    """`kind`: person, queue or campaign; the target is read from the field of that name."""

    kind = Word(
        _l("Where it goes"),
        (("person", _l("Person")), ("queue", _l("Queue")), ("campaign", _l("Campaign"))),
        default="person",
    )
    person = Pick(_l("Person"), empty=_l("choose"))
    queue = Pick(_l("Queue"), empty=_l("choose"))
    campaign = Pick(_l("Campaign"), empty=_l("choose"))
    reason = Word(_l("Reason"), TRANSFER_REASONS, default="knows_more")
    note = LongTextField(_l("Note for whoever goes on"), validators=[at_most(2000)])

    @property
    def target(self) -> int | None:
        return self[self.kind.data].data if self.kind.data else None

    def validate_kind(self, field: Any) -> None:
        if field.data and not self.target:
            chosen = self[field.data]
            chosen.errors = [*chosen.errors, _("Choose where it goes.")]
            raise ValidationError(_("Choose where it goes."))


class AssignForm(AdminForm):
    person = Pick(_l("Person"), empty=_l("choose"), validators=[needed()])
    reason = TextField(_l("Reason"), validators=[at_most(200)])
    note = LongTextField(_l("Note for whoever goes on"), validators=[at_most(2000)])


class ReassignForm(AdminForm):
    """`target`: "spread", "person:<id>" or "queue:<id>"."""

    target = Word(_l("Where they go"), ())
    note = LongTextField(_l("Note for whoever goes on"), validators=[at_most(2000)])
