import pytest
from babel import Locale

from crm.lib.languages import name_language


@pytest.mark.parametrize(
    ("code", "in_spanish", "in_english"),
    [
        ("es", "Español", "Spanish"),
        ("es_MX", "Español (México)", "Spanish (Mexico)"),
        ("en-US", "Inglés (Estados Unidos)", "English (United States)"),
        # Meta may know what Babel does not, and rows may hold anything.
        ("xx_YY", "xx_YY", "xx_YY"),
        ("no such thing", "no such thing", "no such thing"),
        ("", "", ""),
    ],
)
def test_a_language_has_its_name_in_the_readers_language(code, in_spanish, in_english):
    assert name_language(code, reader=Locale("es")) == in_spanish
    assert name_language(code, reader=Locale("en")) == in_english
