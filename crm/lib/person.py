"""How a person is shown: initials, the tint of the disc, a phone number, plain or masked."""

import re

import phonenumbers

TINTS = 5


def initials(name: str) -> str:
    """'Carolina Restrepo' -> 'CR', 'María Paz Ñáñez' -> 'MN', '+57 301 ...' -> '' (no letters)."""
    words = [word for word in re.split(r"[\s.,_-]+", name) if word and word[0].isalpha()]
    if not words:
        return ""
    letters = words[0][0] + (words[-1][0] if len(words) > 1 else words[0][1:2])
    return letters.upper()


def tint(number: int) -> int:
    """Which of the tints 0 to 4 a person has: always the same for the same id; 0 is grey."""
    # Neighbours in a list mostly came one after the other: a step of two keeps them apart.
    return (number * 2) % TINTS


def format_phone(number: str, *, masked: bool = False) -> str:
    """'+573015550142' -> '+57 301 555 0142', masked '+57 *** 0142'; unknown forms stay readable."""
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return _mask_plain(number) if masked else number
    if masked:
        return f"+{parsed.country_code} *** {number[-4:]}"
    shown = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    # Some groups are joined by hyphens or run seven digits long; we read in threes and fours.
    return re.sub(r"\b(\d{3})(\d{4})\b", r"\1 \2", shown.replace("-", " "))


def _mask_plain(number: str) -> str:
    return f"*** {number[-4:]}" if len(number) > 6 else "***"
