"""The fields of the admin forms: cleaned, bounded, with errors that say what to write."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from babel.units import format_unit
from flask_babel import format_decimal, get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, Field, HiddenField, StringField
from wtforms.validators import StopValidation, ValidationError
from wtforms.widgets import PasswordInput, TextArea

from crm.lib.text import clean

WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
# What no form writes into a row, whatever a request says.
OWN_FIELDS = {"csrf_token", "version"}


class AdminForm(FlaskForm):
    """The base of every admin form. Only its declared fields are ever read from a request.

    `version` holds the prints of the values that the page was opened with (services/kit.py).
    """

    version = HiddenField()

    def values(self) -> dict[str, Any]:
        """The fields by name, as the service wants them."""
        return {name: field.data for name, field in self._fields.items() if name not in OWN_FIELDS}

    def wrong_fields(self) -> list[Field]:
        return [field for name, field in self._fields.items() if field.errors]


class TextField(StringField):
    """One line: trimmed, without control characters; None when empty."""

    def process_formdata(self, valuelist: list[str]) -> None:
        if valuelist:
            self.data = " ".join(clean(valuelist[0]).split()) or None


class LongTextField(StringField):
    """Several lines: line breaks as one character, trimmed; None when empty."""

    widget = TextArea()

    def process_formdata(self, valuelist: list[str]) -> None:
        if valuelist:
            self.data = clean(valuelist[0]).replace("\r\n", "\n").strip() or None


class NumberField(Field):
    """A whole number, or None when empty. "1e9" and "1.5" are none."""

    def __init__(self, *args: Any, unit: Any = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.unit = unit

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else str(self.data)

    def process_formdata(self, valuelist: list[str]) -> None:
        if not valuelist:
            return
        written = clean(valuelist[0]).strip()
        self.data = None
        if not written:
            return
        if not WHOLE.fullmatch(written):
            raise ValueError(_("Write a whole number, without points or letters."))
        self.data = int(written)


class DurationField(NumberField):
    """A time, kept in seconds, written as a whole number of a unit that is chosen beside it.

    `<name>-unit` is the unit; without it (a request by hand) the number means seconds.
    """

    UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    WORDS = {"s": _l("seconds"), "m": _l("minutes"), "h": _l("hours"), "d": _l("days")}
    unit_code = "m"

    def process(self, formdata: Any, *args: Any, **options: Any) -> None:
        self.written_unit = formdata.get(f"{self.name}-unit", "s") if formdata else None
        super().process(formdata, *args, **options)

    def process_data(self, value: int | None) -> None:
        self.data = value
        if value:
            self.unit_code = largest_unit(value)

    def process_formdata(self, valuelist: list[str]) -> None:
        super().process_formdata(valuelist)
        if self.written_unit in self.UNITS:
            self.unit_code = self.written_unit
        if self.data is not None:
            self.data *= self.UNITS[self.unit_code]

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else str(self.data // self.UNITS[self.unit_code])


def largest_unit(seconds: int) -> str:
    """The largest in which the time is a whole number: 5400 -> "m" (90)."""
    fitting = [code for code, size in DurationField.UNITS.items() if seconds % size == 0]
    return fitting[-1]


class SecretField(StringField):
    """Write-only: it is never shown again. Empty keeps what is stored, `<name>-clear` removes it.

    `data` is the new text, "" to remove, None to keep; `is_set` says whether one is stored.
    """

    widget = PasswordInput(hide_value=True)
    is_set = False

    def process(self, formdata: Any, *args: Any, **options: Any) -> None:
        super().process(formdata, *args, **options)
        self.data = None
        if not formdata:
            return
        written = clean("".join(formdata.getlist(self.name)[:1])).strip()
        if written:
            self.data = written
        elif formdata.get(f"{self.name}-clear"):
            self.data = ""


class Choosing(Field):
    """One of `choices`, a list of (value, words). Not WTForms' SelectField: it brings widgets and
    messages of its own, and the macros draw ours.
    """

    choices: Sequence[tuple[Any, Any]] = ()
    may_be_empty = False

    def take(self, value: Any) -> Any:
        return getattr(value, "value", value) or None

    def process_data(self, value: Any) -> None:
        self.data = self.take(value)

    def process_formdata(self, valuelist: list[str]) -> None:
        if valuelist:
            self.data = self.take(clean(valuelist[0]))

    def pre_validate(self, form: Any) -> None:
        if self.data is None and self.may_be_empty:
            return
        if self.data not in [value for value, _words in self.choices]:
            raise StopValidation(_("Choose one of the options."))


class OneOf(Choosing):
    """One word of an enum; `labels` maps its values to (word, explanation or "")."""

    def __init__(
        self, label: Any, enum: type[StrEnum], labels: Mapping[str, Any], **options: Any
    ) -> None:
        options.setdefault("default", next(iter(enum)).value)
        super().__init__(label, **options)
        self.choices = [(member.value, labels[member.value]) for member in enum]


class Pick(Choosing):
    """One row by its id, from the ones that the door offers; None for the empty choice."""

    def __init__(self, label: Any, *, empty: Any = None, **options: Any) -> None:
        super().__init__(label, **options)
        self.empty = empty
        self.may_be_empty = empty is not None

    def take(self, value: Any) -> int | None:
        if value in (None, ""):
            return None
        # A text that is no id must not pass as "nothing chosen".
        return int(value) if str(value).isascii() and str(value).isdigit() else -1

    def offer(self, choices: Sequence[tuple[int, str]]) -> None:
        first: list[tuple[Any, Any]] = [("", self.empty)] if self.may_be_empty else []
        self.choices = [*first, *choices]


class Word(Choosing):
    """One of some words (codes) in a list; None for the empty choice."""

    def __init__(
        self, label: Any, words: Sequence[tuple[str, Any]], *, empty: Any = None, **options: Any
    ) -> None:
        super().__init__(label, **options)
        self.may_be_empty = empty is not None
        self.choices = ([("", empty)] if self.may_be_empty else []) + list(words)

    def offer_also(self, value: str, words: Any) -> None:
        """What a row holds already, though nobody could choose it anew."""
        if value not in [known for known, _words in self.choices]:
            self.choices = [*self.choices, (value, words)]


class Tick(BooleanField):
    """Yes or no, as a switch."""


class WordsField(StringField):
    """A list of words with commas between them: 'ventas, inglés' -> ['ventas', 'ingles']."""

    def __init__(self, *args: Any, tidy: Callable[[str], str] = str.strip, **options: Any) -> None:
        super().__init__(*args, **options)
        self.tidy = tidy

    def _value(self) -> str:
        return ", ".join(self.data or [])

    def process_formdata(self, valuelist: list[str]) -> None:
        if valuelist:
            self.data: Any = split_words(valuelist[0], tidy=self.tidy)


def split_words(text: str, *, tidy: Callable[[str], str] = str.strip) -> list[str]:
    """The words between commas, each once, in their order."""
    words = (tidy(part.strip()) for part in re.split(r"[,;\n]", clean(text)))
    return list(dict.fromkeys(word for word in words if word))


# Validators. Each call makes the sentence anew: the language is the reader's.


def needed(message: Any = None) -> Callable[[Any, Field], None]:
    """Something must be written or chosen."""

    def check(form: Any, field: Field) -> None:
        if field.errors:
            raise StopValidation
        if field.data in (None, "", []):
            raise StopValidation(message or _("Write something here."))

    check.field_flags = {"required": True}  # type: ignore[attr-defined]
    return check


def at_most(length: int) -> Callable[[Any, Field], None]:
    def check(form: Any, field: Field) -> None:
        if field.data and len(field.data) > length:
            raise ValidationError(
                _(
                    "At most %(most)s characters; this has %(has)s.",
                    most=format_decimal(length),
                    has=format_decimal(len(field.data)),
                )
            )

    check.field_flags = {"maxlength": length}  # type: ignore[attr-defined]
    return check


def lasting(low: int, high: int) -> Callable[[Any, Field], None]:
    """A time of so many seconds, or nothing; the sentence says them in the units of people."""

    def spell(seconds: int) -> str:
        code = largest_unit(seconds)
        unit = {"s": "second", "m": "minute", "h": "hour", "d": "day"}[code]
        return format_unit(
            seconds // DurationField.UNITS[code], f"duration-{unit}", locale=get_locale()
        )

    def check(form: Any, field: Field) -> None:
        if field.data is not None and not low <= field.data <= high:
            raise ValidationError(
                _("Between %(low)s and %(high)s.", low=spell(low), high=spell(high))
            )

    return check


def between(low: int, high: int) -> Callable[[Any, Field], None]:
    """A number in these bounds, or nothing."""

    def check(form: Any, field: Field) -> None:
        if field.data is not None and not low <= field.data <= high:
            raise ValidationError(
                _(
                    "Between %(low)s and %(high)s.",
                    low=format_decimal(low),
                    high=format_decimal(high),
                )
            )

    check.field_flags = {"min": low, "max": high}  # type: ignore[attr-defined]
    return check
