"""A real Chromium on a real stack."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from tests.browser.desk import (
    LAURA,
    Customers,
    SignIn,
    become,
    clear_the_desk,
    phones_of,
    row_of,
)
from tests.stack import PASSWORD, RunningStack, running_stack

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # A microphone that beeps, and no question about it.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


# Two cores may be shared with other workers of this run, and pages come back with growing, jittered
# pauses.
expect.set_options(timeout=20_000)


def find_chromium() -> str:
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), "")
    assert found, "No Chromium: install the package `chromium`, or set CHROMIUM to its path."
    return found


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The product with its demo data, shared by the tests of this folder."""
    folder = tmp_path_factory.mktemp("stack")
    with running_stack(folder) as running:
        yield running


class Complaints:
    """What the browser complained about. A violated policy or a script error fails the test."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.texts.append(message.text)

    def watch(self, page: Page) -> None:
        page.on("console", self.note)
        page.on("pageerror", lambda error: self.texts.append(f"script error: {error}"))


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    collected = Complaints()
    yield collected
    assert not collected.texts, "\n".join(collected.texts)


@pytest.fixture
def open_context(
    chromium: Browser, complaints: Complaints
) -> Iterator[Callable[..., BrowserContext]]:
    """Open a browser of its own for a person: `open_context(viewport=..., color_scheme=...)`."""
    contexts: list[BrowserContext] = []

    def open_one(**options: object) -> BrowserContext:
        settings: dict = {"viewport": {"width": 1440, "height": 900}, "locale": "es-CO", **options}
        context = chromium.new_context(**settings)
        context.set_default_timeout(15_000)
        context.on("page", complaints.watch)
        contexts.append(context)
        return context

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture
def sign_in(
    stack: RunningStack, open_context: Callable[..., BrowserContext]
) -> Callable[..., Page]:
    """A page on the inbox of the person with this e-mail."""

    def go(email: str, *, context: BrowserContext | None = None, **options: object) -> Page:
        page = (context or open_context(**options)).new_page()
        page.goto(f"{stack.url}/login")
        page.fill("input[name=email]", email)
        page.fill("input[name=password]", PASSWORD)
        page.press("input[name=password]", "Enter")
        page.wait_for_url("**/inbox**")
        return page

    return go


# Blocks of telephone numbers, so that no two tests share a customer.
_blocks = iter(range(0, 99_999, 100))


@pytest.fixture
def customers(stack: RunningStack) -> Customers:
    """Nobody else is served, and these may write."""
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
