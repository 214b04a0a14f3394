"""WhatsApp account numbers and their spellings."""

import pytest

from crm.lib.phone import country_of, phone_of, spellings


@pytest.mark.parametrize(
    ("wa_id", "phone", "country"),
    [
        ("573001234567", "+573001234567", "CO"),
        ("5511987654321", "+5511987654321", "BR"),
        ("5215512345678", "+5215512345678", "MX"),
        ("16505551234", "+16505551234", "US"),
        ("5678", None, None),
        ("bla", None, None),
        ("", None, None),
        ("0573001234567", None, None),
        ("9" * 16, None, None),
    ],
)
def test_a_number_has_a_phone_and_a_country(
    wa_id: str, phone: str | None, country: str | None
) -> None:
    assert phone_of(wa_id) == phone
    assert country_of(wa_id) == country


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5511987654321", "551187654321"),
        ("5215512345678", "525512345678"),
        ("5491123456789", "541123456789"),
    ],
)
def test_one_account_has_two_spellings(one: str, other: str) -> None:
    assert spellings(one) == (one, other)
    assert spellings(other) == (other, one)


@pytest.mark.parametrize("landline", ["551132654321", "551152654321"])
def test_a_brazilian_landline_is_never_rewritten(landline: str) -> None:
    assert spellings(landline) == (landline,)


def test_other_countries_have_one_spelling() -> None:
    assert spellings("573001234567") == ("573001234567",)
    assert spellings("not a number") == ("not a number",)
