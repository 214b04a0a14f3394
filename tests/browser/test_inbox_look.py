"""How the desk looks and feels: both themes, phone and small windows, keyboard, drafts, scroll."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.measures import faults_of
from tests.browser.test_main_loop import (
    JHON,
    LAURA,
    NUMBER,
    answer,
    become,
    clear_the_desk,
    hand_over,
    phones_of,
    row_of,
)
from tests.simulator.server import SimulatorServer
from tests.stack import RunningStack

PHONE = {"width": 390, "height": 844}
SMALLEST = {"width": 320, "height": 640}
SignIn = Callable[..., Page]


class Customers:
    """People who write to the stack's number, each under a number of their own."""

    def __init__(self, phones: SimulatorServer, first: int) -> None:
        self.phones, self.next = phones, first
        self.ids: dict[str, str] = {}
        # WhatsApp's times are whole seconds: a second apart, so that the order is certain.
        self.clock = int(time.time()) - 300

    def write(self, name: str, *texts: str) -> None:
        if name not in self.ids:
            self.ids[name] = f"5730177{self.next:05d}"
            self.next += 1
        for text in texts:
            self.clock += 1
            self.phones.say(
                wa_id=self.ids[name], number_id=NUMBER, name=name, text=text, at=self.clock
            )


_blocks = iter(range(0, 99_999, 100))


@pytest.fixture
def customers(stack: RunningStack) -> Customers:
    clear_the_desk(stack)
    return Customers(phones_of(stack), next(_blocks))


@pytest.fixture
def desk(sign_in: SignIn, customers: Customers) -> Page:
    """Laura at her desk with three customers: Ana, Berta and Carla, Carla the last to write."""
    page = sign_in(LAURA)
    become(page, "available")
    for name in ("Ana Uno", "Berta Dos", "Carla Tres"):
        customers.write(name, f"Hola, soy {name}")
        expect(row_of(page, name)).to_be_visible()
    return page


def open_chat(page: Page, name: str) -> None:
    row_of(page, name).locator("a").click()
    expect(page.locator("#thread-title")).to_have_text(name)


def names_in(page: Page) -> list[str]:
    return page.locator("#rows .name").all_inner_texts()


def bubbles(page: Page, side: str) -> Locator:
    return page.locator(f"#log .bubble.{side}")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/login", "/nothing/here"])
def test_signing_in_and_errors_can_be_read_by_everybody(
    stack: RunningStack, open_context: Callable[..., BrowserContext], theme: str, path: str
) -> None:
    page = open_context(color_scheme=theme).new_page()
    page.goto(stack.url + path)
    assert faults_of(page) == {}
    page.set_viewport_size(SMALLEST)
    assert faults_of(page, least_target=28) == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_desk_can_be_read_by_everybody(
    sign_in: SignIn, customers: Customers, theme: str
) -> None:
    page = sign_in(LAURA, color_scheme=theme)
    become(page, "available")
    customers.write("Carolina Restrepo", "Hola *buenas* _tardes_", "https://tienda.example/a?b=1")
    expect(row_of(page, "Carolina")).to_be_visible()
    assert faults_of(page) == {}
    open_chat(page, "Carolina Restrepo")
    answer(page, "¡Con gusto!")
    expect(bubbles(page, "out").locator(".ticks.delivered")).to_be_visible()
    assert faults_of(page) == {}
    page.locator(".event .receipt summary").last.click()
    expect(page.locator(".receipt-body").last).to_contain_text("Por turnos")
    expect(page.locator(".receipt-body .chosen").last).to_contain_text("Laura")
    assert faults_of(page) == {}
    page.click("#my-status summary")
    assert faults_of(page) == {}
    page.keyboard.press("Escape")
    page.click(".rail details summary")
    assert faults_of(page) == {}
    page.click("[data-theme-set=dark]" if theme == "light" else "[data-theme-set=light]")
    assert faults_of(page) == {}
    page.reload()
    wanted = "dark" if theme == "light" else "light"
    expect(page.locator("html")).to_have_attribute("data-theme", wanted)


