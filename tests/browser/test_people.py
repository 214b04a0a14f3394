"""First start, an invitation, the second factor, and rights that change under somebody's eyes."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from playwright.sync_api import BrowserContext, Page, expect
from werkzeug.serving import make_server

from crm.db import atomic
from crm.services import first_start
from tests import factories
from tests.people import code_of

GOOD = "caballo grapa batería"


@pytest.fixture
def site(app: Flask) -> Iterator[str]:
    """The application alone, on an empty database: nobody has an account yet."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def sign_in(page: Page, site: str, email: str, password: str) -> None:
    page.goto(f"{site}/login")
    page.fill("input[name=email]", email)
    page.fill("input[name=password]", password)
    page.press("input[name=password]", "Enter")


def test_from_the_first_start_to_an_invited_colleague(
    app: Flask, site: str, open_context: Callable[..., BrowserContext]
) -> None:
    page = open_context().new_page()
    page.goto(site)
    page.wait_for_url("**/setup")
    page.fill("#setup_token", first_start.setup_token(app.config["CRM"].secret_key))
    page.fill("#first_name", "Ana")
    page.fill("#last_name", "Duarte")
    page.fill("#email", "ana@example.com")
    page.fill("#password", "corta")
    page.click("form button.primary")
    expect(page.locator("[role=alert]")).to_contain_text("10 caracteres")
    page.fill("#password", GOOD)
    page.click("form button.primary")
    page.wait_for_url("**/settings")
    page.get_by_role("link", name="Invite a quienes van a atender").click()
    page.fill("#first_name", "Laura")
    page.fill("#last_name", "Gómez")
    page.fill("#email", "laura@example.com")
    page.select_option("#role_id", label="Agente")
    page.click("button.save")
    page.wait_for_url(re.compile(r"/settings/users/\d+$"))
    link = page.locator("[data-link]").input_value()

    guest = open_context().new_page()
    guest.goto(link)
    guest.wait_for_url("**/account/password")
    guest.fill("#password", GOOD)
    guest.click("form button.primary")
    guest.wait_for_url("**/login?done=password")
    expect(guest.locator("[role=status]")).to_be_visible()
    sign_in(guest, site, "laura@example.com", GOOD)
    guest.wait_for_url("**/inbox")

    # Suspended while she is looking: the next step leads out.
    page.fill("#reason", "Prueba de cierre")
    page.click("button.danger:visible")
    expect(page.locator("[data-said]")).to_be_visible()
    guest.goto(f"{site}/inbox")
    expect(guest).to_have_url(re.compile(r"/login"))


def test_the_second_factor_is_set_up_and_asked_for(
    app: Flask, site: str, open_context: Callable[..., BrowserContext]
) -> None:
    with atomic():
        user = factories.make_user(email="jhon@example.com")
    page = open_context().new_page()
    sign_in(page, site, user.email, factories.PASSWORD)
    page.wait_for_url("**/inbox")
    page.goto(f"{site}/profile")
    page.fill("#confirm-current", factories.PASSWORD)
    page.click("#second-factor button.primary")
    expect(page.locator(".qr img")).to_be_visible()
    secret = page.locator("[data-secret]").inner_text().replace(" ", "")
    page.fill("#code", code_of(secret))
    page.click("form.form button.primary")
    expect(page.locator(".codes li")).to_have_count(10)
    written = page.locator(".codes li").first.inner_text()

    other = open_context().new_page()
    sign_in(other, site, user.email, factories.PASSWORD)
    other.wait_for_url("**/login/two-factor**")
    other.goto(f"{site}/inbox")
    other.wait_for_url("**/login/two-factor**")
    other.fill("#code", written)
    other.click("form button.primary")
    expect(other).to_have_url(f"{site}/inbox")


def test_a_permission_that_is_taken_away_is_gone_at_the_next_step(
    app: Flask, site: str, open_context: Callable[..., BrowserContext]
) -> None:
    with atomic():
        boss = factories.make_user(role="super_admin", email="ana@example.com")
        marta = factories.make_user(role="supervisor", email="marta@example.com")
    admin, hers = open_context().new_page(), open_context().new_page()
    sign_in(hers, site, marta.email, factories.PASSWORD)
    hers.wait_for_url("**/inbox")
    hers.goto(f"{site}/settings/users")
    expect(hers.locator("table")).to_contain_text(boss.full_name)
    sign_in(admin, site, boss.email, factories.PASSWORD)
    admin.wait_for_url("**/inbox")
    admin.goto(f"{site}/settings/users/{marta.id}/permissions")
    admin.select_option("select[name='users.read']", "revoke")
    admin.click("button.save")
    expect(admin.locator("[data-said]")).to_be_visible()
    answer = hers.goto(f"{site}/settings/users")
    assert answer
    assert answer.status == 403
