"""The phone page in a real browser: a newcomer writes, reads answers, sees ticks, breaks things."""

import re
from collections.abc import Callable, Iterator

import pytest
import requests
from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, expect

# Fixtures too: one browser serves the whole run, so these tests live beside the others of it.
from tests.simulator.conftest import (
    ANA,
    _receiver,
    _sim,
    call,
    crm,
    send,
    sim,
    wamid_of,
)
from tests.simulator.receiver import Receiver
from tests.simulator.server import NUMBER, SimulatorServer

__all__ = ["_receiver", "_sim", "call", "crm", "send", "sim"]

Send = Callable[..., requests.Response]
CAROLINA = "573015550142"


@pytest.fixture
def open_page(
    open_context: Callable[..., BrowserContext], sim: SimulatorServer
) -> Iterator[Callable[..., Page]]:
    """open_page("?phones=...", width=390): a page whose console must stay silent."""
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        # A server that is away is no fault of the page.
        if message.type in ("error", "warning") and "net::ERR_" not in message.text:
            complaints.append(message.text)

    def run(
        query: str = "", *, width: int = 1280, height: int = 860, locale: str = "es-CO"
    ) -> Page:
        page = open_context(viewport={"width": width, "height": height}, locale=locale).new_page()
        page.on("console", listen)
        page.goto(f"{sim.url}/{query}")
        return page

    yield run
    assert complaints == []


def phone(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=re.compile(f"(Teléfono de|Phone of) {name}"))


def test_a_newcomer_creates_a_customer_and_writes(
    sim: SimulatorServer, crm: Receiver, open_page: Callable[..., Page]
) -> None:
    page = open_page()
    page.get_by_role("radio", name="Línea Soporte").check(force=True)
    page.get_by_label("Nombre").fill("Luisa Villegas")
    page.get_by_label("Número de celular").fill("12")
    page.get_by_role("button", name="Crear y abrir").click()
    expect(page.get_by_role("alert")).to_contain_text("7 a 15 cifras")
    page.get_by_label("Número de celular").fill("+57 320 555 0177")
    page.get_by_role("button", name="Crear y abrir").click()
    luisa = phone(page, "Luisa Villegas")
    luisa.get_by_label("Escriba un mensaje").fill("Hola, ¿me ayudan?")
    page.keyboard.press("Enter")
    expect(luisa.get_by_role("article")).to_contain_text("Hola, ¿me ayudan?")
    expect(luisa.get_by_role("article").get_by_text("recibido por Charla")).to_be_attached()
    crm.wait_for(lambda: crm.messages)
    assert crm.messages[0]["text"]["body"] == "Hola, ¿me ayudan?"
    assert crm.values[0]["metadata"]["phone_number_id"] == "100000000000002"
    assert crm.values[0]["contacts"][0]["profile"]["name"] == "Luisa Villegas"
    page.reload()
    expect(phone(page, "Luisa Villegas").get_by_role("article")).to_have_count(1)


def test_an_answer_appears_by_itself_and_is_read(
    sim: SimulatorServer, crm: Receiver, open_page: Callable[..., Page], send: Send
) -> None:
    sim.say(wa_id=ANA, name="Ana", text="Hola")
    page = open_page(f"?phones={ANA}.{NUMBER}")
    ana = phone(page, "Ana")
    expect(ana.get_by_role("article")).to_have_count(1)
    wamid = wamid_of(send("Buenos *días*, Ana"))
    answer = ana.get_by_role("article").nth(1)
    expect(answer).to_contain_text("Buenos días, Ana")
    expect(answer.locator("strong")).to_have_text("días")
    crm.wait_for(lambda: "read" in crm.statuses_of(wamid))


def test_a_closed_page_reads_nothing(
    sim: SimulatorServer, crm: Receiver, open_page: Callable[..., Page], send: Send
) -> None:
    sim.say(wa_id=ANA, name="Ana", text="Hola")
    page = open_page(f"?phones={ANA}.{NUMBER}")
    expect(phone(page, "Ana").get_by_role("article")).to_have_count(1)
    phone(page, "Ana").get_by_role("button", name="Guardar este teléfono").click()
    expect(page.get_by_role("heading", name="¿Quién escribe?")).to_be_visible()
    wamid = wamid_of(send("¿Sigue ahí?"))
    crm.wait_for(lambda: "delivered" in crm.statuses_of(wamid))
    sim.wait_until_quiet()
    assert "read" not in crm.statuses_of(wamid)


