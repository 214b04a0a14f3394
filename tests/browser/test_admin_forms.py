"""The settings in a real browser: a form that loses nothing, small rows, hours, the phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.stack import RunningStack

ADMIN = "admin@demo.charla.local"


@pytest.fixture
def settings(stack: RunningStack, sign_in: Callable[..., Page]) -> Callable[..., Page]:
    """A page of the settings, opened by the admin."""

    def go(path: str, **options: object) -> Page:
        page = sign_in(ADMIN, **options)
        page.goto(f"{stack.url}/settings{path}")
        return page

    return go


def campaign_id(stack: RunningStack, code: str = "VENTAS") -> int:
    return stack.query("SELECT id FROM campaigns WHERE code = %s", code)[0][0]


def test_a_wrong_form_takes_the_focus_to_its_summary_and_keeps_the_words(
    stack: RunningStack, settings: Callable[..., Page]
) -> None:
    page = settings(f"/campaigns/{campaign_id(stack)}")
    page.fill("#description", "Una línea que no se pierde")
    page.fill("#sla_first_response_seconds", "0")
    expect(page.locator("[data-changes]")).to_have_text("2 cambios sin guardar")
    page.keyboard.press("Control+s")
    summary = page.locator("[data-takes-focus]")
    expect(summary).to_contain_text("Falta corregir 1 campo")
    expect(summary).to_be_focused()
    expect(page.locator("#description")).to_have_value("Una línea que no se pierde")
    expect(page.locator("[data-changes]")).to_have_text("2 cambios sin guardar")
    summary.get_by_role("link", name="Primera respuesta").click()
    expect(page.locator("#sla_first_response_seconds")).to_be_focused()
    page.fill("#sla_first_response_seconds", "90")
    page.locator(".save").click()
    expect(page.locator("[data-said]")).to_contain_text("Guardado")
    expect(page.locator("[data-changes]")).to_have_text("")
    saved = stack.query(
        "SELECT description, sla_first_response_seconds FROM campaigns WHERE code = 'VENTAS'"
    )
    assert saved == [("Una línea que no se pierde", 90 * 60)]


def test_leaving_with_changes_asks_and_without_does_not(
    stack: RunningStack, settings: Callable[..., Page]
) -> None:
    page = settings(f"/campaigns/{campaign_id(stack)}")
    asked: list[str] = []

    def refuse(dialog: object) -> None:
        asked.append(dialog.type)  # type: ignore[attr-defined]
        dialog.accept()  # type: ignore[attr-defined]

    page.on("dialog", refuse)
    page.locator(".crumbs a").first.click()
    page.wait_for_url("**/settings")
    assert asked == []
    page.goto(f"{stack.url}/settings/campaigns/{campaign_id(stack)}")
    page.fill("#name", "Otro nombre")
    page.locator(".crumbs a").first.click()
    page.wait_for_url("**/settings")
    assert asked == ["beforeunload"]


def test_hours_and_people_are_added_with_buttons(
    stack: RunningStack, settings: Callable[..., Page]
) -> None:
    number = campaign_id(stack, "SOPORTE")
    page = settings(f"/campaigns/{number}")
    sunday = page.locator("[data-day=sunday]")
    sunday.locator("[data-add-interval]").click()
    sunday.locator("input").nth(0).fill("9")
    sunday.locator("input").nth(1).fill("12:30")
    agents = page.locator("[data-rows=agents]")
    agents.locator("[data-pick]").select_option(label=f"Laura Gómez · laura{ADMIN[5:]}")
    agents.locator("[data-add]").click()
    row = agents.locator(".rowitem").last
    expect(row).to_contain_text("Laura Gómez")
    row.get_by_label("Habilidades, con comas").fill("Inglés, técnico")
    page.locator(".save").click()
    expect(page.locator("[data-said]")).to_contain_text("Guardado")
    hours, skills = stack.query(
        "SELECT c.business_hours->'sunday', a.skills FROM campaigns c JOIN campaign_agents a"
        " ON a.campaign_id = c.id JOIN users u ON u.id = a.user_id AND u.email LIKE 'laura@%%'"
        " WHERE c.id = %s",
        number,
    )[0]
    assert hours == [{"start": "09:00", "end": "12:30"}]
    assert skills == ["ingles", "tecnico"]


def test_the_list_follows_the_search_and_back_returns(settings: Callable[..., Page]) -> None:
    page = settings("/campaigns")
    page.fill("#find", "sopor")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("#find")).to_be_focused()
    expect(page).to_have_url(f"{page.url.split('?')[0]}?q=sopor")
    page.locator("tbody a").click()
    expect(page.locator("h1")).to_have_text("Soporte")
    page.go_back()
    expect(page.locator("#find")).to_have_value("sopor")
    expect(page.locator("tbody tr")).to_have_count(1)


def test_deleting_opens_a_dialog_that_wants_the_name(
    stack: RunningStack, settings: Callable[..., Page]
) -> None:
    page = settings("/tags/new")
    page.fill("#label", "Para borrar")
    page.locator(".save").click()
    page.wait_for_url("**/settings/tags")
    page.get_by_role("link", name="Para borrar").click()
    page.locator("[data-dialog=delete]").click()
    page.fill("#confirm-name", "otra cosa")
    page.locator("dialog .danger").click()
    assert page.locator("#confirm-name").evaluate("field => field.validationMessage") == (
        "Ese no es el nombre."
    )
    page.fill("#confirm-name", "para borrar")
    page.locator("dialog .danger").click()
    page.wait_for_url("**/settings/tags")
    expect(page.locator("[data-said]")).to_contain_text("Eliminado")
    assert stack.query("SELECT count(*) FROM tags WHERE name = 'para borrar'") == [(0,)]


def test_people_are_suspended_together_with_a_reason_and_let_in_again(
    stack: RunningStack, settings: Callable[..., Page]
) -> None:
    statuses = "SELECT status, status_reason FROM users WHERE first_name = 'Jhon'"
    page = settings("/users?q=jhon")
    page.locator("td.pick input").check()
    expect(page.locator("[data-picked]")).to_have_text("Selección: 1 persona")
    page.get_by_role("button", name="Suspender").click()
    assert page.locator("[name=status_reason]").evaluate("field => !field.validity.valid")
    page.fill("[name=status_reason]", "Vacaciones")
    page.get_by_role("button", name="Suspender").click()
    expect(page.locator("tbody .state").first).to_have_text("Suspendida")
    assert stack.query(statuses) == [("suspended", "Vacaciones")]
    page.get_by_role("button", name="Deshacer").click()
    expect(page.locator("tbody .state").first).to_have_text("Activa")
    assert stack.query(statuses) == [("active", None)]


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_page_is_wider_than_the_screen(
    stack: RunningStack, settings: Callable[..., Page], width: int
) -> None:
    page = settings("", viewport={"width": width, "height": 844})
    number = campaign_id(stack)
    lists = ("", "/campaigns", "/tags", "/users", "/quick-replies", "/templates", "/sessions")
    for path in (*lists, f"/campaigns/{number}", "/numbers/1", "/rules/new"):
        page.goto(f"{stack.url}/settings{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        main = "document.querySelector('main')"
        assert page.evaluate(f"{main}.scrollWidth <= {main}.clientWidth"), path


def test_everything_can_be_saved_and_deleted_without_scripts(
    stack: RunningStack, settings: Callable[..., Page]
) -> None:
    page = settings("/campaigns/new", java_script_enabled=False)
    # A wrong form comes back whole: the summary has the focus, and what was typed is there.
    page.fill("#name", "Sin programas")
    page.fill("#sla_first_response_seconds", "0")
    page.locator(".save").click()
    expect(page.locator("[data-takes-focus]")).to_be_focused()
    expect(page.locator("#name")).to_have_value("Sin programas")
    page.fill("#code", "SIN")
    page.fill("#sla_first_response_seconds", "75")
    person = page.locator("#agents-pick option").nth(1)
    name, key = person.inner_text(), person.get_attribute("value")
    page.select_option("#agents-pick", key)
    page.check("[name=business_hours-mode][value=hours]", force=True)
    sunday = page.locator("[data-day=sunday] .interval").last
    sunday.locator("input").first.fill("09:00")
    sunday.locator("input").last.fill("11:30")
    page.locator(".save").click()
    expect(page.locator("[data-said]")).to_contain_text("Guardado")

    page.goto(f"{stack.url}/settings/campaigns/{campaign_id(stack, 'SIN')}")
    agents = page.locator("#agents .rowitem")
    expect(agents.filter(has_text=name)).to_have_count(1)
    expect(page.locator("[data-day=sunday] input[value='11:30']")).to_have_count(1)
    agents.filter(has_text=name).locator(f"[name=agents-{key}-out]").check()
    page.locator(".save").click()
    expect(page.locator("[data-said]")).to_contain_text("Guardado")
    page.goto(f"{stack.url}/settings/campaigns/{campaign_id(stack, 'SIN')}")
    expect(agents.filter(has_text=name)).to_have_count(0)

    page.get_by_role("link", name="Eliminar", exact=True).click()
    page.fill("#confirm-name", "Sin programas")
    page.locator("#delete button.danger").click()
    expect(page.locator("[data-said]")).to_be_visible()
    assert not stack.query("SELECT 1 FROM campaigns WHERE code = 'SIN' AND deleted_at IS NULL")
