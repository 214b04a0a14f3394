"""A message template as Meta wants it: name, language, parts, variables."""

from __future__ import annotations

import re
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms.validators import ValidationError

from crm.forms.kit import AdminForm, LongTextField, Pick, TextField, Word, at_most, needed
from crm.forms.rows import Column, RowsField

NAME = re.compile(r"[a-z0-9_]{1,255}")
VARIABLE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
# Meta's own limits.
LONGEST_BODY, LONGEST_LINE, MOST_BUTTONS = 1024, 60, 10

STATUS_WORDS = {
    "pending": _l("Waiting for Meta"),
    "approved": _l("Approved"),
    "rejected": _l("Rejected"),
    "disabled": _l("Disabled by Meta"),
    "paused": _l("Paused by Meta"),
    "in_appeal": _l("In appeal"),
    "locked": _l("Locked"),
    "archived": _l("Archived"),
    "pending_deletion": _l("Being deleted"),
    "deleted": _l("Deleted at Meta"),
    "limit_exceeded": _l("Too many templates"),
}
CATEGORIES = (
    ("UTILITY", _l("Utility")),
    ("MARKETING", _l("Marketing")),
    ("AUTHENTICATION", _l("Authentication")),
)
LANGUAGES = (
    ("es", _l("Spanish")),
    ("es_CO", _l("Spanish (Colombia)")),
    ("es_MX", _l("Spanish (Mexico)")),
    ("es_AR", _l("Spanish (Argentina)")),
    ("pt_BR", _l("Portuguese (Brazil)")),
    ("en", _l("English")),
    ("en_US", _l("English (US)")),
)
HEADERS = (
    ("TEXT", _l("Text")),
    ("IMAGE", _l("Photo")),
    ("VIDEO", _l("Video")),
    ("DOCUMENT", _l("Document")),
    ("LOCATION", _l("Location")),
)
BUTTONS = (
    ("QUICK_REPLY", _l("Answer")),
    ("URL", _l("Web address")),
    ("PHONE_NUMBER", _l("Phone call")),
)


class TemplateForm(AdminForm):
    whatsapp_number_id = Pick(_l("Number"), validators=[needed()])
    template_name = TextField(_l("Name"), validators=[needed(), at_most(255)])
    language = Word(_l("Language"), LANGUAGES, default="es")
    category = Word(_l("Category"), CATEGORIES, default="UTILITY")
    header_type = Word(_l("Header"), HEADERS, empty=_l("none"))
    header_content = TextField(_l("Text of the header"), validators=[at_most(LONGEST_LINE)])
    body_content = LongTextField(_l("Text"), validators=[needed(), at_most(LONGEST_BODY)])
    footer_content = TextField(_l("Footer"), validators=[at_most(LONGEST_LINE)])
    buttons = RowsField(
        _l("Buttons"),
        of_ids=False,
        columns=(
            Column("type", _l("Kind"), "choice", "QUICK_REPLY", choices=BUTTONS),
            Column("text", _l("Words"), "text", high=25),
            Column("value", _l("Address or phone"), "text", high=2000),
        ),
    )

    def validate_template_name(self, field: Any) -> None:
        if field.data and not NAME.fullmatch(field.data):
            raise ValidationError(_("Small letters, digits and _, like pedido_enviado."))

    def validate_header_content(self, field: Any) -> None:
        if self.header_type.data != "TEXT":
            field.data = None
        elif not field.data:
            raise ValidationError(_("Write the text of the header."))
        elif len(VARIABLE.findall(field.data)) > 1:
            raise ValidationError(_("A header holds one variable at most."))

    def validate_body_content(self, field: Any) -> None:
        found = VARIABLE.findall(field.data or "")
        numbers = [int(name) for name in found if name.isascii() and name.isdigit()]
        if len(numbers) != len(found):
            raise ValidationError(_("Variables are numbers: {{1}}, {{2}}, and so on."))
        if sorted(set(numbers)) != list(range(1, len(set(numbers)) + 1)):
            raise ValidationError(_("Variables count up from {{1}} without a gap."))

    def validate_footer_content(self, field: Any) -> None:
        if VARIABLE.search(field.data or ""):
            raise ValidationError(_("A footer holds no variables."))

    def validate_buttons(self, field: Any) -> None:
        if len(field.data) > MOST_BUTTONS:
            raise ValidationError(_("At most %(most)s buttons.", most=MOST_BUTTONS))
        for row in field.data:
            key = str(row["key"])
            if not row["text"]:
                field.cell_errors[(key, "text")] = _("Write something here.")
            value = row["value"] or ""
            if row["type"] == "URL" and not value.startswith("https://"):
                field.cell_errors[(key, "value")] = _("An address begins with https://.")
            if row["type"] == "PHONE_NUMBER" and not re.fullmatch(r"\+[1-9][0-9]{6,14}", value):
                field.cell_errors[(key, "value")] = _("Write it like +573001234567.")
        if field.cell_errors:
            raise ValidationError(_("Look at the marked cells."))
