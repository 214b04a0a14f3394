"""The text of a message as safe markup."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.lib.rich_text import is_few_emoji, plain_text, render_text


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("*hola*", "<strong>hola</strong>"),
        ("son *4 unidades* hoy", "son <strong>4 unidades</strong> hoy"),
        ("_suave_", "<em>suave</em>"),
        ("~no~", "<s>no</s>"),
        ("`x = 1`", "<code>x = 1</code>"),
        ("```\na\nb\n```", "<pre>a\nb</pre>"),
        ("*_ambas_*", "<strong><em>ambas</em></strong>"),
        ("(*dentro*)", "(<strong>dentro</strong>)"),
    ],
)
def test_it_shows_whatsapp_marks(typed, shown):
    assert render_text(typed) == shown


@pytest.mark.parametrize(
    "typed",
    [
        "2 * 3 * 4",
        "a*b*c",
        "* no *",
        "snake_case_name",
        "*sin cierre",
        "*dos\nlíneas*",
        "**",
        "~ ~",
    ],
)
def test_it_leaves_what_is_not_a_mark(typed):
    assert render_text(typed) == typed


def test_it_escapes_everything_a_customer_can_write():
    shown = render_text('<script>alert(1)</script> *<img src=x onerror="y">* & "comillas"')
    assert "<script" not in shown
    assert "<img" not in shown
    assert "<strong>&lt;img src=x onerror=&#34;y&#34;&gt;</strong>" in shown


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("mira https://ejemplo.co/a_b_c?x=1&y=2.", "https://ejemplo.co/a_b_c?x=1&amp;y=2"),
        (
            "(https://es.wikipedia.org/wiki/Mate_(bebida))",
            "https://es.wikipedia.org/wiki/Mate_(bebida)",
        ),
        ("www.ejemplo.co!", "https://www.ejemplo.co"),
        ("*https://ejemplo.co*", "https://ejemplo.co"),
    ],
)
def test_it_links_addresses_without_the_punctuation_behind_them(typed, address):
    assert re.search(r'href="([^"]*)"', render_text(typed))[1] == address


@pytest.mark.parametrize("typed", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd"])
def test_it_links_nothing_but_web_addresses(typed):
    assert "<a" not in render_text(typed)


def test_an_address_cannot_leave_its_attribute():
    shown = render_text("https://x.co/\"onmouseover='alert(1)'")
    assert re.fullmatch(
        r'<a href="[^"<>]*" target="_blank" rel="[a-z ]*">[^"<>]*</a>[^"<>]*', shown
    )


@given(st.text(alphabet="*_~`<>&\"' \nab/:.htps()", max_size=200))
def test_no_text_makes_a_tag_of_its_own(typed):
    ours = r"</?(strong|em|s|code|pre)>|<a href=\"[^\"<>]*\" [^<>]*>|</a>"
    assert not re.search("[<>]", re.sub(ours, "", render_text(typed)))


@pytest.mark.parametrize(
    ("typed", "large"),
    [
        ("👍", True),
        ("🙌🏽", True),
        ("👩‍👩‍👧", True),
        ("❤️", True),
        ("😀😀😀😀", False),
        ("ok 👍", False),
        ("", False),
    ],
)
def test_only_a_few_emoji_are_shown_large(typed, large):
    assert is_few_emoji(typed) is large


def test_one_line_of_a_list_shows_no_marks():
    assert plain_text("*_Hola_* `x`\n```y```  https://a.co/b_c") == "Hola x y https://a.co/b_c"
