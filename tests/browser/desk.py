"""The inbox of the shared stack as people use it: who sits where, who writes, what is pressed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import requests
from playwright.sync_api import Locator, Page, expect

from tests.simulator.server import NUMBER, SimulatorServer
from tests.stack import RunningStack

LAURA, JHON = "laura@demo.charla.local", "jhon@demo.charla.local"
PHONE = {"width": 390, "height": 844}
SMALLEST = {"width": 320, "height": 640}
SignIn = Callable[..., Page]


def phones_of(stack: RunningStack) -> SimulatorServer:
    """The control of the stack's own simulator."""
    return SimulatorServer(
        port=int(stack.settings["SIMULATOR_PORT"]),
        data_dir=Path(stack.settings["CRM_DATA_DIR"]) / "simulator",
        environment=stack.settings,
    )


def clear_the_desk(stack: RunningStack) -> None:
    """Nobody is available and nothing is open: what follows is all that is to be seen."""
    stack.query("UPDATE chats SET status = 'closed', closed_at = now() WHERE closed_at IS NULL")
    stack.query("UPDATE users SET agent_status = 'offline' WHERE NOT is_system")


def become(page: Page, status: str) -> None:
    """Switch this agent's status in the inbox."""
    page.click("#my-status summary")
    page.click(f"#my-status button[value={status}]")
    expect(page.locator(f"#my-status[data-status={status}]")).to_be_attached()


def hand_over(page: Page, to: str | None = None) -> None:
    """Who leaves with open chats says where they go: as proposed, or all of them to `to`."""
    dialog = page.locator("dialog[data-act]")
    expect(dialog.get_by_role("button", name="Entregar e irme")).to_be_visible()
    if to is not None:
        for choice in dialog.locator("select").all():
            choice.select_option(to)
    dialog.get_by_role("button", name="Entregar e irme").click()


def row_of(page: Page, name: str) -> Locator:
    return page.locator("#rows li").filter(has_text=name)


def open_chat(page: Page, name: str) -> None:
    row_of(page, name).locator("a").click()
    expect(page.locator("#thread-title")).to_have_text(name)


def names_in(page: Page) -> list[str]:
    return page.locator("#rows .name").all_inner_texts()


def bubbles(page: Page, side: str) -> Locator:
    return page.locator(f"#log .bubble.{side}")


def answer(page: Page, text: str) -> None:
    page.fill("#text", text)
    page.press("#text", "Enter")


def write_on_phone(phone: Locator, text: str) -> None:
    phone.get_by_label("Escriba un mensaje").fill(text)
    phone.get_by_label("Escriba un mensaje").press("Enter")


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


def is_up(url: str) -> bool:
    """Whether a server answers there."""
    with contextlib.suppress(requests.RequestException):
        return requests.get(url, timeout=5).status_code < 500
    return False


def until(read: Callable[[], object], seconds: float = 40) -> object:
    """What `read` gives once it gives something; fails where it never does."""
    end = time.monotonic() + seconds
    while not (found := read()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.2)
    return found


def give_to_laura(stack: RunningStack, chat_id: int) -> None:
    """As if she had taken it and answered."""
    stack.query(
        "UPDATE chats SET status = 'active', owner = 'human', first_response_at = now(),"
        " assigned_at = now(), assigned_agent_id = (SELECT id FROM users WHERE email = %s)"
        " WHERE id = %s",
        LAURA,
        chat_id,
    )
