"""A message template as Meta wants it: name, language, parts, variables, examples, buttons.

Every rule that Meta applies without a person looking is asked here first, with the field that
breaks it. Source: Meta's message template guidelines, and the codes 2388xxx of its API.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from flask_babel import LazyString, get_locale
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
    at_most,
    between,
    needed,
)
from crm.forms.rows import Column, RowsField
from crm.lib.languages import name_language
from crm.models import ParameterFormat

NAME = re.compile(r"[a-z0-9_]{1,255}")
VARIABLE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
WORDS = re.compile(r"\w+")
EMOJI = re.compile("[\u2190-\u2bff\u3030-\u303d\u3297-\u3299\U0001f000-\U0001faff]")
# Meta's own limits.
LONGEST_BODY, LONGEST_LINE, LONGEST_BUTTON, MOST_BUTTONS = 1024, 60, 25, 10
MOST_OF_A_KIND = {"URL": 2, "PHONE_NUMBER": 1, "COPY_CODE": 1}

STATUS_WORDS = {
    "pending": _l("In review"),
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
# What it means and what to do.
STATUS_HELP = {
    "pending": _l("Meta is looking at it; mostly that takes minutes, at most a day."),
    "approved": _l("It may be sent."),
    "rejected": _l("It cannot be sent. Change what Meta names and send it to review again."),
    "disabled": _l(
        "It cannot be sent any more: customers blocked or reported it too often. Write another one."
    ),
    "paused": _l(
        "It cannot be sent for some hours: customers blocked or reported it. Meta lets it go on "
        "by itself; send it to fewer people and only to those who expect it."
    ),
    "in_appeal": _l("Meta looks at its decision again. Until then it cannot be sent."),
    "locked": _l("Meta has locked it: it cannot be sent or changed. Ask Meta's support."),
    "archived": _l(
        "Nobody has sent it for a year. Bring it back at Meta within four weeks, or it is deleted."
    ),
    "pending_deletion": _l("It is being deleted at Meta."),
    "deleted": _l("Meta does not have it any more. Delete it here, or make it again."),
    "limit_exceeded": _l("The account has as many templates as Meta allows: delete some first."),
}
REJECTION_WORDS = {
    "ABUSIVE_CONTENT": _l("Its content is abusive, threatening or asks for forbidden data."),
    "INCORRECT_CATEGORY": _l("It is in the wrong category: advertising is “Marketing”."),
    "INVALID_FORMAT": _l(
        "Its form is wrong: look at the variables, their examples, and the spelling of links."
    ),
    "PROMOTIONAL": _l("It advertises something; put it into the category “Marketing”."),
    "SCAM": _l("Meta takes it for a fraud. Name your company and say why you write."),
    "TAG_CONTENT_MISMATCH": _l("Text and category or language do not fit together."),
}
QUALITY_WORDS = {
    "GREEN": _l("High quality"),
    "YELLOW": _l("Medium quality"),
    "RED": _l("Low quality: it may be paused soon"),
}
CATEGORIES = (
    ("UTILITY", _l("Utility")),
    ("MARKETING", _l("Marketing")),
    ("AUTHENTICATION", _l("One-time code")),
)
CATEGORY_WORDS = dict(CATEGORIES)
CODE_BUTTONS = (("COPY_CODE", _l("Copy the code")), ("ONE_TAP", _l("Fill in by one tap (Android)")))
PACKAGE = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)+")
# Those of Meta's that are spoken where we are; a template that it has in another keeps its own.
LANGUAGES = tuple(
    (code, LazyString(lambda code: name_language(code, reader=get_locale()), code))
    for code in (
        "es", "es_CO", "es_MX", "es_AR", "es_CL", "es_PE", "es_EC", "es_VE", "es_CR", "es_DO",
        "es_HN", "es_PA", "es_UY", "es_ES", "pt_BR", "pt_PT", "en", "en_US", "en_GB", "fr", "it",
        "de",
    )
)  # fmt: skip
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
    ("COPY_CODE", _l("Copy a code")),
)
FORMAT_WORDS = {
    "POSITIONAL": (_l("Numbers"), "{{1}}, {{2}}"),
    "NAMED": (_l("Names"), "{{nombre}}, {{pedido}}"),
}


class TemplateForm(AdminForm):
    whatsapp_number_id = Pick(_l("Number"), validators=[needed()])
    template_name = TextField(_l("Name"), validators=[needed(), at_most(255)])
    language = Word(_l("Language"), LANGUAGES, default="es")
    category = Word(_l("Category"), CATEGORIES, default="UTILITY")
    parameter_format = OneOf(
        _l("Variables"), ParameterFormat, FORMAT_WORDS, default=ParameterFormat.POSITIONAL.value
    )
    header_type = Word(_l("Header"), HEADERS, empty=_l("none"))
    header_content = TextField(_l("Text of the header"), validators=[at_most(LONGEST_LINE)])
    header_example = TextField(_l("Example for the header"), validators=[at_most(1000)])
    body_content = LongTextField(_l("Text"), validators=[needed(), at_most(LONGEST_BODY)])
    body_examples = LongTextField(_l("Examples"), validators=[at_most(2000)])
    footer_content = TextField(_l("Footer"), validators=[at_most(LONGEST_LINE)])
    buttons = RowsField(
        _l("Buttons"),
        of_ids=False,
        columns=(
            Column("type", _l("Kind"), "choice", "QUICK_REPLY", choices=BUTTONS),
            Column("text", _l("Words"), "text", high=LONGEST_BUTTON),
            Column("value", _l("Address or phone"), "text", high=2000),
            Column("example", _l("Example"), "text", high=2000),
        ),
    )

    # For one-time codes, whose text Meta writes.
    code_security = Tick(_l("Warn against sharing the code"), default=True)
    code_minutes = NumberField(
        _l("The code is good for"), unit=_l("minutes"), validators=[between(1, 90)]
    )
    code_button = Word(_l("Button"), CODE_BUTTONS, default="COPY_CODE")
    code_text = TextField(_l("Words of the button"), validators=[at_most(LONGEST_BUTTON)])
    code_autofill = TextField(_l("Words of the one-tap button"), validators=[at_most(25)])
    code_package = TextField(_l("Package of the app"), validators=[at_most(224)])
    code_hash = TextField(_l("Signature hash of the app"), validators=[at_most(11)])

    @property
    def is_code(self) -> bool:
        return bool(self.category.data == "AUTHENTICATION")

    def validate(self, extra_validators: Any = None) -> bool:
        if self.is_code:
            # Neither asked for nor shown: the text is Meta's.
            self.body_content.data = self.body_content.data or "{{1}}"
            self.body_content.raw_data = [self.body_content.data]
            for field in (self.header_content, self.header_example, self.body_examples):
                field.data = None
            self.header_type.data = self.footer_content.data = None
            self.buttons.data = []
            self.parameter_format.data = ParameterFormat.POSITIONAL.value
        return bool(super().validate(extra_validators))

    def validate_code_package(self, field: Any) -> None:
        if not (self.is_code and self.code_button.data == "ONE_TAP"):
            return
        if not PACKAGE.fullmatch(field.data or ""):
            raise ValidationError(_("Like com.example.app, as in the app's store listing."))

    def validate_code_hash(self, field: Any) -> None:
        if self.is_code and self.code_button.data == "ONE_TAP" and len(field.data or "") != 11:
            raise ValidationError(_("Eleven characters; your app's developers have it."))

    def validate_code_text(self, field: Any) -> None:
        if self.is_code and not is_plain(field.data):
            raise ValidationError(_("No variables and no emojis in a button."))

    def validate_code_autofill(self, field: Any) -> None:
        self.validate_code_text(field)

    @property
    def is_named(self) -> bool:
        return bool(self.parameter_format.data == ParameterFormat.NAMED.value)

    def validate_template_name(self, field: Any) -> None:
        if field.data and not NAME.fullmatch(field.data):
            raise ValidationError(_("Small letters, digits and _, like pedido_enviado."))

    def validate_header_content(self, field: Any) -> None:
        if self.header_type.data != "TEXT":
            field.data = None
            return
        if not field.data:
            raise ValidationError(_("Write the text of the header."))
        if EMOJI.search(field.data) or re.search(r"[*_~`\n]", VARIABLE.sub("", field.data)):
            raise ValidationError(
                _("A header holds no emojis, line breaks, or signs like * and _.")
            )
        if len(VARIABLE.findall(field.data)) > 1:
            raise ValidationError(_("A header holds one variable at most."))
        self._check_names(field.data, counted=False)

    def validate_header_example(self, field: Any) -> None:
        kind, header = self.header_type.data, self.header_content.data or ""
        has_variable = kind == "TEXT" and bool(VARIABLE.search(header))
        if kind in ("IMAGE", "VIDEO", "DOCUMENT"):
            if not field.data:
                raise ValidationError(_("Meta wants to see an example: choose a file."))
        elif has_variable and not field.data:
            raise ValidationError(_("Write an example of what stands there."))
        elif not has_variable:
            field.data = None

    def validate_body_content(self, field: Any) -> None:
        text = field.data or ""
        if self.is_code:
            return
        self._check_names(text, counted=True)
        names = VARIABLE.findall(text)
        if not names:
            return
        if re.match(r"\s*\{\{", text) or re.search(r"\}\}[\s.,;:!?]*$", text):
            raise ValidationError(_("A variable may not stand at the beginning or the end."))
        if re.search(r"\}\}\s*\{\{", text):
            raise ValidationError(_("Two variables need words between them."))
        if len(WORDS.findall(VARIABLE.sub(" ", text))) < 2 * len(names) + 1:
            raise ValidationError(
                _("Too many variables for so little text: add words, or take a variable out.")
            )
        if re.search(r"\n{3,}", text):
            raise ValidationError(_("At most one empty line between two paragraphs."))

    def _check_names(self, text: str, *, counted: bool) -> None:
        found = VARIABLE.findall(text)
        if self.is_named:
            if not all(re.fullmatch(r"[a-z][a-z0-9_]{0,29}", name) for name in found):
                raise ValidationError(_("Names have small letters, digits and _: {{nombre}}."))
            return
        numbers = [int(name) for name in found if name.isascii() and name.isdigit()]
        if len(numbers) != len(found):
            raise ValidationError(_("Variables are numbers: {{1}}, {{2}}, and so on."))
        if counted and sorted(set(numbers)) != list(range(1, len(set(numbers)) + 1)):
            raise ValidationError(_("Variables count up from {{1}} without a gap."))

    def validate_body_examples(self, field: Any) -> None:
        if self.body_content.errors or self.is_code:
            return
        wanted = len(set(VARIABLE.findall(self.body_content.data or "")))
        lines = [line for line in (field.data or "").splitlines() if line.strip()]
        if not wanted:
            field.data = None
        elif len(lines) != wanted:
            raise ValidationError(
                _("%(wanted)s variables need %(wanted)s examples, one a line.", wanted=wanted)
            )

    def validate_footer_content(self, field: Any) -> None:
        if VARIABLE.search(field.data or ""):
            raise ValidationError(_("A footer holds no variables."))

    def validate_buttons(self, field: Any) -> None:
        kinds = [row["type"] for row in field.data]
        if len(kinds) > MOST_BUTTONS:
            raise ValidationError(_("At most %(most)s buttons.", most=MOST_BUTTONS))
        for kind, most in MOST_OF_A_KIND.items():
            if kinds.count(kind) > most:
                words = dict(BUTTONS)[kind]
                raise ValidationError(
                    _("At most %(most)s of the kind “%(kind)s”.", most=most, kind=words)
                )
        answers = [kind == "QUICK_REPLY" for kind in kinds]
        if sum(1 for one, other in pairwise(answers) if one != other) > 1:
            raise ValidationError(_("Answers stand together, before or after the other buttons."))
        for row in field.data:
            _check_button(field, row)
        texts = [row["text"].casefold() for row in field.data if row["text"]]
        if len(set(texts)) != len(texts):
            raise ValidationError(_("Two buttons say the same."))
        if field.cell_errors:
            raise ValidationError(_("Look at the marked cells."))


def is_plain(words: str | None) -> bool:
    """Neither a variable nor an emoji, which Meta takes in no button."""
    return not (VARIABLE.search(words or "") or EMOJI.search(words or ""))


def _check_button(field: Any, row: dict[str, Any]) -> None:
    key, value = str(row["key"]), row["value"] or ""
    if row["type"] != "COPY_CODE" and not row["text"]:
        field.cell_errors[(key, "text")] = _("Write something here.")
    elif not is_plain(row["text"]):
        field.cell_errors[(key, "text")] = _("No variables and no emojis in a button.")
    if row["type"] == "URL":
        variables = VARIABLE.findall(value)
        if not value.startswith("https://"):
            field.cell_errors[(key, "value")] = _("An address begins with https://.")
        elif variables and (variables != ["1"] or not value.endswith("}}")):
            field.cell_errors[(key, "value")] = _("One variable {{1}} at the very end, or none.")
        elif variables and not row["example"]:
            field.cell_errors[(key, "example")] = _("Write an example of the whole address.")
    elif row["type"] == "PHONE_NUMBER" and not re.fullmatch(r"\+[1-9][0-9]{6,14}", value):
        field.cell_errors[(key, "value")] = _("Write it like +573001234567.")
    elif row["type"] == "COPY_CODE" and not 1 <= len(row["example"] or "") <= 15:
        field.cell_errors[(key, "example")] = _("An example of the code, at most 15 characters.")
