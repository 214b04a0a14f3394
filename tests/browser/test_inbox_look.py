"""How the desk looks: both themes, phone and small windows, both languages."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.desk import (
    LAURA,
    PHONE,
    SMALLEST,
    Customers,
    SignIn,
    answer,
    become,
    bubbles,
    open_chat,
    row_of,
)
from tests.browser.measures import faults_of
from tests.stack import RunningStack


def test_signing_in_and_errors_can_be_read_by_everybody(
    stack: RunningStack, open_context: Callable[..., BrowserContext]
) -> None:
    page = open_context().new_page()
    large = page.viewport_size
    assert large is not None
    for path in ("/login", "/nothing/here"):
        page.goto(stack.url + path)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            for size, least in ((large, {}), (SMALLEST, {"least_target": 28})):
                page.set_viewport_size(size)
                assert faults_of(page, **least) == {}, (path, theme, size)


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


def test_the_smallest_window_shows_one_pane_at_a_time_and_fingers_get_large_targets(
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

    page.set_viewport_size(PHONE)
    row.locator("a").click()
    expect(page.locator("#composer")).to_be_visible()
    for selector in (".bar a.btn", ".bar button", "#composer button.primary"):
        for target in page.locator(selector).all():
            if target.is_visible():
                box = target.bounding_box()
                assert box["height"] >= 44, selector
                assert box["width"] >= 44, selector
    assert page.locator("#text").evaluate("box => parseFloat(getComputedStyle(box).fontSize)") >= 16


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
