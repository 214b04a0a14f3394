"""A quick reply: the shortcut and the text that it inserts."""

from __future__ import annotations

import re
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms.validators import ValidationError

from crm.forms.kit import AdminForm, LongTextField, Pick, TextField, Tick, Word, at_most, needed

SHORTCUT = re.compile(r"[a-z0-9ñáéíóúü][a-z0-9ñáéíóúü_-]{0,29}")
REACH_WORDS = {
    "personal": _l("Only me"),
    "campaign": _l("One campaign"),
    "everybody": _l("Everybody"),
}


class QuickReplyForm(AdminForm):
    shortcut = TextField(_l("Shortcut"), validators=[needed(), at_most(30)])
    title = TextField(_l("Title"), validators=[needed(), at_most(150)])
    content = LongTextField(_l("Text"), validators=[needed(), at_most(4096)])
    # The door leaves the reaches that the person may write for.
    reach = Word(_l("For whom"), list(REACH_WORDS.items()), default="personal")
    campaign_id = Pick(_l("Campaign"), empty=_l("none"))
    is_active = Tick(_l("In use"), default=True)

    def validate_shortcut(self, field: Any) -> None:
        # Kept as "/gracias", with or without the slash in the form.
        field.data = f"/{(field.data or '').removeprefix('/').lower()}"
        if not SHORTCUT.fullmatch(field.data[1:]):
            raise ValidationError(_("Letters, digits, - and _, without spaces; like gracias."))

    def validate_campaign_id(self, field: Any) -> None:
        if self.reach.data != "campaign":
            field.data = None
        elif field.data is None:
            raise ValidationError(_("Choose the campaign."))
