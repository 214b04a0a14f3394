"""Sending a file that was uploaded."""

from __future__ import annotations

import uuid

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import HiddenField, IntegerField, TextAreaField
from wtforms.validators import Length, Optional, ValidationError

# WhatsApp's own limit for a caption.
LONGEST_CAPTION = 1024


class AttachmentForm(FlaskForm):
    """`client_key` names this sending: two with the same key are one message."""

    caption = TextAreaField(
        filters=[lambda value: value.replace("\r\n", "\n").strip() if value else value],
        validators=[
            Length(max=LONGEST_CAPTION, message=_l("A caption has at most 1,024 characters."))
        ],
    )
    client_key = HiddenField()
    # The id of the message that this one quotes.
    reply_to = IntegerField(
        filters=[lambda value: value if value and 0 < value < 2**62 else None],
        validators=[Optional()],
    )

    def validate_client_key(self, field: HiddenField) -> None:
        try:
            uuid.UUID(field.data or "")
        except ValueError:
            raise ValidationError(_l("Reload the page and send it again.")) from None

    @property
    def key(self) -> uuid.UUID:
        return uuid.UUID(self.client_key.data)

    @property
    def first_error(self) -> str:
        """The first thing that is wrong, in words."""
        return next((str(message) for errors in self.errors.values() for message in errors), "")
