"""A routing rule: its conditions as plain fields, and what it does."""

from __future__ import annotations

from typing import Any

import phonenumbers
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms.validators import ValidationError

from crm.forms.kit import (
    AdminForm,
    LongTextField,
    NumberField,
    OneOf,
    Pick,
    TextField,
    Tick,
    Word,
    WordsField,
    at_most,
    between,
    needed,
)
from crm.lib.patterns import PatternError, compile_pattern
from crm.lib.text import fold
from crm.models import RuleAction

ACTION_WORDS = {
    "assign_queue": (_l("To a queue"), _l("It waits there for an agent")),
    "assign_agent": (_l("To a person"), _l("If free; else to the queue")),
    "assign_bot": (_l("To a bot"), _l("The flow talks first")),
    "reject": (_l("Turn away"), _l("Says the message and closes the chat")),
    "transfer_campaign": (_l("To another campaign"), _l("With its rules and hours")),
}
LEAD_WORDS = (
    ("new", _l("New")),
    ("contacted", _l("Contacted")),
    ("qualified", _l("Qualified")),
    ("proposal", _l("Proposal")),
    ("negotiation", _l("Negotiation")),
    ("won", _l("Won")),
    ("lost", _l("Lost")),
    ("follow_up", _l("Follow-up")),
)
MESSAGE_WORDS = (
    ("text", _l("Text")),
    ("image", _l("Photo")),
    ("audio", _l("Audio")),
    ("video", _l("Video")),
    ("document", _l("Document")),
    ("location", _l("Location")),
    ("contact", _l("Contact")),
    ("sticker", _l("Sticker")),
    ("order", _l("Order")),
)
PRIORITY_WORDS = (
    ("low", _l("Low")),
    ("normal", _l("Normal")),
    ("high", _l("High")),
    ("urgent", _l("Urgent")),
)
OPERATORS = (
    ("=", "="), ("!=", "≠"), (">", ">"), (">=", "≥"), ("<", "<"), ("<=", "≤"),
    ("contains", _l("contains")), ("starts_with", _l("begins with")), ("is_set", _l("is set")),
)  # fmt: skip
YES_NO = (("yes", _l("Yes")), ("no", _l("No")))
HOURS_WORDS = (("inside", _l("Within business hours")), ("outside", _l("Outside business hours")))
ANY = _l("does not matter")


def _why_not(error: PatternError) -> str:
    if error.code == "too_large":
        return _("The pattern is too large; ask for fewer repetitions.")
    if error.code == "not_possible":
        return _("Looking around and back references are not possible here.")
    return _("The pattern cannot be read: %(why)s.", why=str(error))


class RuleForm(AdminForm):
    campaign_id = Pick(_l("Campaign"), validators=[needed()])
    name = TextField(_l("Name"), validators=[needed(), at_most(100)])
    description = LongTextField(_l("Description"), validators=[at_most(2000)])
    priority = NumberField(_l("Priority"), default=0, validators=[needed(), between(-1000, 1000)])
    is_active = Tick(_l("In force"), default=True)

    client_tag = TextField(_l("The customer has the tag"), validators=[at_most(50)])
    segment = TextField(_l("The customer is of the segment"), validators=[at_most(50)])
    lead_status = Word(_l("Lead status"), LEAD_WORDS, empty=ANY)
    country = TextField(_l("Country of the customer"), validators=[at_most(2)])
    keyword = TextField(_l("The message has the word"), validators=[at_most(100)])
    regex = TextField(_l("The message matches the pattern"), validators=[at_most(200)])
    message_type = Word(_l("Kind of message"), MESSAGE_WORDS, empty=ANY)
    first_contact = Word(_l("First contact"), YES_NO, empty=ANY)
    hours = Word(_l("Hours"), HOURS_WORDS, empty=ANY)
    number_id = Pick(_l("It came in by"), empty=ANY)
    variable_name = TextField(_l("Variable of the bot"), validators=[at_most(50)])
    variable_operator = Word(_l("Comparison"), OPERATORS, default="=")
    variable_value = TextField(_l("Value"), validators=[at_most(200)])

    action = OneOf(_l("What happens"), RuleAction, ACTION_WORDS)
    target_queue_id = Pick(_l("Queue"), empty=_l("choose"))
    target_user_id = Pick(_l("Person"), empty=_l("choose"))
    target_bot_flow_id = Pick(_l("Flow"), empty=_l("choose"))
    target_campaign_id = Pick(_l("Other campaign"), empty=_l("choose"))
    message = LongTextField(_l("Message"), validators=[at_most(4000)])
    set_priority = Word(_l("Priority of the chat"), PRIORITY_WORDS, empty=_l("as it is"))
    required_skills = WordsField(
        _l("Skills that are needed"),
        tidy=lambda word: fold(word).strip()[:50],
        validators=[at_most(30)],
    )

    def validate_country(self, field: Any) -> None:
        if not field.data:
            return
        field.data = field.data.upper()
        if field.data not in phonenumbers.SUPPORTED_REGIONS:
            raise ValidationError(_("Two letters, like CO or MX."))

    def validate_regex(self, field: Any) -> None:
        try:
            compile_pattern(field.data or "")
        except PatternError as error:
            raise ValidationError(_why_not(error)) from None

    def validate_variable_value(self, field: Any) -> None:
        if field.data and not self.variable_name.data:
            raise ValidationError(_("Write which variable is compared."))
        if self.variable_name.data and not field.data and self.variable_operator.data != "is_set":
            raise ValidationError(_("Write the value it is compared with."))

    def _require(self, field: Any, action: str, sentence: str) -> None:
        if self.action.data != action:
            field.data = None
        elif not field.data:
            raise ValidationError(sentence)

    def validate_target_queue_id(self, field: Any) -> None:
        self._require(field, "assign_queue", _("Choose the queue."))

    def validate_target_user_id(self, field: Any) -> None:
        self._require(field, "assign_agent", _("Choose the person."))

    def validate_target_bot_flow_id(self, field: Any) -> None:
        self._require(field, "assign_bot", _("Choose the flow."))

    def validate_target_campaign_id(self, field: Any) -> None:
        self._require(field, "transfer_campaign", _("Choose the other campaign."))
        if field.data is not None and field.data == self.campaign_id.data:
            raise ValidationError(_("It is in this campaign already."))

    def validate_message(self, field: Any) -> None:
        self._require(field, "reject", _("Write what the customer is told."))
