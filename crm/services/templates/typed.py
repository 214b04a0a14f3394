"""Amounts and moments that stand in a template's text.

A variable is filled with words, or with an amount or a moment that Meta shows in the customer's own
writing; the words that we send along are what older phones show, and what our bubble says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_currency

from crm.errors import Invalid
from crm.providers.outbound import (
    BodyParameter,
    CurrencyParameter,
    DateTimeParameter,
    TextParameter,
)

KINDS = ("text", "currency", "date_time")
CURRENCIES = ("COP", "USD", "EUR", "MXN", "PEN", "CLP", "ARS", "BRL")
MOST = Decimal(10) ** 12


def read_parameter(
    key: str, given: Mapping[str, str], *, label: str, language: str, name: str | None
) -> BodyParameter:
    """The value of one variable: `<key>`, its `<key>.kind`, for amounts its `<key>.code`.

    `language` is Meta's word for the template's ("es_CO"). Raises Invalid with what is wrong.
    """
    value = given[key]
    match given.get(f"{key}.kind", "text"):
        case "currency":
            amount, code = _amount(value, label), given.get(f"{key}.code", CURRENCIES[0])
            if not re.fullmatch(r"[A-Z]{3}", code):
                raise Invalid("Choose the currency of “%(label)s”.", label=label)
            return CurrencyParameter(_money(amount, code, language), code, int(amount * 1000), name)
        case "date_time":
            return DateTimeParameter(_moment(value, label, language), name)
        case _:
            return TextParameter(value, name)


def words_of(parameter: BodyParameter) -> str:
    """How it reads in the text."""
    return parameter.text if isinstance(parameter, TextParameter) else parameter.fallback


def _amount(value: str, label: str) -> Decimal:
    """1250, 1.250,50 and 1,250.50: the last sign before one or two digits is the decimal one."""
    bare = re.sub(r"[^0-9.,-]", "", value)
    whole, decimals = bare, ""
    if found := re.fullmatch(r"(.*?)[.,]([0-9]{1,2})", bare):
        whole, decimals = found.groups()
    try:
        amount = Decimal(f"{re.sub(r'[.,]', '', whole) or '0'}.{decimals or '0'}")
    except InvalidOperation:
        amount = MOST
    if not re.search("[0-9]", bare) or abs(amount) >= MOST:
        raise Invalid("“%(label)s” is no amount: write it like 1250,50.", label=label)
    return amount


def _money(amount: Decimal, code: str, language: str) -> str:
    pattern = "¤ #,##0" if amount == amount.to_integral_value() else "¤ #,##0.00"
    return format_currency(
        amount, code, pattern, locale=_locale(language), currency_digits=False
    ).replace("\xa0", " ")


def _moment(value: str, label: str, language: str) -> str:
    """Of a date alone, or of a date and a time as a browser's field gives them."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise Invalid("“%(label)s” is no date: choose one.", label=label) from None
    day = format_date(moment, "long", locale=_locale(language))
    return f"{day}, {moment:%H:%M}" if re.search("[T ]", value) else day


def _locale(language: str) -> Locale:
    try:
        return Locale.parse(language)
    except (ValueError, UnknownLocaleError):
        return Locale.parse("es")