def test_two_phones_side_by_side_keep_to_themselves(
    sim: SimulatorServer, open_page: Callable[..., Page], send: Send
) -> None:
    sim.say(wa_id=ANA, name="Ana", text="Hola")
    sim.say(wa_id=CAROLINA, text="Buenas")
    page = open_page(f"?phones={ANA}.{NUMBER},{CAROLINA}.{NUMBER}")
    expect(phone(page, "Carolina").get_by_role("article")).to_have_count(1)
    wamid_of(send("Para Ana"))
    wamid_of(send("Para Carolina", to=CAROLINA))
    expect(phone(page, "Ana").get_by_role("log")).to_contain_text("Para Ana")
    expect(phone(page, "Carolina").get_by_role("log")).to_contain_text("Para Carolina")
    expect(phone(page, "Ana").get_by_role("log")).not_to_contain_text("Para Carolina")


def test_samples_go_out_with_one_press(
    sim: SimulatorServer, crm: Receiver, open_page: Callable[..., Page]
) -> None:
    kinds = {
        "Foto": "image",
        "Nota de voz": "audio",
        "Sticker": "sticker",
        "Documento": "document",
        "Ubicación": "location",
        "Contacto": "contacts",
        "Encuesta": "unsupported",
    }
    page = open_page(f"?phones={CAROLINA}.{NUMBER}")
    carolina = phone(page, "Carolina")
    for index, (label, kind) in enumerate(kinds.items()):
        carolina.get_by_role("button", name="Adjuntar").click()
        carolina.get_by_role("button", name=label).click()
        expect(carolina.get_by_role("article").nth(index)).to_have_attribute("data-type", kind)
    crm.wait_for(lambda: {row["type"] for row in crm.messages} == set(kinds.values()))


def test_a_file_of_ones_own_goes_out(
    sim: SimulatorServer, crm: Receiver, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"?phones={CAROLINA}.{NUMBER}")
    carolina = phone(page, "Carolina")
    carolina.get_by_role("button", name="Adjuntar").click()
    carolina.get_by_label("Otro archivo").set_input_files(
        {"name": "carta.txt", "mimeType": "text/plain", "buffer": b"Estimados"}
    )
    crm.wait_for(lambda: crm.messages)
    assert crm.messages[0]["document"]["filename"] == "carta.txt"


def test_buttons_replies_and_reactions_answer_the_right_message(
    sim: SimulatorServer, crm: Receiver, open_page: Callable[..., Page], send: Send
) -> None:
    sim.say(wa_id=CAROLINA, text="Hola")
    page = open_page(f"?phones={CAROLINA}.{NUMBER}")
    carolina = phone(page, "Carolina")
    rows = [{"id": "a", "title": "A domicilio"}, {"id": "b", "title": "En tienda"}]
    action = {"button": "Elegir", "sections": [{"title": "Entrega", "rows": rows}]}
    content = {"type": "list", "body": {"text": "¿Cómo lo recibe?"}, "action": action}
    wamid = wamid_of(send({"type": "interactive", "interactive": content}, to=CAROLINA))
    carolina.get_by_text("Elegir").click()
    carolina.get_by_role("button", name="En tienda").click()
    crm.wait_for(lambda: len(crm.messages) == 2)
    assert crm.messages[1]["interactive"]["list_reply"]["id"] == "b"
    asked = carolina.get_by_role("article").filter(has_text="¿Cómo lo recibe?").first
    asked.get_by_role("button", name="Responder, reaccionar o cambiar").click()
    asked.get_by_role("button", name="Reaccionar con 👍").click()
    expect(asked.locator(".reaction")).to_have_text("👍")
    asked.get_by_role("button", name="Responder, reaccionar o cambiar").click()
    asked.get_by_role("button", name="Responder", exact=True).click()
    carolina.get_by_label("Escriba un mensaje").fill("¿Cuánto vale?")
    page.keyboard.press("Enter")
    crm.wait_for(lambda: len(crm.messages) == 4)
    reaction = next(row for row in crm.messages if row["type"] == "reaction")
    assert reaction["reaction"] == {"message_id": wamid, "emoji": "👍"}
    reply = next(row for row in crm.messages if row["type"] == "text" and "context" in row)
    assert reply["context"]["id"] == wamid


def test_a_fault_is_switched_on_in_words_and_goes_out_by_itself(
    sim: SimulatorServer, open_page: Callable[..., Page], send: Send
) -> None:
    page = open_page(f"?phones={CAROLINA}.{NUMBER}")
    page.get_by_role("button", name="Fallos").click()
    page.get_by_label("Cuántas veces").select_option("Una vez")
    page.get_by_label("Dónde").select_option("Línea Ventas")
    switch = page.get_by_role("switch", name="Demasiados mensajes")
    switch.check(force=True)
    expect(page.get_by_text("1 fallo encendido")).to_be_visible()
    assert sim.state()["faults"][0]["number_id"] == NUMBER
    assert send("Hola").json()["error"]["code"] == 130429
    expect(switch).not_to_be_checked()
    expect(page.get_by_text("Todo funciona con normalidad.")).to_be_visible()


