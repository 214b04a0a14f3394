"""What an agent writes beside plain text, seen in Chromium and on the simulated phone."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

import pytest
import requests
from playwright.sync_api import Locator, Page, expect

from tests.browser.desk import LAURA, give_to_laura, is_up, until
from tests.stack import ROOT, RunningStack

NUMBER = "100000000000001"
INVOICE = ROOT / "crm/simulator/samples/pedido.pdf"


@pytest.fixture
def talk(stack: RunningStack, sign_in: Callable[..., Page]) -> Callable[..., tuple[Page, str]]:
    """Laura's page on the chat of a customer who has just written; and the customer's wa_id."""

    def begin(**options: object) -> tuple[Page, str]:
        wa_id = f"57310{uuid.uuid4().int % 10_000_000:07d}"
        say(stack, wa_id, "Buenas, ¿me ayudan?")
        chat_id = chat_of(stack, wa_id)
        give_to_laura(stack, chat_id)
        page = sign_in(LAURA, **options)
        page.goto(f"{stack.url}/inbox/{chat_id}")
        expect(page.locator("#text")).to_be_visible()
        # The composer's own module has come.
        expect(page.locator("#compose")).to_have_attribute("data-ready", "")
        return page, wa_id

    return begin


def say(stack: RunningStack, wa_id: str, text: str) -> None:
    until(lambda: is_up(f"{stack.simulator_url}/control/state"))
    answer = requests.post(
        f"{stack.simulator_url}/control/say",
        json={"number_id": NUMBER, "wa_id": wa_id, "name": "Cliente Nueva", "text": text},
        timeout=10,
    )
    assert answer.status_code < 300, answer.text


def chat_of(stack: RunningStack, wa_id: str) -> int:
    rows = until(
        lambda: stack.query(
            "SELECT ch.id FROM chats ch JOIN client_identities i ON i.client_id = ch.client_id"
            " WHERE i.value = %s",
            wa_id,
        )
    )
    return int(rows[0][0])  # type: ignore[index]


def phone(stack: RunningStack, wa_id: str) -> dict:
    """What the customer's phone shows of the chat."""
    answer = requests.get(f"{stack.simulator_url}/control/phones/{wa_id}/{NUMBER}", timeout=10)
    found: dict = answer.json()["chat"]
    return found


def on_the_phone(stack: RunningStack, wa_id: str, kind: str) -> dict:
    """The customer's newest message of this type, once it is there."""

    def read() -> list[dict]:
        rows = phone(stack, wa_id)["messages"]
        return [row for row in rows if row["type"] == kind and row["direction"] == "out"]

    return until(read)[-1]  # type: ignore[index]


def press_tool(page: Page, bubble: Locator, deed: str) -> None:
    """Point at a bubble and press in its bar, which a thread that still scrolls takes away."""
    tool = page.locator(f"[data-bubble={deed}]")

    def shown() -> bool:
        page.mouse.move(0, 0)
        bubble.hover()
        return tool.is_visible()

    until(shown)
    tool.click()


def texts_on_the_phone(stack: RunningStack, wa_id: str) -> list[str]:
    rows = phone(stack, wa_id)["messages"]
    return [
        row["content"]["body"]
        for row in rows
        if row["type"] == "text" and row["direction"] == "out"
    ]


def last(page: Page, selector: str = "#log > .bubble") -> Locator:
    return page.locator(selector).last


def open_dialog(page: Page, kind: str) -> Locator:
    page.locator(".menu.up > summary").click()
    page.locator(f"[data-compose={kind}]").click()
    dialog = page.locator("#compose-dialog")
    expect(dialog.locator("input:not([type=hidden]), textarea").first).to_be_visible()
    return dialog


