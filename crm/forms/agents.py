"""The agent's own status."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import StringField
from wtforms.validators import AnyOf, InputRequired

from crm.models import AgentStatus

# What the switch proposes for a pause; kept as this word, shown in the reader's language.
PAUSE_REASONS = {
    "break": _l("Short break"),
    "lunch": _l("Lunch"),
    "meeting": _l("Meeting"),
    "training": _l("Training"),
}
_CHOICES = [status.value for status in AgentStatus] + [f"paused:{code}" for code in PAUSE_REASONS]


class OwnStatusForm(FlaskForm):
    """`status` is one of the four words, or `paused:<reason>`: one button sends one value."""

    status = StringField(
        validators=[InputRequired(), AnyOf(_CHOICES, message=_l("There is no such status."))]
    )

    @property
    def wanted(self) -> AgentStatus:
        return AgentStatus((self.status.data or "").partition(":")[0])

    @property
    def reason(self) -> str | None:
        return (self.status.data or "").partition(":")[2] or None
