"""Sending a file that was uploaded."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from wtforms import TextAreaField
from wtforms.validators import Length

from crm.forms.messages import SendingForm

# WhatsApp's own limit for a caption.
LONGEST_CAPTION = 1024


class AttachmentForm(SendingForm):
    """A file with its caption."""

    caption = TextAreaField(
        filters=[lambda value: value.replace("\r\n", "\n").strip() if value else value],
        validators=[
            Length(max=LONGEST_CAPTION, message=_l("A caption has at most 1,024 characters."))
        ],
    )
