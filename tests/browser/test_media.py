"""Files on the screen: they come, open, play; they leave by dialog, drop, paste, microphone."""

from __future__ import annotations

import base64
import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, expect

from tests import media
from tests.browser.desk import (
    JHON,
    LAURA,
    become,
    clear_the_desk,
    phones_of,
    row_of,
)
from tests.browser.measures import faults_of
from tests.simulator.server import NUMBER, SimulatorServer
from tests.stack import RunningStack

WA_ID = "573009990061"
NAME = "Milena Adjuntos"


@pytest.fixture
def phones(stack: RunningStack) -> SimulatorServer:
    return phones_of(stack)


def say(phones: SimulatorServer, **content: object) -> None:
    phones.say(wa_id=WA_ID, number_id=NUMBER, name=NAME, **content)


def file_of(path: Path, mime: str, **more: object) -> dict[str, object]:
    packed = base64.b64encode(path.read_bytes()).decode()
    return {"file": {"base64": packed, "mime_type": mime, "filename": path.name, **more}}


def on_the_phone(phones: SimulatorServer) -> list[dict]:
    return [row for row in phones.messages(WA_ID) if row["direction"] == "out"]


@pytest.fixture
def laura(stack: RunningStack, sign_in: Callable[..., Page], phones: SimulatorServer) -> Page:
    """Laura with the customer's chat open."""
    clear_the_desk(stack)
    page = sign_in(LAURA)
    become(page, "available")
    say(phones, text="Buenas")
    row_of(page, NAME).locator("a").click()
    expect(page.locator("#thread-title")).to_have_text(NAME)
    return page


def test_what_customers_send_comes_live_opens_and_plays(
    laura: Page, phones: SimulatorServer, sign_in: Callable[..., Page], tmp_path: Path
) -> None:
    photo = media.picture(tmp_path / "dano.jpg", size=(600, 400))
    second = media.picture(tmp_path / "otro.png", size=(300, 500))
    voice = media.sound(tmp_path / "nota.ogg", form="ogg", codec="libopus", seconds=2)
    shots = laura.locator("#log .in .shot img")
    say(phones, **file_of(photo, "image/jpeg", caption="El daño"))
    # WhatsApp's times are whole seconds: of one second, what arrives first stands first.
    expect(shots).to_have_count(1)
    say(phones, **file_of(second, "image/png"))
    say(phones, **file_of(voice, "audio/ogg; codecs=opus", voice=True))
    say(phones, sample="document")
    expect(shots).to_have_count(2)
    first = laura.locator("#log .in").filter(has_text="El daño").locator(".shot")
    # Its box was known before it came.
    assert first.locator("img").bounding_box()["width"] == pytest.approx(320, abs=1)
    expect(laura.locator("#log .paper")).to_contain_text("pedido.pdf")

    for scheme in ("light", "dark"):
        laura.emulate_media(color_scheme=scheme)
        assert faults_of(laura) == {}, scheme

    first.click()
    box = laura.locator("#lightbox")
    expect(box).to_be_visible()
    expect(box.locator("[data-caption]")).to_have_text("El daño")
    address = first.get_attribute("href")
    expect(box.locator(".stage img")).to_have_attribute("src", address)
    laura.keyboard.press("ArrowRight")
    laura.keyboard.press("ArrowLeft")
    expect(box.locator("[data-caption]")).to_have_text("El daño")
    laura.keyboard.press("Escape")
    expect(box).to_be_hidden()
    expect(first).to_be_focused()

    player = laura.locator("#log .in .voice")
    player.locator("[data-play]").click()
    expect(player.locator("[data-play] use")).to_have_attribute("href", _ends("#pause"))
    # To its end: then it is marked as heard.
    expect(player).to_have_class(_word("heard"))
    expect(player.locator("[data-play] use")).to_have_attribute("href", _ends("#play"))
    player.locator("[data-speed]").click()
    expect(player.locator("[data-speed]")).to_have_text("1,5×")

    laura.locator(".chat-files summary").click()
    expect(laura.locator(".chat-files [data-gallery] a")).to_have_count(2)

    # Another agent has neither the chat nor its files.
    jhon = sign_in(JHON)
    assert jhon.request.get(f"{jhon.url.split('/inbox')[0]}{address}").status == 404


