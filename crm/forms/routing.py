"""Routing for the whole installation, and trying rules out."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import StringField
from wtforms.validators import ValidationError

from crm.forms.kit import (
    AdminForm,
    LongTextField,
    NumberField,
    Pick,
    TextField,
    Tick,
    Word,
    WordsField,
    at_most,
    between,
    needed,
)
from crm.forms.rules import MESSAGE_WORDS


class RoutingForm(AdminForm):
    """The settings of `crm/services/settings.py` that routing reads."""

    offer_seconds = NumberField(
        _l("An offer lasts"), unit=_l("seconds"), validators=[needed(), between(15, 600)]
    )
    lapse_minutes = NumberField(
        _l("Who let a chat lapse does not get it back for"),
        unit=_l("minutes"),
        validators=[needed(), between(0, 1440)],
    )
    lapses_to_pause = NumberField(
        _l("Paused after so many chats in a row without an answer"),
        validators=[needed(), between(0, 20)],
    )
    busy_when_full = Tick(_l("Busy by itself at full load"))
    vip_segments = WordsField(_l("Segments of high priority"), validators=[at_most(50)])
    pause_reasons = WordsField(_l("Reasons for a pause"), validators=[at_most(20)])

    def validate_pause_reasons(self, field: Any) -> None:
        if any(len(word) > 60 or ":" in word for word in field.data or []):
            raise ValidationError(_("At most 60 letters each, without a colon."))


class TrialForm(AdminForm):
    """A message: made up (`text`, `kind`), or one that has come in (`message_id`).

    `client` is a phone number or a case number, empty for somebody new; `show` asks for the
    messages to choose from, and tries nothing.
    """

    campaign_id = Pick(_l("Campaign"), validators=[needed()])
    number_id = Pick(_l("It came in by"), empty=_l("does not matter"))
    text = LongTextField(_l("Message"), validators=[at_most(2000)])
    kind = Word(_l("Kind of message"), MESSAGE_WORDS, default="text")
    client = TextField(_l("Customer"), validators=[at_most(80)])
    at = StringField(_l("Moment"))
    message_id = Pick(_l("Message"), empty=_l("the one written above"))
    show = TextField(validators=[at_most(1)])