def test_the_smallest_window_shows_one_pane_at_a_time_with_addresses_and_back(
    sign_in: SignIn, customers: Customers
) -> None:
    page = sign_in(LAURA, viewport=SMALLEST, has_touch=True, is_mobile=True)
    become(page, "available")
    customers.write("Ñoña de la Espriella y Montealegre", "¿" + "muy largo " * 40 + "?")
    row = row_of(page, "Ñoña")
    expect(row).to_be_visible()
    assert faults_of(page, least_target=24) == {}
    row.locator("a").click()
    expect(page.locator("#composer")).to_be_visible()
    expect(page.locator("#list")).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/inbox/\d+"))
    assert faults_of(page) == {}
    page.click("a.who")
    expect(page.locator("#panel")).to_be_visible()
    expect(page.locator("#composer")).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/inbox/\d+/client"))
    assert faults_of(page) == {}
    page.go_back()
    expect(page.locator("#composer")).to_be_visible()
    page.go_back()
    expect(page.locator("#list")).to_be_visible()
    expect(page.locator("#composer")).to_be_hidden()
    page.reload()
    expect(page.locator("#list")).to_be_visible()


def test_fingers_get_large_targets(sign_in: SignIn, customers: Customers) -> None:
    page = sign_in(LAURA, viewport=PHONE, has_touch=True, is_mobile=True)
    become(page, "available")
    customers.write("Dedo Gordo", "Hola")
    row_of(page, "Dedo Gordo").locator("a").click()
    expect(page.locator("#composer")).to_be_visible()
    for selector in (".bar a.btn", ".bar button", "#composer button.primary"):
        for target in page.locator(selector).all():
            if target.is_visible():
                box = target.bounding_box()
                assert box["height"] >= 44, selector
                assert box["width"] >= 44, selector
    assert page.locator("#text").evaluate("box => parseFloat(getComputedStyle(box).fontSize)") >= 16


def test_the_whole_way_can_be_gone_by_keyboard(desk: Page) -> None:
    desk.keyboard.press("j")
    desk.keyboard.press("j")
    expect(row_of(desk, "Berta Dos").locator("a")).to_be_focused()
    desk.keyboard.press("k")
    expect(row_of(desk, "Carla Tres").locator("a")).to_be_focused()
    desk.keyboard.press("ArrowDown")
    desk.keyboard.press("Enter")
    expect(desk.locator("#thread-title")).to_have_text("Berta Dos")
    expect(desk.locator("#text")).to_be_focused()
    # In the box a letter is a letter.
    desk.keyboard.type("jk/?")
    expect(desk.locator("#text")).to_have_value("jk/?")
    desk.keyboard.press("Alt+j")
    expect(desk.locator("#thread-title")).to_have_text("Ana Uno")
    desk.keyboard.press("Alt+k")
    expect(desk.locator("#thread-title")).to_have_text("Berta Dos")
    expect(desk.locator("#text")).to_have_value("jk/?")
    desk.keyboard.press("Escape")
    expect(row_of(desk, "Berta Dos").locator("a")).to_be_focused()
    desk.keyboard.press("/")
    expect(desk.locator("#q")).to_be_focused()
    desk.keyboard.type("carla")
    expect(desk.locator("#rows .name").first).to_have_text("Carla Tres")
    expect(row_of(desk, "Ana Uno")).to_have_count(0)
    desk.keyboard.press("Escape")
    expect(desk.locator("#rows .name")).to_have_count(3)
    desk.keyboard.press("Escape")
    desk.keyboard.press("?")
    expect(desk.locator("#keys")).to_be_visible()
    desk.uncheck("#single-keys")
    desk.keyboard.press("Escape")
    focused = desk.evaluate("document.activeElement.id")
    desk.keyboard.press("/")
    assert desk.evaluate("document.activeElement.id") == focused


def test_enter_sends_and_shift_enter_does_not(desk: Page) -> None:
    open_chat(desk, "Ana Uno")
    desk.keyboard.type("uno")
    desk.keyboard.press("Shift+Enter")
    desk.keyboard.type("dos")
    expect(bubbles(desk, "out")).to_have_count(0)
    desk.keyboard.press("Enter")
    expect(bubbles(desk, "out").locator(".text")).to_have_text("uno\ndos")
    expect(desk.locator("#text")).to_have_value("")
    # Nothing to send is nothing sent, and no complaint either.
    desk.keyboard.press("Enter")
    expect(bubbles(desk, "out")).to_have_count(1)