def test_files_leave_by_dialog_drop_and_paste(
    laura: Page, phones: SimulatorServer, tmp_path: Path
) -> None:
    photo = media.picture(tmp_path / "factura.jpg", tells=True)
    name = f"contrato {'de arrendamiento ' * 4}.pdf"
    paper = media.paper(tmp_path / name, pages=2)
    laura.locator(".attach summary").click()
    with laura.expect_file_chooser() as chooser:
        laura.locator("[data-attach='']").click()
    chooser.value.set_files([photo, paper])
    sheet = laura.locator("#attach")
    expect(sheet.locator(".pick")).to_have_count(2)
    sheet.locator("textarea").fill("Mire la factura")
    sheet.locator(".pick").nth(1).click()
    expect(sheet.locator(".name")).to_have_text(name)
    # Its first page, as soon as the server has drawn it.
    expect(sheet.locator(".big-file img")).to_have_js_property("naturalWidth", 640)
    for scheme in ("light", "dark"):
        laura.emulate_media(color_scheme=scheme)
        assert faults_of(laura) == {}, scheme
    # However long the name and narrow the screen, there is a way to send it.
    for width in (390, 1280):
        laura.set_viewport_size({"width": width, "height": 800})
        expect(sheet.locator("[data-send]")).to_be_in_viewport(ratio=1)
    sheet.locator("[data-send]").click()
    expect(sheet).to_be_hidden()
    expect(laura.locator("#log .bubble.out .ticks.delivered")).to_have_count(2)
    rows = on_the_phone(phones)[-2:]
    assert [row["type"] for row in rows] == ["image", "document"]
    assert rows[0]["content"]["caption"] == "Mire la factura"
    bytes_there = requests.get(f"{phones.url}/media/{rows[0]['content']['id']}", timeout=10).content
    assert b"Ana" not in bytes_there, "where and with what it was taken stays here"

    # A drop of three, of which two are taken out again: one only says that it is a picture.
    packed = base64.b64encode(photo.read_bytes()).decode()
    laura.evaluate(
        """([packed]) => {
            const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], "uno.jpg", { type: "image/jpeg" }));
            data.items.add(new File(["hola"], "dos.txt", { type: "text/plain" }));
            data.items.add(new File(["hola"], "tres.jpg", { type: "image/jpeg" }));
            const target = document.querySelector("#log");
            for (const name of ["dragover", "drop"]) {
                const how = { dataTransfer: data, bubbles: true, cancelable: true };
                target.dispatchEvent(new DragEvent(name, how));
            }
        }""",
        [packed],
    )
    expect(sheet.locator(".pick")).to_have_count(3)
    sheet.locator(".pick").nth(2).click()
    expect(sheet.locator(".note")).to_contain_text("no se puede leer")
    expect(sheet.locator(".face img")).to_have_count(1)
    sheet.locator("[data-remove]").click()
    expect(sheet.locator(".pick")).to_have_count(2)
    sheet.locator(".pick").first.click()
    sheet.locator("[data-remove]").click()
    expect(sheet.locator(".pick")).to_have_count(1)
    expect(sheet.locator(".name")).to_have_text("dos.txt")
    laura.keyboard.press("Escape")
    expect(sheet).to_be_hidden()

    # A paste; what is too big for anything is told before it goes up.
    laura.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(101 * 1024 * 1024)], "enorme.bin"));
            const how = { clipboardData: data, bubbles: true, cancelable: true };
            document.querySelector("#text").dispatchEvent(new ClipboardEvent("paste", how));
        }"""
    )
    expect(sheet.locator(".note.wrong")).to_contain_text("100 MB")
    expect(sheet.locator("[data-send]")).to_be_disabled()
    laura.keyboard.press("Escape")
    assert len(on_the_phone(phones)) == len(rows)


def test_pictures_of_one_go_stand_as_a_grid_and_stay_messages(
    laura: Page, phones: SimulatorServer, tmp_path: Path
) -> None:
    photo = media.picture(tmp_path / "foto.jpg", size=(300, 200))
    log = laura.locator("#log")
    tiles, folded = log.locator("[data-tile]:visible"), log.locator("[data-tile=folded]")
    sent: list[str] = []

    def send(count: int) -> None:
        for _ in range(count):
            # WhatsApp's times are whole seconds: not before what has just happened in the chat.
            at = int(time.time()) + 1
            shot = file_of(photo, "image/jpeg")
            answer = phones.say(wa_id=WA_ID, number_id=NUMBER, name=NAME, at=at, **shot)
            sent.append(answer["wamid"])
            expect(log.locator(".bubble.in > a.shot")).to_have_count(len(sent))

    # Nothing more happens in the chat that would stand between them.
    expect(laura.locator("#composer[data-mode=reply]")).to_be_visible()
    send(3)
    expect(tiles).to_have_count(0)
    send(1)
    expect(tiles).to_have_count(4)
    first, second, third, fourth = (tile.bounding_box() for tile in tiles.all())
    assert (first["y"], third["y"]) == (second["y"], fourth["y"])
    assert (first["x"], second["x"]) == (third["x"], fourth["x"])
    assert first["x"] < second["x"]
    assert first["y"] < third["y"]
    send(2)
    expect(folded).to_have_count(2)
    more = tiles.nth(3).locator("a.shot")
    expect(more).to_have_attribute("data-more", "+2")

    # The viewer opens at that one, and goes on through those that are not shown.
    more.click()
    box = laura.locator("#lightbox")
    expect(box.locator(".stage img")).to_have_attribute("src", more.get_attribute("href"))
    laura.keyboard.press("ArrowRight")
    laura.keyboard.press("Escape")
    expect(folded).to_have_count(0)
    expect(log.locator("a.shot").nth(4)).to_be_focused()

    # A quote of one leads to it, wherever its album had put it.
    expect(laura.locator("#thread[data-unread='0']")).to_be_attached()
    laura.reload()
    expect(folded).to_have_count(2)
    phones.say(wa_id=WA_ID, number_id=NUMBER, name=NAME, text="Esta", quote=sent[-1])
    log.locator("a[data-quoted]").click()
    expect(log.locator("a.shot").nth(5)).to_be_in_viewport()
    expect(folded).to_have_count(0)


def test_a_voice_note_is_recorded_heard_and_sent(laura: Page, phones: SimulatorServer) -> None:
    laura.locator("[data-record]").click()
    expect(laura.locator(".recording [data-clock]")).to_have_text("0:01")
    laura.keyboard.press("Escape")
    expect(laura.locator(".recording")).to_have_count(0)
    expect(laura.locator("#text")).to_be_focused()

    laura.locator("[data-record]").click()
    expect(laura.locator(".recording [data-clock]")).to_have_text("0:02")
    laura.locator(".recording [data-stop]").click()
    expect(laura.locator(".recording audio")).to_be_visible()
    laura.locator(".recording [data-send]").click()
    bubble = laura.locator("#log .bubble.out").filter(has=laura.locator(".voice"))
    expect(bubble.locator(".ticks.delivered")).to_be_visible()
    expect(laura.locator(".recording")).to_have_count(0)
    (row,) = (row for row in on_the_phone(phones) if row["type"] == "audio")
    assert row["content"]["voice"] is True
    heard = requests.get(f"{phones.url}/media/{row['content']['id']}", timeout=10).content
    assert heard[:4] == b"OggS"
    assert b"OpusHead" in heard[:100]


def test_what_did_not_come_says_why_and_comes_when_asked(
    stack: RunningStack, laura: Page, phones: SimulatorServer
) -> None:
    say(phones, sample="photo")
    expect(laura.locator("#log .in .shot img")).to_have_count(1)
    # As if Meta had not known it when we asked.
    stack.query(
        "UPDATE media_fetches SET status = 'failed', error_code = 'gone' FROM messages m"
        " WHERE m.id = message_id AND m.media_file_id IS NOT NULL"
    )
    stack.query("UPDATE messages SET media_file_id = NULL WHERE message_type = 'image'")
    laura.reload()
    lost = laura.locator("#log .media.lost")
    expect(lost.first).to_contain_text("siete días")
    lost.first.get_by_role("button", name="Descargar de nuevo").click()
    expect(laura.locator("#log .in .shot img")).to_have_count(1)


def test_nothing_that_is_opened_runs(
    stack: RunningStack, laura: Page, phones: SimulatorServer, tmp_path: Path
) -> None:
    hostile = {
        "logo.svg": media.SVG_WITH_SCRIPT,
        "pagina.html": b"<!doctype html><title>x</title><script>document.title='run'</script>",
        "gif.html": media.gif_and_page(),
        "papel.pdf": media.paper(tmp_path / "papel").read_bytes(),
        "datos.xhtml": b"<html xmlns='http://www.w3.org/1999/xhtml'><script>alert(1)</script></html>",
    }
    for name, content in hostile.items():
        (tmp_path / name).write_bytes(content)
        say(phones, **file_of(tmp_path / name, "application/octet-stream"))
    expect(laura.locator("#log .in .paper")).to_have_count(len(hostile))
    # A context of its own: the browser's page around a bare picture styles itself, in vain.
    browser = laura.context.browser
    assert browser is not None
    context = browser.new_context(storage_state=laura.context.storage_state())
    for link in laura.locator("#log .in .paper").all():
        address = (link.get_attribute("href") or "").partition("?")[0]
        tab = context.new_page()
        with contextlib.suppress(PlaywrightError):  # "Download is starting": nothing is shown
            tab.goto(f"{stack.url}{address}")
        assert tab.title() != "run"
        assert tab.locator("svg, script").count() == 0
        tab.close()
    context.close()


def _ends(text: str):  # type: ignore[no-untyped-def]
    return re.compile(rf"{re.escape(text)}$")


def _word(text: str):  # type: ignore[no-untyped-def]
    return re.compile(rf"\b{text}\b")
