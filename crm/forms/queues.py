"""A queue: its size, its longest wait, and what happens when it is full."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms.validators import ValidationError

from crm.forms.kit import (
    AdminForm,
    DurationField,
    LongTextField,
    NumberField,
    OneOf,
    Pick,
    TextField,
    Tick,
    at_most,
    between,
    lasting,
    needed,
)
from crm.models import OverflowAction

OVERFLOW_WORDS = {
    "queue": (_l("Wait all the same"), _l("The queue grows beyond its size")),
    "reject": (_l("Turn away"), _l("Says the message and closes the chat")),
    "voicemail": (_l("Take a message"), _l("Says the message; somebody calls back")),
    "transfer": (_l("Another queue"), _l("The chat waits in the overflow queue")),
}


class QueueForm(AdminForm):
    campaign_id = Pick(_l("Campaign"), validators=[needed()])
    name = TextField(_l("Name"), validators=[needed(), at_most(100)])
    description = LongTextField(_l("Description"), validators=[at_most(2000)])
    is_active = Tick(_l("Takes chats"), default=True)
    priority = NumberField(_l("Priority"), default=0, validators=[needed(), between(-1000, 1000)])
    max_size = NumberField(
        _l("Chats waiting at most"), default=100, validators=[needed(), between(1, 100_000)]
    )
    max_wait_seconds = DurationField(
        _l("Longest wait"), default=600, validators=[needed(), lasting(10, 86_400)]
    )
    overflow_action = OneOf(_l("When it is full"), OverflowAction, OVERFLOW_WORDS)
    overflow_queue_id = Pick(_l("Overflow queue"), empty=_l("no queue"))
    overflow_message = LongTextField(_l("Message"), validators=[at_most(4000)])
    # Asked only while chats wait in a queue that is being switched off.
    move_waiting = Tick(_l("Move the waiting chats"))

    def validate_overflow_queue_id(self, field: Any) -> None:
        if self.overflow_action.data == "transfer" and field.data is None:
            raise ValidationError(_("Choose the queue in which the chats go on waiting."))

    def validate_overflow_message(self, field: Any) -> None:
        if self.overflow_action.data in {"reject", "voicemail"} and not field.data:
            raise ValidationError(_("Write what the customer is told."))