def test_an_enter_that_ends_a_composition_sends_nothing(desk: Page) -> None:
    open_chat(desk, "Ana Uno")
    wire = desk.context.new_cdp_session(desk)
    wire.send("Input.imeSetComposition", {"text": "ni", "selectionStart": 2, "selectionEnd": 2})
    desk.locator("#text").dispatch_event(
        "keydown", {"key": "Enter", "isComposing": True, "bubbles": True, "cancelable": True}
    )
    expect(bubbles(desk, "out")).to_have_count(0)
    wire.send("Input.insertText", {"text": "你"})
    desk.keyboard.press("Enter")
    expect(bubbles(desk, "out").locator(".text")).to_have_text("你")


def test_drafts_stay_with_their_chats_until_they_are_sent_or_one_signs_out(desk: Page) -> None:
    open_chat(desk, "Ana Uno")
    desk.keyboard.type("a medio escribir")
    open_chat(desk, "Berta Dos")
    expect(desk.locator("#text")).to_have_value("")
    expect(row_of(desk, "Ana Uno").locator(".draft")).to_be_visible()
    desk.reload()
    expect(row_of(desk, "Ana Uno").locator(".draft")).to_be_visible()
    open_chat(desk, "Ana Uno")
    expect(desk.locator("#text")).to_have_value("a medio escribir")
    desk.press("#text", "Enter")
    expect(bubbles(desk, "out")).to_have_count(1)
    open_chat(desk, "Berta Dos")
    expect(row_of(desk, "Ana Uno").locator(".draft")).to_have_count(0)
    desk.locator("#text").type("secreto")
    open_chat(desk, "Ana Uno")
    desk.click(".rail details summary")
    desk.click("[data-logout] button")
    hand_over(desk)
    desk.wait_for_url("**/login**")
    assert desk.evaluate("JSON.stringify(localStorage)").find("secreto") == -1


def test_a_message_without_connection_waits_and_then_goes_once(
    desk: Page, stack: RunningStack
) -> None:
    open_chat(desk, "Ana Uno")
    desk.context.set_offline(True)
    answer(desk, "en el túnel")
    unsent = bubbles(desk, "out")
    expect(unsent.locator("[data-retry]")).to_be_visible()
    expect(desk.locator("#text")).to_have_value("")
    assert stack.query("SELECT count(*) FROM messages WHERE content = 'en el túnel'") == [(0,)]
    desk.context.set_offline(False)
    expect(unsent.locator(".ticks.delivered")).to_be_visible(timeout=30_000)
    expect(unsent).to_have_count(1)
    assert stack.query("SELECT count(*) FROM messages WHERE content = 'en el túnel'") == [(1,)]


def test_what_was_not_sent_survives_a_reload(desk: Page) -> None:
    open_chat(desk, "Ana Uno")
    desk.route("**/messages", lambda route: route.abort())
    answer(desk, "se quedó aquí")
    expect(bubbles(desk, "out").locator("[data-retry]")).to_be_visible()
    desk.reload()
    expect(bubbles(desk, "out")).to_contain_text("se quedó aquí")
    desk.unroute("**/messages")
    # A page that becomes live this very moment sends it by itself: then nothing is left to press.
    desk.evaluate("document.querySelector('[data-retry]')?.click()")
    expect(bubbles(desk, "out").locator(".ticks.delivered")).to_be_visible()
    expect(bubbles(desk, "out")).to_have_count(1)


def test_rows_do_not_move_under_the_pointer(desk: Page, customers: Customers) -> None:
    row_of(desk, "Carla Tres").hover()
    customers.write("Ana Uno", "¿Alguien?")
    button = desk.locator("#newer")
    expect(button).to_be_visible()
    expect(row_of(desk, "Ana Uno").locator(".last")).to_contain_text("¿Alguien?")
    assert names_in(desk) == ["Carla Tres", "Berta Dos", "Ana Uno"]
    desk.locator("#list-title").hover()
    expect(desk.locator("#rows .name").first).to_have_text("Ana Uno")
    expect(button).to_be_hidden()
    assert names_in(desk) == ["Ana Uno", "Carla Tres", "Berta Dos"]


