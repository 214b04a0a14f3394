"""The product's main job, as people see it: two customers write, two agents answer."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.desk import (
    JHON,
    LAURA,
    answer,
    become,
    clear_the_desk,
    phones_of,
    row_of,
    write_on_phone,
)
from tests.simulator.server import NUMBER, SimulatorServer
from tests.stack import RunningStack


def texts(phones: SimulatorServer, wa_id: str) -> list[str]:
    """What the customer's phone shows, oldest first."""
    return [message["content"].get("body") for message in phones.messages(wa_id)]


def owner_of(pages: dict[str, Page], name: str) -> str:
    """On whose screen the customer's row appears; it must appear on exactly one."""
    for _ in range(100):
        found = [email for email, page in pages.items() if row_of(page, name).is_visible()]
        if found:
            assert len(found) == 1
            return found[0]
        next(iter(pages.values())).wait_for_timeout(100)
    raise AssertionError(f"nobody sees {name}")


def test_two_customers_write_and_two_agents_answer_live(
    stack: RunningStack, sign_in: Callable[..., Page], open_context: Callable[..., BrowserContext]
) -> None:
    clear_the_desk(stack)
    laura, jhon = sign_in(LAURA), sign_in(JHON)
    become(laura, "available")
    become(jhon, "available")
    pages = {LAURA: laura, JHON: jhon}
    customers = {"573009990001": "Paula Prueba", "573009990002": "Óscar Ñame"}
    control = phones_of(stack)
    for wa_id, name in customers.items():
        control.add_customer(wa_id, name)
    # Two phones side by side in a third browser, as a newcomer would open them.
    table = open_context().new_page()
    shown = ",".join(f"{wa_id}.{NUMBER}" for wa_id in customers)
    table.goto(f"{stack.simulator_url}/?phones={shown}&lang=es")
    phones = {
        name: table.get_by_role("region", name=f"Teléfono de {name}") for name in customers.values()
    }
    for name, phone in phones.items():
        write_on_phone(phone, f"Buenas, soy {name}")

    # By turns: each of the two got one, live, without a reload.
    owners = {name: owner_of(pages, name) for name in phones}
    assert sorted(owners.values()) == [JHON, LAURA]

    for name, phone in phones.items():
        page = pages[owners[name]]
        row_of(page, name).locator("a").click()
        expect(page.locator("#thread-title")).to_have_text(name)
        expect(page.locator("#log .bubble.in").last).to_contain_text(f"Buenas, soy {name}")
        expect(row_of(page, name).locator(".badge")).to_have_count(0)
        answer(page, f"¡Hola, {name}! Con gusto le ayudo.")
        expect(phone.get_by_role("article").last).to_contain_text("Con gusto le ayudo.")
        # The phone lies open on the table, so the ticks go all the way to blue.
        bubble = page.locator("#log .bubble.out").last
        expect(bubble).to_contain_text(f"¡Hola, {name}!")
        expect(bubble.locator(".ticks.read")).to_be_visible()
        write_on_phone(phone, "Perfecto, gracias 🙌")
        expect(page.locator("#log .bubble.in").last).to_contain_text("Perfecto, gracias 🙌")
        expect(phone.get_by_role("article")).to_have_count(3)
        expect(page.locator("#log .bubble")).to_have_count(3)

    # Nobody else's customer in one's own list.
    for name, email in owners.items():
        other = pages[LAURA if email == JHON else JHON]
        expect(row_of(other, name)).to_have_count(0)


def test_a_double_enter_is_one_message(stack: RunningStack, sign_in: Callable[..., Page]) -> None:
    phones = phones_of(stack)
    clear_the_desk(stack)
    laura = sign_in(LAURA)
    become(laura, "available")
    phones.say(wa_id="573009990003", number_id=NUMBER, name="Doble Clic", text="¿Hola?")
    row_of(laura, "Doble Clic").locator("a").click()
    laura.fill("#text", "Una sola vez")
    laura.evaluate(
        """() => {
            const form = document.querySelector('#composer');
            form.requestSubmit(); form.requestSubmit();
        }"""
    )
    expect(laura.locator("#log .bubble.out .ticks.delivered")).to_have_count(1)
    assert texts(phones, "573009990003") == ["¿Hola?", "Una sola vez"]
    assert stack.query("SELECT count(*) FROM messages WHERE content = 'Una sola vez'") == [(1,)]


def test_a_refused_message_says_why_in_plain_words(
    stack: RunningStack, sign_in: Callable[..., Page]
) -> None:
    phones = phones_of(stack)
    clear_the_desk(stack)
    laura = sign_in(LAURA)
    become(laura, "available")
    phones.say(wa_id="573009990004", number_id=NUMBER, name="Bloqueo Total", text="Adiós")
    row_of(laura, "Bloqueo Total").locator("a").click()
    phones.set_fault("refuse", code=131026, wa_id="573009990004")
    try:
        answer(laura, "¿Sigue ahí?")
        expect(laura.locator("#log .bubble.out .ticks.failed")).to_be_visible()
        expect(laura.locator("#log .bubble.out .why")).to_contain_text(re.compile("No se entregó"))
    finally:
        phones.clear_faults()


def test_what_arrives_while_the_connection_is_cut_is_there_afterwards_once(
    stack: RunningStack, sign_in: Callable[..., Page], open_context: Callable[..., BrowserContext]
) -> None:
    phones = phones_of(stack)
    clear_the_desk(stack)
    context = open_context()
    laura = sign_in(LAURA, context=context)
    become(laura, "available")
    phones.say(wa_id="573009990005", number_id=NUMBER, name="Sin Señal", text="uno")
    row_of(laura, "Sin Señal").locator("a").click()
    expect(laura.locator("#log .bubble.in")).to_have_count(1)
    for web in stack.processes("gunicorn"):
        web.kill()
    # A second apart: WhatsApp's times are whole seconds, and its retries keep no order.
    for seconds, text in enumerate(("dos", "tres"), start=1):
        at = time.time() + seconds
        phones.say(wa_id="573009990005", number_id=NUMBER, name="Sin Señal", text=text, at=at)
    bubbles = laura.locator("#log .bubble.in")
    expect(bubbles).to_have_count(3, timeout=45_000)
    expect(bubbles.nth(1)).to_contain_text("dos")
    expect(bubbles.nth(2)).to_contain_text("tres")
    expect(laura.locator("#banner")).to_be_hidden()
