"""Every kind of message in one conversation, light, dark and on a phone; and quotes that lead."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.desk import give_to_laura, is_up, phones_of, until
from tests.browser.measures import faults_of
from tests.simulator.server import NUMBER
from tests.stack import RunningStack

ADMIN = "admin@demo.charla.local"
WA_ID, NAME = "573009990071", "Aurora Todas"
SAMPLES = (
    "photo", "video", "voice", "sticker", "document", "location", "contact",
    "order", "ad", "unsupported", "form", "permission",
)  # fmt: skip


@pytest.fixture(scope="module")
def chat_id(stack: RunningStack) -> int:
    """A customer has sent one of each kind, changed two texts, called, and changed the number."""
    phones = phones_of(stack)
    until(lambda: is_up(f"{stack.simulator_url}/control/state"))
    person = {"number_id": NUMBER, "wa_id": WA_ID}
    edited = phones.say(**person, name=NAME, text="Son 3 cajas")
    revoked = phones.say(**person, text="Mi clave es 1234")
    for sample in SAMPLES:
        phones.say(**person, sample=sample)
    phones.control("POST", "edit", {"wamid": edited["wamid"], "text": "Son 5 cajas"})
    phones.control("POST", "revoke", {"wamid": revoked["wamid"]})
    phones.control("POST", "call", person)
    phones.control("POST", "news", {**person, "kind": "number"})

    def all_there() -> int | None:
        rows = stack.query(
            "SELECT m.chat_id, count(*), count(m.media_file_id), bool_or(m.deleted_at IS NOT NULL),"
            " bool_or(m.metadata ? 'edited') FROM messages m WHERE m.direction = 'inbound' AND"
            " m.client_id = (SELECT max(client_id) FROM client_identities WHERE profile_name = %s)"
            " GROUP BY m.chat_id",
            NAME,
        )
        # Two texts, twelve samples, an edit, a deletion, a call, a notice; five with files.
        return rows[0][0] if rows and rows[0][1:] == (18, 5, True, True) else None

    found = until(all_there)
    assert isinstance(found, int)
    give_to_laura(stack, found)
    return found


def loaded(page: Page, selector: str) -> None:
    """The picture has come and is one."""
    picture = page.locator(selector)
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("complete", value=True)
    assert picture.evaluate("image => image.naturalWidth") > 0, selector


def test_every_kind_is_shown_as_what_it_is(
    stack: RunningStack, chat_id: int, sign_in: Callable[..., Page]
) -> None:
    page = sign_in(ADMIN)
    page.goto(f"{stack.url}/inbox/{chat_id}")
    log = page.locator("#log")
    expect(log.locator("article.bubble.in")).to_have_count(14)
    for picture in (".shot:not(.film) img", ".shot.film img", "img.sticker"):
        loaded(page, f"#log .in {picture}")
    for selector, words in (
        (".shot.film .length", "0:0"),
        (".voice [data-time]", "0:0"),
        (".paper", "pedido.pdf"),
        (".paper", "PDF · "),
        (".place", "Plaza de Bolívar"),
        (".place", "Ver en el mapa"),
        ("article:has([href='tel:+573205550111'])", "Tomás Rincón"),
        ("article:has(table.order) tfoot", "COP 314.900"),
        (".ad b", "Freidoras de aire, 20 % menos"),
        ("article:has(.ad)", "Hola, vi su anuncio"),
        ("article:has-text('Encuesta')", "WhatsApp no entrega"),
        ("dl.facts", "ciudad"),
        ("article:has(.gone)", "Eliminado por el cliente"),
        ("article:has-text('Son 5 cajas') .foot", "editado"),
    ):
        expect(log.locator(selector).first).to_contain_text(words)
    expect(log).not_to_contain_text("flow_token")
    expect(log.get_by_text("Puede llamar al cliente")).to_be_visible()
    for notice in ("Llamada perdida", "El cliente cambió de número"):
        expect(log.locator(".event").filter(has_text=notice)).to_have_count(1)

    for bubble, words in ((".gone", "Mi clave es 1234"), (":text('Son 5 cajas')", "Son 3 cajas")):
        article = log.locator(f"article:has({bubble})").first
        expect(log).not_to_contain_text(words)
        article.get_by_text("Ver el original").click()
        expect(article.locator(".original")).to_contain_text(words)

    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert faults_of(page) == {}, scheme
    page.set_viewport_size({"width": 390, "height": 844})
    assert log.evaluate("area => area.scrollWidth - area.clientWidth") == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert faults_of(page) == {}, "on a phone"


def test_a_quote_leads_to_what_it_quotes_and_says_when_it_is_gone(
    stack: RunningStack, chat_id: int, sign_in: Callable[..., Page]
) -> None:
    far, near, gone = (f"wamid.QUOTES.{name}" for name in ("far", "near", "gone"))
    [(elsewhere, foreign)] = stack.query(
        "SELECT chat_id, whatsapp_message_id FROM messages WHERE chat_id <> %s"
        " AND message_type = 'text' AND direction = 'inbound' ORDER BY id LIMIT 1",
        chat_id,
    )
    write = (
        "INSERT INTO messages (chat_id, client_id, whatsapp_number_id, direction, status, content,"
        " whatsapp_message_id, position, metadata) SELECT c.id, c.client_id, c.whatsapp_number_id,"
        " 'inbound', 'delivered', %s, %s, now() + make_interval(secs => %s), %s::jsonb"
        " FROM chats c WHERE c.id = %s"
    )
    stack.query(write, "El de lejos", far, 0, "{}", chat_id)
    stack.query(write, "El que se va", gone, 1, "{}", chat_id)
    write_many(stack, "Relleno", near, chat_id, first=2, count=120)
    for at, quoted in enumerate((far, gone, foreign)):
        meta = f'{{"quote": {{"message_id": "{quoted}"}}}}'
        stack.query(write, f"Cita {at}", f"{near}.q{at}", 200 + at, meta, chat_id)

    page = sign_in(ADMIN)
    page.goto(f"{stack.url}/inbox/{chat_id}")
    quotes = [
        page.locator(f"#log article:has(.text:text-is('Cita {at}')) a.quote") for at in range(3)
    ]
    expect(quotes[0]).to_contain_text("El de lejos")
    expect(page.locator("#log article", has_text="Relleno 2").first).not_to_be_attached()
    stack.query("DELETE FROM messages WHERE whatsapp_message_id = %s", gone)
    quotes[1].click()
    expect(page.locator(".toast")).to_contain_text("ya no se guarda aquí")

    quotes[0].click()
    target = page.locator("#log article.flash")
    expect(target).to_contain_text("El de lejos")
    expect(target).to_be_in_viewport()
    expect(target).to_be_focused()

    quotes[2].click()
    page.wait_for_url(f"**/inbox/{elsewhere}*")
    expect(page.locator("#log article.flash")).to_be_in_viewport()
    # The address leads there too, in a tab of its own.
    [(message_id,)] = stack.query("SELECT id FROM messages WHERE whatsapp_message_id = %s", far)
    page.goto(f"{stack.url}/inbox/{chat_id}#message-{message_id}")
    expect(target).to_contain_text("El de lejos")
    expect(target).to_be_in_viewport()

    # Further back than a thousand messages it is shown amid what was said then.
    write_many(stack, "Más", f"{near}.more", chat_id, first=300, count=1000)
    stack.query(
        write, "Cita 3", f"{near}.q3", 1400, f'{{"quote": {{"message_id": "{far}"}}}}', chat_id
    )
    page.goto(f"{stack.url}/inbox/{chat_id}?q=el+de+lejos")
    row = page.locator(f"#chat-{chat_id} a")
    expect(row.locator("mark")).to_have_text("El de lejos")
    row.click()
    expect(target).to_contain_text("El de lejos")
    expect(target).to_be_in_viewport()
    expect(target).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#q")).to_have_value("")
    expect(page.locator("#rows mark")).to_have_count(0)
    expect(page.locator("#log > .newer")).to_be_attached()
    # From there one reads on, towards the end without its last thousand messages.
    page.locator("#log article", has_text="Relleno 30").first.scroll_into_view_if_needed()
    expect(page.locator("#log article:has(.text:text-is('Relleno 70'))")).to_be_attached()
    page.locator("#jump").click()
    last = page.locator("#log article:has(.text:text-is('Cita 3'))")
    expect(last).to_be_in_viewport()
    expect(page.locator("#log > .newer")).to_have_count(0)
    last.locator("a.quote").click()
    expect(target).to_contain_text("El de lejos")


def write_many(
    stack: RunningStack, words: str, ids: str, chat_id: int, *, first: int, count: int
) -> None:
    """A second apart, from `first` seconds from now on."""
    stack.query(
        "INSERT INTO messages (chat_id, client_id, whatsapp_number_id, direction, status, content,"
        " whatsapp_message_id, position, metadata) SELECT c.id, c.client_id, c.whatsapp_number_id,"
        " 'inbound', 'delivered', %s || ' ' || n, %s || '.' || n, now() + make_interval(secs => %s"
        " + n), '{}' FROM chats c, generate_series(0, %s - 1) AS n WHERE c.id = %s",
        words,
        ids,
        first,
        count,
        chat_id,
    )