def approve_an_invoice(stack: RunningStack) -> None:
    """A template in English with a document, an amount and a date, as Meta hands it to us."""
    text = "Hello {{1}}, we wait for {{2}} before {{3}}, thank you."
    template = {
        "name": "factura",
        "language": "en_US",
        "category": "UTILITY",
        "components": [
            {"type": "HEADER", "format": "DOCUMENT", "example": {"header_handle": ["4::a"]}},
            {"type": "BODY", "text": text, "example": {"body_text": [["Ana", "COP 1", "May 1"]]}},
        ],
    }
    made = requests.post(
        f"{stack.simulator_url}/v23.0/200000000000001/message_templates",
        json=template,
        headers={"Authorization": "Bearer simulator-token"},
        timeout=10,
    )
    assert made.status_code == 200, made.text
    address = f"{stack.simulator_url}/control/templates/{made.json()['id']}/status"
    requests.post(address, json={"status": "APPROVED"}, timeout=10)
    until(lambda: stack.query("SELECT 1 FROM templates WHERE template_name = 'factura'"))


def test_places_contacts_links_and_lists_go_out_and_are_copied_and_forwarded(
    stack: RunningStack, talk
) -> None:
    page, wa_id = talk()
    # The Enter key's meaning is each person's choice, and stays.
    with page.expect_response("**/inbox/enter"):
        page.locator("[data-enter-choice]").evaluate("box => box.click()")
    page.locator("#text").fill("Una")
    page.locator("#text").press("Enter")
    page.locator("#text").press_sequentially("dos")
    expect(page.locator("#text")).to_have_value("Una\ndos")
    page.keyboard.press("Control+Enter")
    expect(last(page, "#log > .out").locator(".text")).to_contain_text("Una")
    expect(last(page, "#log > .out").locator(".text")).to_contain_text("dos")
    page.reload()
    expect(page.locator("#compose")).to_have_attribute("data-ready", "")
    expect(page.locator("#composer")).to_have_attribute("data-enter", "line")
    with page.expect_response("**/inbox/enter"):
        page.locator("[data-enter-choice]").evaluate("box => box.click()")
    expect(page.locator("#composer")).to_have_attribute("data-enter", "send")

    dialog = open_dialog(page, "location")
    dialog.locator("[name=place]").fill("por la esquina")
    dialog.locator("footer .primary").click()
    expect(dialog.locator("[data-dialog-error]")).to_contain_text("coordenadas")
    dialog.locator("[name=place]").fill("https://www.google.com/maps/@4.6097,-74.0817,15z")
    dialog.locator("[name=name]").fill("La sede")
    dialog.locator("footer .primary").click()
    expect(last(page, "#log > .out")).to_contain_text("La sede")
    assert on_the_phone(stack, wa_id, "location")["content"]["latitude"] == 4.6097

    dialog = open_dialog(page, "contact")
    dialog.locator("[name=first_name]").fill("Taller")
    dialog.locator("[name=phone]").fill("+57 301 555 7788")
    dialog.locator("footer .primary").click()
    expect(last(page, "#log > .out")).to_contain_text("+57 301 555 7788")
    card = on_the_phone(stack, wa_id, "contacts")["content"][0]
    assert card["phones"][0]["wa_id"] == "573015557788"

    dialog = open_dialog(page, "link")
    dialog.locator("[name=body]").fill("Su pedido")
    dialog.locator("[name=title]").fill("Rastrear")
    dialog.locator("[name=url]").fill("https://example.com/a")
    expect(dialog.locator(".wa-buttons li")).to_have_text(["Rastrear"])
    dialog.locator("footer .primary").click()
    expect(last(page, "#log > .out")).to_contain_text("Rastrear")

    dialog = open_dialog(page, "list")
    dialog.locator("[name=body]").fill("¿Qué sede?")
    dialog.locator("[name=button]").fill("Ver sedes")
    dialog.locator("[name=row-0]").fill("Norte")
    dialog.locator("[name=row-1]").fill("Sur")
    dialog.locator("footer .primary").click()
    expect(last(page, "#log > .out").locator(".list-sent")).to_contain_text("Ver sedes")

    # Copied as it reads, forwarded to a chat of one's own whose window is open.
    asked = page.locator("#log > .in").first
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    press_tool(page, asked, "copy")
    expect(page.locator("#toasts")).to_contain_text("Copiado")
    assert page.evaluate("navigator.clipboard.readText()") == "Buenas, ¿me ayudan?"
    other = f"57310{uuid.uuid4().int % 10_000_000:07d}"
    say(stack, other, "Yo también pregunto")
    give_to_laura(stack, chat_of(stack, other))
    press_tool(page, asked, "forward")
    target = page.locator(f"#compose-dialog input[value='{chat_of(stack, other)}']")
    target.check()
    page.locator("#compose-dialog footer .primary").click()
    expect(page.locator("#compose-dialog")).to_be_hidden()
    # What is said by itself to whoever waits may come before or after it.
    assert until(lambda: "Buenas, ¿me ayudan?" in texts_on_the_phone(stack, other)) is True


