"""A phone behind WPPConnect, as an admin and an agent see it: add, scan, talk, cut, recover."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.desk import (
    LAURA,
    answer,
    become,
    clear_the_desk,
    phones_of,
    row_of,
    until,
    write_on_phone,
)
from tests.stack import RunningStack

ADMIN = "admin@demo.charla.local"
# The session is looked at by the clock, and the workers share two cores with other tests.
PATIENCE = 60_000


def add_number(page: Page, stack: RunningStack, session: str, phone: str) -> int:
    """Go the three steps as an admin does; the new number's id."""
    page.goto(f"{stack.url}/settings/numbers/new")
    page.locator("label.choice").filter(has_text="WPPConnect").click()
    page.fill("input[name=display_name]", "Línea del parque")
    page.fill("input[name=phone_number]", phone)
    page.click(".step-buttons .primary")
    page.fill("input[name=wppconnect_server_url]", stack.simulator_url)
    page.fill("input[name=wppconnect_session_name]", session)
    page.fill("input[name=wppconnect_api_key]", "simulator-token")
    page.click(".step-buttons .primary")
    expect(page.locator("#session")).to_be_visible()
    page.click(".step-buttons .primary")
    page.wait_for_url(re.compile(r"/settings/numbers/\d+$"))
    return int(page.url.rpartition("/")[2])


def look_now(stack: RunningStack, number_id: int) -> None:
    """The next look at a healthy session is a minute away: have it now."""
    stack.query(
        "UPDATE wppconnect_sessions SET check_at = now() WHERE whatsapp_number_id = %s", number_id
    )


def when(stack: RunningStack, number_id: int, state: str, page: Page) -> None:
    """The page asks a healthy session every 15 seconds: have it look once it stands so."""
    until(
        lambda: stack.query(
            "SELECT 1 FROM wppconnect_sessions WHERE whatsapp_number_id = %s AND state = %s",
            number_id,
            state,
        )
    )
    page.reload()


def test_a_phone_is_linked_talks_is_cut_and_loses_nothing(
    stack: RunningStack, sign_in: Callable[..., Page], open_context: Callable[..., BrowserContext]
) -> None:
    clear_the_desk(stack)
    control = phones_of(stack)
    session = f"parque-{uuid.uuid4().hex[:6]}"
    admin = sign_in(ADMIN)
    number_id = add_number(admin, stack, session, "+57 320 777 0001")
    stack.query(
        "INSERT INTO campaign_numbers (campaign_id, whatsapp_number_id) "
        "SELECT id, %s FROM campaigns WHERE code = 'VENTAS'",
        number_id,
    )
    admin.reload()
    admin.locator("label.switch").filter(has_text="Encendido").click()
    admin.click("button.save")
    expect(admin.locator(".overview .tile").first).to_contain_text("Sin comprobar")

    # The code appears by itself; the phone of the line is in the simulator's hand.
    part = admin.locator("#session")
    part.get_by_role("button", name="Conectar").click()
    expect(part.get_by_alt_text("Código QR para vincular el teléfono")).to_be_visible(
        timeout=PATIENCE
    )
    table = open_context().new_page()
    table.goto(f"{stack.simulator_url}/?lang=es")
    table.click("#open-faults")
    line = table.locator("[data-line-id]").filter(has_text=session)
    line.get_by_role("button", name="Escanear").click()
    expect(part.get_by_role("status")).to_have_text("Conectado", timeout=PATIENCE)

    # A customer writes to that line, an agent answers, the tick moves.
    laura = sign_in(LAURA)
    become(laura, "available")
    line_id = line.get_attribute("data-line-id")
    control.add_customer("573007770009", "Rosa del Parque")
    table.goto(f"{stack.simulator_url}/?phones=573007770009.{line_id}&lang=es")
    phone = table.get_by_role("region", name="Teléfono de Rosa del Parque")
    write_on_phone(phone, "¿Tienen cometas?")
    row_of(laura, "Rosa del Parque").locator("a").click(timeout=PATIENCE)
    expect(laura.locator("#log .bubble.in").last).to_contain_text("¿Tienen cometas?")
    answer(laura, "Sí, de tres colores.")
    expect(phone.locator(".log")).to_contain_text("Sí, de tres colores.", timeout=PATIENCE)

    # What was sent is edited and taken back, at the customer's too.
    said = laura.locator("#log .bubble.out").last
    expect(said).to_have_attribute("data-status", re.compile("delivered|read"), timeout=PATIENCE)
    said.hover()
    laura.locator("[data-bubble=edit]").click()
    laura.locator("#compose-dialog textarea").fill("Sí, de cuatro colores.")
    laura.locator("#compose-dialog footer .primary").click()
    expect(said.locator(".foot")).to_contain_text("editado", timeout=PATIENCE)
    expect(phone.locator(".log")).to_contain_text("Sí, de cuatro colores.")
    said.hover()
    laura.locator("[data-bubble=remove]").click()
    expect(laura.locator("#compose-dialog")).to_contain_text("¿Eliminar para todos?")
    laura.locator("#compose-dialog footer .danger").click()
    expect(said).to_contain_text("Eliminado para todos", timeout=PATIENCE)
    expect(phone.locator(".log")).not_to_contain_text("colores.")

    # The server dies; what the customer writes meanwhile is nowhere but on the phone.
    table.click("#open-faults")
    line.get_by_role("button", name="Tumbar el servidor").click()
    expect(line).to_contain_text("cerrada")
    write_on_phone(phone, "¿La roja, a cómo?")
    look_now(stack, number_id)
    expect(laura.locator("#log .bubble.in").last).to_contain_text(
        "¿La roja, a cómo?", timeout=PATIENCE
    )
    when(stack, number_id, "connected", admin)
    expect(part).to_contain_text("1 mensaje recuperado", timeout=PATIENCE)
    expect(part.get_by_role("status")).to_have_text("Conectado", timeout=PATIENCE)

    # Unlinking on the phone is said at once, and asks for a new scan.
    line.get_by_role("button", name="Desvincular").click()
    when(stack, number_id, "qr", admin)
    expect(part.get_by_alt_text("Código QR para vincular el teléfono")).to_be_visible(
        timeout=PATIENCE
    )
    told = admin.locator(".overview .summary")
    expect(told).to_contain_text("no está conectado", timeout=PATIENCE)
    # A person closes it: nobody starts it again, and the alarm is over, on the open page as well.
    part.get_by_role("button", name="Desconectar").click()
    expect(part.get_by_role("status")).to_have_text("Sin conectar", timeout=PATIENCE)
    expect(told).to_have_count(0, timeout=PATIENCE)
    open_alarms = "SELECT count(*) FROM alarms WHERE kind = 'session_lost' AND ended_at IS NULL"
    assert stack.query(open_alarms) == [(0,)]
