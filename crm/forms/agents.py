"""The agent's own status, and handing over before a break."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import StringField
from wtforms.validators import InputRequired, ValidationError

from crm.forms.kit import AdminForm, LongTextField, at_most
from crm.models import AgentStatus

STATUSES = [status.value for status in AgentStatus]
TARGET = re.compile(r"keep|queue|[1-9][0-9]{0,9}")


class OwnStatusForm(FlaskForm):
    """`status` is one of the four words, or `paused:<reason>`: one button sends one value."""

    status = StringField(validators=[InputRequired()])
    reasons: Sequence[str] = ()

    def validate_status(self, field: StringField) -> None:
        status, _colon, reason = (field.data or "").partition(":")
        if status not in STATUSES or (
            reason and (status != "paused" or reason not in self.reasons)
        ):
            raise ValidationError(_("There is no such status."))

    @property
    def wanted(self) -> AgentStatus:
        return AgentStatus((self.status.data or "").partition(":")[0])

    @property
    def reason(self) -> str | None:
        return (self.status.data or "").partition(":")[2] or None


class HandOverForm(AdminForm):
    """Where each chat goes is read by `targets_of`; the note goes along with all that move."""

    note = LongTextField(_l("Note for whoever goes on"), validators=[at_most(2000)])


def targets_of(formdata: dict[str, str]) -> dict[int, str]:
    """`chat-7=queue` -> {7: "queue"}; what is no target is left out."""
    found = {}
    for name, value in formdata.items():
        number = name.removeprefix("chat-")
        is_id = number.isascii() and number.isdigit() and len(number) < 10
        if name.startswith("chat-") and is_id and TARGET.fullmatch(value):
            found[int(number)] = value
    return found