def test_a_note_is_kept_apart_calls_a_colleague_and_is_edited_and_deleted(
    stack: RunningStack, talk, sign_in: Callable[..., Page]
) -> None:
    page, wa_id = talk()
    composer, chat_id = page.locator("#composer"), chat_of(stack, wa_id)
    page.locator("#text").fill("Ojo con el precio")
    drafts = "Object.keys(localStorage).filter((key) => key.startsWith('draft:')).length"
    assert until(lambda: page.evaluate(drafts) == 1)
    page.keyboard.press("Alt+KeyP")
    expect(composer).to_have_attribute("data-mode", "note")
    assert page.evaluate(drafts) == 0
    # A half-written note stays a note, never an answer: when the chat asks for another box, ...
    stack.query("UPDATE chats SET status = 'assigned' WHERE id = %s", chat_id)
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator("#thread[data-status=assigned]")).to_be_attached()
    expect(composer).to_have_attribute("data-mode", "note")
    expect(page.locator("#text")).to_have_value("Ojo con el precio")
    # ... and when it comes back.
    page.reload()
    expect(composer).to_have_attribute("data-mode", "note")
    expect(page.locator("#text")).to_have_value("Ojo con el precio")
    marta = sign_in("marta@demo.charla.local")
    page.locator("#text").press("End")
    page.locator("#text").press_sequentially(" @Marta")
    page.locator("#suggest [role=option]").first.wait_for()
    page.keyboard.press("Enter")
    page.locator("#text").press("Enter")
    note = page.locator("#log > .note").last
    expect(note).to_contain_text("Ojo con el precio @Marta")
    sent = "SELECT count(*) FROM messages WHERE chat_id = %s AND content LIKE 'Ojo%%'"
    assert stack.query(sent, chat_id)[0][0] == 0

    # Whom it names hears of it at once, and gets to it by one press.
    toast = marta.locator("#toasts [data-mention]")
    expect(toast).to_contain_text("Laura Gómez lo menciona en una nota")
    expect(marta.locator("#mentions .badge")).to_have_text("1")
    expect(marta).to_have_title(re.compile("^@ "))
    toast.locator("a").click()
    theirs = marta.locator("#log > .note").last
    expect(theirs).to_contain_text("Ojo con el precio")
    expect(marta.locator("#mentions")).to_be_hidden()
    assert stack.query("SELECT unread_count FROM chats WHERE id = %s", chat_id)[0][0] <= 1
    # Somebody else's note is not hers to edit; as a supervisor she may take it away.
    theirs.hover()
    expect(marta.locator(".bubble-tools [data-bubble=remove]")).to_be_visible()
    expect(marta.locator(".bubble-tools [data-bubble=edit]")).to_be_hidden()

    press_tool(page, note, "edit")
    page.locator("#compose-dialog textarea").fill("")
    page.locator("#compose-dialog footer .primary").click()
    expect(page.locator("#compose-dialog [data-dialog-error]")).to_be_visible()
    page.locator("#compose-dialog textarea").fill("Ya está resuelto")
    page.locator("#compose-dialog footer .primary").click()
    expect(note).to_contain_text("editado")
    expect(theirs).to_contain_text("Ya está resuelto")
    press_tool(page, note, "remove")
    page.locator("#compose-dialog footer .danger").click()
    expect(marta.locator("#log > .event").last).to_contain_text("eliminó una nota interna")
    expect(page.locator("#log > .note")).to_have_count(0)


