"""Writing at the desk: by keyboard alone, with drafts, without a connection."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.desk import (
    answer,
    bubbles,
    hand_over,
    open_chat,
    row_of,
)
from tests.stack import RunningStack


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


def test_enter_sends_unless_with_shift_or_within_a_composition(desk: Page) -> None:
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

    open_chat(desk, "Berta Dos")
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
    expect(desk).to_have_url(re.compile("/login"))
    assert desk.evaluate("JSON.stringify(localStorage)").find("secreto") == -1


def test_a_message_without_connection_waits_survives_a_reload_and_then_goes_once(
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

    open_chat(desk, "Berta Dos")
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
