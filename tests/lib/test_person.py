"""How a person is shown."""

import pytest

from crm.lib.person import format_phone, initials, tint


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Carolina Restrepo", "CR"),
        ("María Paz Ñáñez", "MÑ"),
        ("ana", "AN"),
        ("J", "J"),
        ("+57 301 555 0142", ""),
        ("🙌 Luisa", "LU"),
        ("", ""),
        ("李小龙", "李小"),
    ],
)
def test_initials_come_from_the_first_and_last_word(name, letters):
    assert initials(name) == letters


def test_a_phone_is_grouped_and_masked_but_for_its_country_and_end():
    assert format_phone("+573015550142") == "+57 301 555 0142"
    assert format_phone("+573015550142", masked=True) == "+57 *** 0142"


def test_a_number_that_nobody_can_read_is_not_shown_by_masking():
    assert format_phone("123456789012345678901", masked=True) == "*** 8901"
    assert format_phone("12345", masked=True) == "***"


def test_a_tint_belongs_to_its_id():
    assert tint(7) == tint(7)
    assert {tint(number) for number in range(20)} == {0, 1, 2, 3, 4}