def test_a_new_chat_begins_with_a_template(stack: RunningStack, sign_in) -> None:
    until(lambda: stack.query("SELECT 1 FROM templates WHERE template_name = 'seguimiento_pedido'"))
    page = sign_in(LAURA)
    page.locator("[data-start-chat]").click()
    dialog = page.locator("#compose-dialog")
    digits = f"310{uuid.uuid4().int % 10_000_000:07d}"
    dialog.locator("[name=phone]").fill(digits)
    dialog.locator("[name=first_name]").fill("Rosa")
    dialog.locator("footer .primary").click()
    dialog.locator("[data-choices] button", has_text="Seguimiento").first.click()
    dialog.locator('[name="body.1"]').fill("Rosa")
    dialog.locator('[name="body.2"]').fill("A-7")
    dialog.locator("footer .primary").click()
    expect(page.locator("#thread-title")).to_have_text("Rosa")
    expect(last(page, "#log > .out")).to_contain_text("Su pedido A-7")
    status = stack.query(
        "SELECT c.status FROM chats c JOIN clients k ON k.id = c.client_id"
        " WHERE k.phone_number = %s",
        f"+57{digits}",
    )
    assert status == [("pending",)]


def test_reading_and_writing_are_seen_and_words_and_emojis_come_by_their_names(
    stack: RunningStack, talk
) -> None:
    page, wa_id = talk()
    until(lambda: phone(stack, wa_id)["messages"][0]["status"] == "read")
    page.locator("#text").press_sequentially("Un mom")
    assert until(lambda: phone(stack, wa_id)["typing"]) is True
    page.locator("#text").fill("")
    page.locator("#text").press_sequentially("Hola :coraz")
    page.locator("#suggest [role=option]").first.wait_for()
    page.keyboard.press("Enter")
    expect(page.locator("#text")).not_to_have_value(re.compile(":coraz"))
    page.locator("[data-compose=emoji]").click()
    page.locator(".emoji-picker input").fill("pulgar arriba")
    page.locator(".emoji-picker [data-emoji]").first.click()
    expect(page.locator("#text")).to_have_value(re.compile("👍"))
    expect(page.locator(".emoji-picker")).to_have_count(0)
    page.locator("#text").fill("")
    page.locator("#text").press_sequentially("/gra")
    option = page.locator("#suggest [role=option]")
    expect(option).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("#text")).to_have_value(re.compile("gusto"))
    before = stack.query("SELECT sum(usage_count) FROM quick_replies")[0][0]
    page.keyboard.press("Enter")
    expect(page.locator("#text")).to_have_value("")
    counted = "SELECT 1 FROM (SELECT sum(usage_count) AS n FROM quick_replies) q WHERE n = %s"
    assert until(lambda: stack.query(counted, before + 1)) == [(1,)]


def test_a_quote_by_the_arrow_a_reaction_by_the_bubble_and_buttons_whose_tap_comes_back(
    stack: RunningStack, talk
) -> None:
    page, wa_id = talk()
    page.locator("#text").press("ArrowUp")
    expect(page.locator("#quoting .cut")).to_have_text("Buenas, ¿me ayudan?")
    page.locator("#text").fill("Claro que sí")
    page.keyboard.press("Enter")
    quote = last(page, "#log > .out").locator("a.quote")
    expect(quote).to_contain_text("Buenas, ¿me ayudan?")
    expect(page.locator("#quoting")).to_be_hidden()
    # The bubble is drawn anew when its message is stored: a press on the old one may be lost.
    until(lambda: (quote.click(), page.locator("#log > .in.flash").count())[-1])

    asked = page.locator("#log > .in").first
    press_tool(page, asked, "react")
    page.locator("[data-react='👍']").click()
    expect(page.locator("#log > .in").first.locator(".reactions")).to_contain_text("👍")
    until(
        lambda: stack.query(
            "SELECT 1 FROM messages m JOIN client_identities i ON i.client_id = m.client_id"
            " WHERE i.value = %s AND m.message_type = 'reaction' AND m.status <> 'pending'",
            wa_id,
        )
    )
    page.locator(".menu.up > summary").click()
    page.locator("[data-compose=buttons]").click()
    dialog = page.locator("#compose-dialog")
    expect(dialog.locator("[name=body]")).to_be_focused()
    dialog.locator("[name=body]").fill("¿Confirmamos su *cita*?")
    dialog.locator("footer .primary").click()
    expect(dialog.locator("[data-dialog-error]")).to_contain_text("botones")
    expect(dialog.locator("[name=body]")).to_have_value("¿Confirmamos su *cita*?")
    dialog.locator("[name=button-0]").fill("Confirmo")
    expect(dialog.locator(".wa-buttons li")).to_have_text(["Confirmo"])
    dialog.locator("footer .primary").click()
    expect(dialog).to_be_hidden()
    expect(last(page, "#log > .out").locator(".choices-sent li")).to_have_text(["Confirmo"])

    sent = on_the_phone(stack, wa_id, "interactive")
    answer = requests.post(
        f"{stack.simulator_url}/control/press",
        json={"number_id": NUMBER, "wa_id": wa_id, "wamid": sent["wamid"], "choice": "b0"},
        timeout=10,
    )
    assert answer.status_code < 300, answer.text
    expect(last(page, "#log > .in")).to_contain_text("Confirmo")