def test_a_moving_row_keeps_focus_and_choice(desk: Page, customers: Customers) -> None:
    open_chat(desk, "Ana Uno")
    desk.locator("#list-title").hover()
    desk.keyboard.press("Escape")
    expect(row_of(desk, "Ana Uno").locator("a")).to_be_focused()
    customers.write("Berta Dos", "¿Sí?")
    expect(desk.locator("#rows .name").first).to_have_text("Berta Dos")
    customers.write("Ana Uno", "otra cosa")
    expect(desk.locator("#rows .name").first).to_have_text("Ana Uno")
    expect(row_of(desk, "Ana Uno").locator("a")).to_be_focused()
    expect(desk.locator("#rows a[aria-current]")).to_have_count(1)
    expect(row_of(desk, "Ana Uno").locator("a[aria-current]")).to_be_visible()


def test_who_reads_above_is_told_and_not_moved(desk: Page, customers: Customers) -> None:
    open_chat(desk, "Ana Uno")
    for number in range(14):
        customers.write("Ana Uno", f"línea {number}\n" * 4)
    expect(bubbles(desk, "in")).to_have_count(15)
    log = desk.locator("#log")
    log.hover()
    desk.mouse.wheel(0, -500)
    expect(desk.locator("#jump")).to_be_visible()
    top = log.evaluate("log => log.scrollTop")
    customers.write("Ana Uno", "la última")
    expect(desk.locator("#jump")).to_have_text("1 nuevo")
    assert log.evaluate("log => log.scrollTop") == top
    desk.click("#jump")
    expect(bubbles(desk, "in").last).to_be_in_viewport()
    expect(desk.locator("#jump")).to_be_hidden()
    # The page heals itself from the server, and nothing of it is to be seen.
    with desk.expect_response(lambda answer: "/inbox/list" in answer.url):
        desk.evaluate("window.dispatchEvent(new Event('online'))")
        log.evaluate("log => { log.scrollTop = 300 }")
    expect(desk.locator("#log .day")).to_have_count(1)
    assert log.evaluate("log => log.scrollTop") == 300
    desk.click("#jump")
    customers.write("Ana Uno", "y ahora sí")
    expect(bubbles(desk, "in").last).to_contain_text("y ahora sí")
    expect(bubbles(desk, "in").last).to_be_in_viewport()


def test_the_title_counts_what_waits_and_forgets_what_was_read(
    desk: Page, customers: Customers
) -> None:
    expect(desk).to_have_title(re.compile(r"^\(3\) Bandeja"))
    expect(desk.locator("[data-unread-total]")).to_have_text("3")
    open_chat(desk, "Ana Uno")
    expect(desk).to_have_title(re.compile(r"^\(2\) Ana Uno"))
    customers.write("Berta Dos", "dos más", "y tres")
    expect(desk).to_have_title(re.compile(r"^\(4\)"))


def test_the_line_of_the_unread_stands_where_reading_stopped(
    desk: Page, customers: Customers
) -> None:
    customers.write("Ana Uno", "y otra")
    expect(row_of(desk, "Ana Uno").locator(".badge")).to_contain_text("2")
    open_chat(desk, "Ana Uno")
    expect(desk.locator("#unread-line")).to_have_text("2 mensajes no leídos")
    expect(desk.locator(".day").first).to_contain_text("Hoy")
    expect(row_of(desk, "Ana Uno").locator(".badge")).to_have_count(0)


