"""What comes in while one reads: rows, places, counts, days, addresses."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.desk import (
    JHON,
    Customers,
    SignIn,
    become,
    bubbles,
    hand_over,
    names_in,
    open_chat,
    row_of,
)
from tests.stack import RunningStack


def test_rows_stay_under_the_pointer_and_a_moving_one_keeps_focus_and_choice(
    desk: Page, customers: Customers
) -> None:
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


def test_who_reads_above_is_told_and_not_moved(
    desk: Page, customers: Customers, stack: RunningStack
) -> None:
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
    # The page heals itself from the server, and only what it missed is to be seen of it.
    stack.query(
        "INSERT INTO messages (chat_id, client_id, whatsapp_number_id, direction, content, status,"
        " position) SELECT chat_id, client_id, whatsapp_number_id, direction, 'nadie avisó',"
        " status, position + interval '1 ms' FROM messages"
        " WHERE chat_id = %s AND direction = 'inbound' ORDER BY position DESC LIMIT 1",
        desk.url.rpartition("/")[2],
    )
    with desk.expect_response(lambda answer: "/inbox/list" in answer.url):
        desk.evaluate("window.dispatchEvent(new Event('online'))")
        log.evaluate("log => { log.scrollTop = 300 }")
    expect(desk.locator("#log .day")).to_have_count(1)
    expect(desk.locator("#jump")).to_have_text("1 nuevo")
    assert log.evaluate("log => log.scrollTop") == 300
    desk.click("#jump")
    customers.write("Ana Uno", "y ahora sí")
    expect(bubbles(desk, "in").last).to_contain_text("y ahora sí")
    expect(bubbles(desk, "in").last).to_be_in_viewport()


def test_what_waits_is_counted_until_it_is_read_and_a_line_says_where_reading_stopped(
    desk: Page, customers: Customers
) -> None:
    expect(desk).to_have_title(re.compile(r"^\(3\) Bandeja"))
    expect(desk.locator("[data-unread-total]")).to_have_text("3")
    open_chat(desk, "Carla Tres")
    expect(desk).to_have_title(re.compile(r"^\(2\) Carla Tres"))
    customers.write("Berta Dos", "dos más", "y tres")
    expect(desk).to_have_title(re.compile(r"^\(4\)"))
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
