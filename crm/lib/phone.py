"""WhatsApp account numbers ("573001234567"): their phone, their country, their other spellings."""

from __future__ import annotations

import re

import phonenumbers

# The shortest international numbers have seven digits, E.164 ends at fifteen.
PHONE = re.compile(r"[1-9]\d{6,14}")
# (pattern, other spelling): the same account, written with and without the mobile digit.
SPELLINGS = (
    # Brazil: mobiles begin with 6 to 9 and have had a ninth digit before them since 2016. Landlines
    # (2 to 5) never had one, and stay as they are.
    (re.compile(r"(55[1-9]\d)9([6-9]\d{7})"), r"\1\2"),
    (re.compile(r"(55[1-9]\d)([6-9]\d{7})"), r"\g<1>9\2"),
    # Mexico wrote mobiles with a 1 until 2019, Argentina writes them with a 9 from abroad.
    (re.compile(r"521(\d{10})"), r"52\1"),
    (re.compile(r"52(\d{10})"), r"521\1"),
    (re.compile(r"549(\d{10})"), r"54\1"),
    (re.compile(r"54(\d{10})"), r"549\1"),
)


# A number without its country is one of ours.
HOME = "CO"


def read_dialled(text: str) -> str | None:
    """What a person writes, '300 123 4567' or '+52 55 1234 5678', as digits with the country's
    code; None for what is no phone number.
    """
    try:
        parsed = phonenumbers.parse(text, HOME)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164).lstrip("+")


def phone_of(wa_id: str | None) -> str | None:
    """'573001234567' -> '+573001234567'; None for what is no phone number."""
    return f"+{wa_id}" if wa_id and PHONE.fullmatch(wa_id) else None


def country_of(wa_id: str | None) -> str | None:
    """The ISO code of the number's country, 'CO'; None where the prefix does not tell."""
    phone = phone_of(wa_id)
    if phone is None:
        return None
    try:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(phone, None))
    except phonenumbers.NumberParseException:
        return None
    return region if region and region != "001" else None


def spellings(wa_id: str) -> tuple[str, ...]:
    """All ways in which this account may be written, this one first."""
    others = [
        pattern.sub(replacement, wa_id)
        for pattern, replacement in SPELLINGS
        if pattern.fullmatch(wa_id)
    ]
    return (wa_id, *others)
