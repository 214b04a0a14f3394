"""A number in three steps, its test in plain words, and the bell, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.stack import RunningStack

ADMIN = "admin@demo.charla.local"
FAILED = """
    INSERT INTO webhook_events (provider, body, status, problems)
    VALUES ('meta', '{"entry": []}', 'failed', '[{"reason": "refused"}]')
"""


def test_a_number_is_added_in_three_steps_and_its_test_says_what_is_wrong(
    stack: RunningStack, sign_in: Callable[..., Page]
) -> None:
    page = sign_in(ADMIN)
    page.goto(f"{stack.url}/settings/numbers/new")
    page.get_by_role("button", name="Siguiente").click()
    expect(page.locator("[data-takes-focus]")).to_be_focused()
    page.fill("#display_name", "Línea Nueva")
    page.fill("#phone_number", "300 555 0199")
    page.get_by_role("button", name="Siguiente").click()
    expect(page.locator("[aria-current=step]")).to_contain_text("Credenciales")
    page.fill("#meta_phone_number_id", "999999999")
    page.fill("#meta_business_account_id", "200000000000001")
    page.fill("#meta_access_token", "simulator-token")
    page.get_by_role("button", name="Guardar y seguir").click()
    expect(page.locator("[aria-current=step]")).to_contain_text("Webhook y prueba")
    expect(page.locator("#webhook-address")).to_have_value(f"{stack.url}/webhooks/meta")
    token = page.locator("#verify-token").input_value()
    assert len(token) > 20
    handshake = {"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": "7"}
    assert page.request.get(f"{stack.url}/webhooks/meta", params=handshake).text() == "7"
    page.get_by_role("button", name="Probar conexión").click()
    checks = page.locator("#checks li")
    expect(checks).to_have_count(9)
    expect(checks.nth(0)).to_contain_text("Meta lo acepta y no vence.")
    expect(page.locator("#checks li.bad").first).to_contain_text("El identificador del número")
    page.get_by_role("link", name="Terminar").click()
    expect(page.locator(".overview")).to_contain_text("Ninguna campaña recibe sus chats")


def test_a_number_that_is_right_passes_its_test(
    stack: RunningStack, sign_in: Callable[..., Page]
) -> None:
    named = "SELECT id FROM whatsapp_numbers WHERE display_name = %s"
    number_id = stack.query(named, "Línea Ventas")[0][0]
    page = sign_in(ADMIN)
    page.goto(f"{stack.url}/settings/numbers/{number_id}/webhook")
    page.get_by_role("button", name="Probar conexión").click()
    good = page.locator("#checks li.good")
    # All but the address, which is none of HTTPS here, and perhaps what has arrived so far.
    expect(good.nth(6)).to_be_visible()
    expect(page.locator("#checks")).to_contain_text("Es +57 601 555 0101, Línea Ventas.")


def test_a_failed_delivery_rings_on_an_open_page_and_is_seen(
    stack: RunningStack, sign_in: Callable[..., Page]
) -> None:
    page = sign_in(ADMIN)
    page.locator("html[data-live=live]").wait_for()
    stack.query(FAILED)
    # The clock finds it, a worker raises it, the socket tells it: no reload.
    note = page.locator("#alarm-note")
    expect(note).to_contain_text("Algo que llegó no se pudo guardar", timeout=60_000)
    note.get_by_role("link", name="Qué hacer").click()
    card = page.locator(".alarm", has_text="Algo que llegó no se pudo guardar")
    card.get_by_role("link", name="Ir a resolverlo").click()
    expect(page.locator(".deliveries")).to_contain_text("La base de datos se negó a guardarlo.")
    # A page of the ledger is ticked at once, and says how many would be processed again.
    rows = page.locator(".deliveries td.pick input")
    page.locator(".deliveries [data-pick-all]").check()
    expect(page.locator("#listing [data-picked]")).to_have_text(
        re.compile(rf"^{rows.count()} elegidas?$")
    )
    page.locator(".deliveries tbody th a").first.click()
    page.get_by_role("button", name="Apartar").click()
    expect(page.get_by_role("button", name="Volver a considerar")).to_be_visible()
    expect(page.locator("#alarm-note")).to_be_empty(timeout=60_000)