def test_days_stand_between_messages_and_old_pages_come_by_scrolling(
    desk: Page, stack: RunningStack
) -> None:
    ((chat_id,),) = stack.query(
        "SELECT c.id FROM chats c JOIN clients k ON k.id = c.client_id "
        "WHERE k.first_name LIKE 'Ana%%' AND c.closed_at IS NULL ORDER BY c.id DESC LIMIT 1"
    )
    stack.query(
        "INSERT INTO messages (chat_id, client_id, whatsapp_number_id, direction, content, status,"
        " position) SELECT id, client_id, whatsapp_number_id, 'inbound', 'viejo ' || n, 'read',"
        " now() - make_interval(hours => n) FROM chats, generate_series(1, 120) n WHERE id = %s",
        chat_id,
    )
    open_chat(desk, "Ana Uno")
    expect(bubbles(desk, "in")).to_have_count(50)
    log = desk.locator("#log")
    for pages in (100, 121):
        log.evaluate("log => { log.scrollTop = 0 }")
        expect(bubbles(desk, "in")).to_have_count(pages)
        # What one was reading stays where it was: the new page lies above.
        assert log.evaluate("log => log.scrollTop") > 100
    texts = bubbles(desk, "in").locator(".text").all_inner_texts()
    assert texts[:120] == [f"viejo {n}" for n in range(120, 0, -1)]
    days = desk.locator("#log .day").all_inner_texts()
    assert len(days) == len(set(days)) >= 5
    assert days[-1].startswith("Hoy")
    assert days[-2].startswith("Ayer")


def test_tabs_and_search_have_addresses_and_back_works(desk: Page) -> None:
    open_chat(desk, "Ana Uno")
    desk.click("#tabs [data-tab=all]")
    expect(desk.locator("#tabs [data-tab=all][aria-current]")).to_be_visible()
    expect(desk).to_have_url(re.compile(r"/inbox/\d+\?tab=all"))
    expect(desk.locator("#thread-title")).to_have_text("Ana Uno")
    desk.fill("#q", "NO EXISTE ñandú")
    expect(desk.locator("#rows .empty h2")).to_have_text("No se encontró nada")
    desk.locator("#search button[type=reset]").click()
    expect(row_of(desk, "Ana Uno")).to_be_visible()
    desk.go_back()
    expect(desk.locator("#tabs [data-tab=mine][aria-current]")).to_be_visible()
    desk.goto(desk.url.partition("/inbox")[0] + "/inbox?q=carla")
    expect(desk.locator("#rows .name").first).to_have_text("Carla Tres")
    expect(row_of(desk, "Ana Uno")).to_have_count(0)
    # What was found is marked, and the chat opens at it.
    expect(desk.locator("#rows mark").first).to_have_text("Carla")
    row_of(desk, "Carla Tres").first.locator("a").click()
    expect(desk.locator("#log .flash")).to_contain_text("Hola, soy Carla Tres")
    expect(desk.locator("#thread-title")).to_have_text("Carla Tres")


def test_a_chat_that_goes_to_somebody_else_leaves_the_screen(
    desk: Page, stack: RunningStack, sign_in: SignIn
) -> None:
    open_chat(desk, "Ana Uno")
    other = sign_in(JHON)
    become(other, "available")
    desk.click("#my-status summary")
    desk.click("#my-status button[value=offline]")
    hand_over(desk, "queue")
    expect(desk.locator("#my-status[data-status=offline]")).to_be_attached()
    expect(row_of(other, "Ana Uno")).to_be_visible()
    expect(row_of(desk, "Ana Uno")).to_have_count(0)
    expect(desk.locator("#composer")).to_have_count(0)


def test_english_is_a_choice_and_stays(desk: Page) -> None:
    desk.click(".rail details summary")
    desk.click("button[name=language][value=en]")
    expect(desk.locator("#list-title")).to_have_text("Inbox")
    expect(desk.locator("html")).to_have_attribute("lang", "en")
    desk.reload()
    expect(desk.locator("#list-title")).to_have_text("Inbox")
    desk.click(".rail details summary")
    desk.click("button[name=language][value=es]")
    expect(desk.locator("#list-title")).to_have_text("Bandeja")


def test_nothing_moves_for_those_who_want_nothing_to_move(
    sign_in: SignIn, customers: Customers
) -> None:
    page = sign_in(LAURA, reduced_motion="reduce")
    become(page, "available")
    customers.write("Quieta Siempre", "Hola")
    row_of(page, "Quieta Siempre").locator("a").click()
    answer(page, "Listo")
    expect(bubbles(page, "out")).to_be_visible()
    assert page.evaluate("document.getAnimations().length") == 0