def test_the_traffic_shows_what_was_said_last(
    sim: SimulatorServer, open_page: Callable[..., Page], send: Send
) -> None:
    page = open_page(f"?phones={CAROLINA}.{NUMBER}")
    page.get_by_role("button", name="Tráfico").click()
    wamid = wamid_of(send("Hola"))
    row = page.get_by_role("listitem").filter(has_text=f"text → {ANA}")
    row.locator("summary").click()
    expect(row).to_contain_text(wamid)
    page.get_by_role("button", name="Probar la conexión").click()
    expect(page.get_by_text("Charla respondió al saludo")).to_be_visible()


def test_a_dead_server_is_said_while_updates_wait(
    sim: SimulatorServer, crm: Receiver, open_page: Callable[..., Page]
) -> None:
    crm.status = 503
    page = open_page(f"?phones={CAROLINA}.{NUMBER}")
    phone(page, "Carolina").get_by_label("Escriba un mensaje").fill("Hola")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="1 aviso espera a Charla")).to_be_visible()
    expect(phone(page, "Carolina").get_by_text("enviando a Charla")).to_be_attached()
    crm.status = 200
    expect(page.get_by_role("button", name="1 aviso espera a Charla")).to_be_hidden()
    expect(phone(page, "Carolina").get_by_text("recibido por Charla")).to_be_attached()


def test_the_phone_can_be_switched_off(
    sim: SimulatorServer, crm: Receiver, open_page: Callable[..., Page], send: Send
) -> None:
    sim.say(wa_id=CAROLINA, text="Hola")
    page = open_page(f"?phones={CAROLINA}.{NUMBER}")
    carolina = phone(page, "Carolina")
    carolina.get_by_role("button", name="Opciones del teléfono").click()
    carolina.get_by_role("switch", name="Teléfono encendido").uncheck(force=True)
    expect(carolina).to_have_class(re.compile("off"))
    wamid = wamid_of(send("¿Está?", to=CAROLINA))
    crm.wait_for(lambda: crm.statuses_of(wamid) == ["sent"])
    expect(carolina.get_by_role("article")).to_have_count(1)
    carolina.get_by_role("switch", name="Teléfono encendido").check(force=True)
    expect(carolina.get_by_role("article")).to_have_count(2)


def test_a_restarted_simulator_is_found_again(
    sim: SimulatorServer, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"?phones={CAROLINA}.{NUMBER}")
    carolina = phone(page, "Carolina")
    sim.say(wa_id=CAROLINA, text="antes")
    expect(carolina.get_by_role("log")).to_contain_text("antes")
    page.evaluate("window.kept = true")
    sim.stop()
    sim.start()
    sim.say(wa_id=CAROLINA, text="después")
    expect(carolina.get_by_role("log")).to_contain_text("después")
    assert page.evaluate("window.kept")


@pytest.mark.parametrize("width", [320, 390])
def test_it_fits_a_small_screen(
    sim: SimulatorServer, open_page: Callable[..., Page], width: int
) -> None:
    sim.say(wa_id=ANA, name="Ana", text="x" * 300)
    page = open_page(f"?phones={ANA}.{NUMBER},{CAROLINA}.{NUMBER}", width=width, height=800)
    expect(phone(page, "Carolina")).to_be_visible()
    expect(phone(page, "Ana")).to_be_hidden()
    page.get_by_role("navigation").get_by_role("button", name="Ana").click()
    expect(phone(page, "Ana")).to_be_visible()
    expect(phone(page, "Carolina")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="Fallos").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="Cerrar").click()
    expect(page.get_by_role("complementary")).to_be_hidden()


@pytest.mark.parametrize(
    ("query", "locale", "words"),
    [
        ("", "es-CO", "¿Quién escribe?"),
        ("", "en-GB", "Who is writing?"),
        ("", "fr-FR", "¿Quién escribe?"),
        ("?lang=en", "es-CO", "Who is writing?"),
    ],
)
def test_it_speaks_spanish_and_english(
    sim: SimulatorServer, open_page: Callable[..., Page], query: str, locale: str, words: str
) -> None:
    page = open_page(query, locale=locale)
    expect(page.get_by_role("heading", name=words)).to_be_visible()
    assert page.locator("html").get_attribute("lang") == ("es" if words.startswith("¿") else "en")


def test_what_a_customer_writes_is_never_markup(
    sim: SimulatorServer, open_page: Callable[..., Page]
) -> None:
    nasty = "<img src=x onerror=alert(1)>"
    sim.say(wa_id=ANA, name=nasty, text=nasty)
    page = open_page(f"?phones={ANA}.{NUMBER}")
    expect(page.get_by_role("article")).to_contain_text(nasty)
    assert page.locator(".phone img").count() == 0
