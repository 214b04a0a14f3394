"""axe-core on every page of the product, in light and in dark: nothing serious anywhere.

The pages come from the routes themselves, so that a new page is looked at without a word. What an
argument of a route means here stands in `EXAMPLES`; a new kind of argument needs a line there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import axe_playwright_python
from flask import Flask
from playwright.sync_api import BrowserContext, Page
from playwright.sync_api import Error as PlaywrightError

from tests.guards.routes import ROUTES
from tests.stack import RunningStack

ADMIN = "admin@demo.charla.local"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SERIOUS = {"serious", "critical"}

# argument -> the one that the demo data has most to show of.
EXAMPLES = {
    "chat_id": "SELECT chat_id FROM messages GROUP BY chat_id ORDER BY count(*) DESC LIMIT 1",
    "campaign_id": "SELECT min(id) FROM campaigns",
    "number_id": "SELECT min(id) FROM whatsapp_numbers",
    "queue_id": "SELECT min(id) FROM queues",
    "rule_id": "SELECT min(id) FROM routing_rules",
    "reply_id": "SELECT min(id) FROM quick_replies WHERE user_id IS NULL",
    "template_id": "SELECT min(id) FROM templates",
    "tag_id": "SELECT min(id) FROM tags",
    "user_id": "SELECT id FROM users WHERE email LIKE 'laura@%%'",
    "role_id": "SELECT id FROM roles WHERE name = 'agent'",
    "audit_id": "SELECT max(id) FROM audit_logs WHERE changes IS NOT NULL",
}
BEFORE_SIGNING_IN = ("/login", "/forgot", "/account/password", "/no-such-page")


def test_axe_finds_nothing_serious_on_any_page(
    migrated_app: Flask,
    stack: RunningStack,
    sign_in: Callable[..., Page],
    open_context: Callable[..., BrowserContext],
) -> None:
    # Without motion: a colour that is still on its way from one theme to the other is neither.
    guest, own = (open_context(reduced_motion="reduce") for _ in range(2))
    for context in (guest, own):
        context.add_init_script(AXE)
    page = guest.new_page()
    serious = {path: found for path in BEFORE_SIGNING_IN if (found := faults(page, stack, path))}
    page = sign_in(ADMIN, context=own)
    looked = 0
    for path in paths(migrated_app, stack):
        found = faults(page, stack, path)
        looked += found is not None
        if found:
            serious[path] = found
    assert looked > 25, "these are pages, not errors or fragments"
    assert not serious, "\n".join(f"{path}: {line}" for path in serious for line in serious[path])


def paths(app: Flask, stack: RunningStack) -> Iterator[str]:
    for rule in app.url_map.iter_rules():
        if rule.rule.endswith("/new"):
            continue  # the same template as the one that is there, which is looked at
        if rule.endpoint not in ROUTES or "GET" not in (rule.methods or ()) or rule.websocket:
            continue
        if rule.arguments <= EXAMPLES.keys():
            path = rule.rule
            for name in rule.arguments:
                found = stack.query(EXAMPLES[name])
                path = path.replace(f"<int:{name}>", str(found[0][0] if found else 0))
            yield path


def faults(page: Page, stack: RunningStack, path: str) -> list[str] | None:
    """What is wrong in light and in dark; None for a fragment, a file or an unfinished thing."""
    page.emulate_media(color_scheme="light")
    try:
        page.goto(stack.url + path, wait_until="domcontentloaded")
    except PlaywrightError as error:
        if "Download is starting" in str(error):
            return None
        raise
    if page.evaluate("document.doctype === null"):
        return None
    found = violations(page, {"runOnly": STANDARDS})
    # All that the other theme can change is colours.
    page.emulate_media(color_scheme="dark")
    return found + violations(page, {"runOnly": {"type": "rule", "values": ["color-contrast"]}})


def violations(page: Page, options: dict) -> list[str]:
    options = {"resultTypes": ["violations"], **options}
    result = page.evaluate("(options) => axe.run(document, options)", options)
    return [
        f"{each['id']} ({each['impact']}): {node['target']} {node['html'][:160]}"
        for each in result["violations"]
        if each["impact"] in SERIOUS
        for node in each["nodes"][:3]
    ]
