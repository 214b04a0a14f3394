"""WhatsApp's limits, told before a message is queued."""

import pytest

from crm.errors import Invalid
from crm.providers.outbound import (
    Buttons,
    ContactCard,
    ContactPhone,
    Contacts,
    LinkButton,
    ListMenu,
    ListRow,
    ListSection,
    Location,
    Media,
    MediaKind,
    Reaction,
    ReplyButton,
    Text,
)
from crm.services.messages.checks import check_content, is_one_emoji, length_of
from crm.services.messages.consent import is_opt_out
from tests.providers.outgoing import ALL


def buttons(*titles, **more):
    rows = tuple(ReplyButton(str(n), title) for n, title in enumerate(titles))
    return Buttons("¿Cuál?", rows, **more)


def menu(*counts, **more):
    sections = tuple(
        ListSection(tuple(ListRow(f"{s}.{r}", f"Fila {r}") for r in range(count)), f"S{s}")
        for s, count in enumerate(counts)
    )
    return ListMenu("Elija", "Ver", sections, **more)


@pytest.mark.parametrize("name", [n for n in ALL if "template" not in n])
def test_what_is_right_stays_as_it_is(name):
    assert check_content(ALL[name]) == ALL[name]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (Text(" \n\x00 "), "Write a message"),
        (Text("a" * 4097), "at most"),
        (Text("😀" * 2049), "at most"),
        (Media(MediaKind.AUDIO, media_id="1", caption="x"), "no text"),
        (Media(MediaKind.IMAGE, media_id="1", caption="x" * 1025), "at most"),
        (Location(91, 0), "no place"),
        (Location(float("nan"), 0), "no place"),
        (Location(0, 0, name="x" * 1001), "at most"),
        (Contacts(()), "Choose a contact"),
        (Contacts((ContactCard(" ", " "),)), "needs a name"),
        (Contacts((ContactCard("Ana", "Ana"),)), "phone number"),
        (Contacts((ContactCard("Ana", "Ana", phones=(ContactPhone("1"),)),) * 258), "at most"),
        (Reaction("wamid.x", "ok"), "one emoji"),
        (Reaction("wamid.x", "👍👍"), "one emoji"),
        (buttons(), "one to three"),
        (buttons("1", "2", "3", "4"), "one to three"),
        (buttons("a" * 21), "at most"),
        (buttons("😀" * 11), "emojis count"),
        (buttons(" "), "needs words"),
        (buttons("Sí", "sí "), "say the same"),
        (Buttons("x", (ReplyButton("1", "A"), ReplyButton("1", "B"))), "same id"),
        (Buttons("", (ReplyButton("1", "A"),)), "text above"),
        (Buttons("x" * 1025, (ReplyButton("1", "A"),)), "at most"),
        (buttons("A", header="x" * 61), "header"),
        (buttons("A", footer="x" * 61), "footer"),
        (menu(), "one to ten"),
        (menu(5, 6), "ten rows"),
        (menu(1, 0), "needs a row"),
        (ListMenu("x", "", menu(1).sections), "needs words"),
        (ListMenu("x", "y" * 21, menu(1).sections), "at most"),
        (ListMenu("x", "y", (ListSection((ListRow("1", "a" * 25),)),)), "at most"),
        (ListMenu("x", "y", (ListSection((ListRow("1", "a", "b" * 73),)),)), "at most"),
        (ListMenu("x", "y", (ListSection((ListRow("1", "a"),)),) * 2), "needs a title"),
        (LinkButton("x", "Ver", "ftp://example.com"), "https"),
        (LinkButton("x", "Ver", "https://exam ple.com"), "https"),
        (LinkButton("x", "V" * 21, "https://example.com"), "at most"),
        (LinkButton("x", "Ver", "https://example.com/" + "a" * 2000), "at most"),
    ],
)
def test_what_whatsapp_would_refuse_is_said_in_words(content, words):
    with pytest.raises(Invalid, match=words):
        check_content(content)


def test_texts_are_tidied():
    found = check_content(buttons(" Sí \n", "No\x00", header=" ", footer=" Gracias "))
    assert [button.title for button in found.buttons] == ["Sí", "No"]
    assert (found.header, found.footer) == (None, "Gracias")
    assert check_content(Text("a\r\nb\ud83d")).body == "a\nb\ufffd"


def test_length_is_counted_as_a_phone_counts():
    assert [length_of(text) for text in ("año", "😀", "👨‍👩‍👧", "\ud83d")] == [3, 2, 8, 1]


@pytest.mark.parametrize("emoji", ["👍", "❤️", "👍🏽", "👨‍👩‍👧", "🇨🇴", "☺", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "✅", "©️"])
def test_one_emoji_is_one_however_many_signs_make_it(emoji):
    assert is_one_emoji(emoji)


@pytest.mark.parametrize("text", ["a", "👍a", "👍👍", "12", "🇨🇴🇲🇽", "!", " ", "👍 ", "ñ"])
def test_what_is_no_single_emoji(text):
    assert not is_one_emoji(text)


@pytest.mark.parametrize(
    "text", ["BAJA", "stop", " Salir. ", "¡Cancelar!", "parar", "SAIR", "Baja"]
)
def test_an_opt_out_word_stands_alone(text):
    assert is_opt_out(text)


@pytest.mark.parametrize("text", ["", None, "quiero salir", "baja el precio", "stopp", "no parar"])
def test_within_a_sentence_it_is_a_word_like_others(text):
    assert not is_opt_out(text)
