"""The composer."""

from __future__ import annotations

import uuid

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import HiddenField, TextAreaField
from wtforms.validators import Length, ValidationError

# WhatsApp's own limit for a text.
LONGEST_TEXT = 4096


def _whole(value: str | None) -> int | None:
    """An id from a hidden field; anything else is none."""
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 19 else None


class SendingForm(FlaskForm):
    """What every sending has: `client_key` names it, and two with the same key are one message."""

    client_key = HiddenField()
    # The message that this one quotes.
    reply_to = HiddenField(filters=[_whole])

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


class MessageForm(SendingForm):
    """A text to a customer."""

    text = TextAreaField(
        _l("Message"),
        # A browser sends line breaks as CR LF; WhatsApp counts and shows one.
        filters=[lambda value: value.replace("\r\n", "\n").strip() if value else value],
        validators=[
            Length(
                max=LONGEST_TEXT,
                message=_l("A message has at most 4,096 characters; split this one."),
            )
        ],
    )
    # The quick reply it began with, and "1" for no link preview.
    quick_reply = HiddenField(filters=[_whole])
    no_preview = HiddenField()

    def validate_text(self, field: TextAreaField) -> None:
        if not (field.data or "").strip():
            raise ValidationError(_l("Write something first."))

    @property
    def previews(self) -> bool:
        return self.no_preview.data != "1"