def test_a_window_that_closes_warns_and_a_closed_one_takes_a_filled_and_previewed_template(
    stack: RunningStack, talk
) -> None:
    page, wa_id = talk()
    approve_an_invoice(stack)
    expect(page.locator(".window .soon-word")).to_be_hidden()
    stack.query(
        "UPDATE chats SET last_inbound_at = now() - interval '23 hours' WHERE id = %s",
        chat_of(stack, wa_id),
    )
    page.reload()
    expect(page.locator(".window .soon-word")).to_be_visible()
    expect(page.locator(".window [data-left]")).to_contain_text("min")
    page.locator("#filter-button").click()
    page.locator("#filters [name=closing]").check()
    expect(page).to_have_url(re.compile("closing=1"))
    expect(page.locator(f"#chat-{chat_of(stack, wa_id)}")).to_be_visible()
    stack.query("UPDATE chats SET last_inbound_at = now() WHERE id = %s", chat_of(stack, wa_id))
    page.reload()
    expect(page.locator("#rows")).to_have_attribute("data-query", re.compile("closing"))
    expect(page.locator(f"#chat-{chat_of(stack, wa_id)}")).to_have_count(0)
    page.go_back()
    expect(page.locator(f"#chat-{chat_of(stack, wa_id)}")).to_be_visible()
    chat_id = chat_of(stack, wa_id)
    stack.query(
        "UPDATE chats SET last_inbound_at = now() - interval '2 days' WHERE id = %s", chat_id
    )
    page.reload()
    expect(page.locator(".closed-window")).to_contain_text("plantillas")
    expect(page.locator('#composer[data-mode="reply"]')).to_have_count(0)
    page.locator(".instead [data-compose=template]").click()
    dialog = page.locator("#compose-dialog")
    dialog.locator("[data-filter-list]").fill("factura")
    dialog.locator("[data-choices] li:visible button").first.click()
    send = dialog.locator("footer .primary")
    dialog.locator('[name="body.1"]').fill("Carolina")
    dialog.locator('[name="body.2.kind"]').select_option("currency")
    dialog.locator('[name="body.2"]').fill("1.250.000")
    dialog.locator('[name="body.3.kind"]').select_option("date_time")
    dialog.locator('[name="body.3"]').fill("2026-12-04T10:00")
    send.click()
    expect(dialog.locator("[data-dialog-error]")).to_contain_text("archivo del encabezado")
    dialog.locator("[data-header-file] input[type=file]").set_input_files(INVOICE)
    expect(dialog.locator("[data-part=media]")).to_contain_text("pedido.pdf")
    # In the template's language, whatever the reader's is; and so it leaves.
    words = "Hello Carolina, we wait for COP 1,250,000 before December 4, 2026, 10:00, thank you."
    expect(dialog.locator("[data-part=body]")).to_have_text(words)
    send.click()
    expect(last(page, "#log > .out").locator(".text")).to_have_text(words)
    expect(last(page, "#log > .out").locator(".paper")).to_contain_text("pedido.pdf")
    sent = on_the_phone(stack, wa_id, "template")
    assert words in sent["rendered"]
    header = sent["content"]["components"][0]["parameters"][0]
    assert header["document"]["filename"] == "pedido.pdf"
