"""What a page looks like, measured inside it: contrast, names, targets, overflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

MEASURES = Path(__file__).with_suffix(".js").read_text("utf-8").partition("\n")[2].strip()


def measure(page: Page, name: str, argument: Any = None) -> Any:
    """The answer of one of the functions in measures.js."""
    return page.evaluate(f"(argument) => {MEASURES}.{name}(argument)", argument)


def faults_of(page: Page, *, least_target: int = 24) -> dict[str, Any]:
    """Everything that is wrong with the page as it stands; an empty dict when nothing is."""
    found = {
        "poor contrast": measure(page, "contrast"),
        "without a name": measure(page, "nameless"),
        "small targets": measure(page, "small", least_target),
        "ids used twice": measure(page, "doubleIds"),
        "sideways scroll": max(0, measure(page, "overflow")),
        "no language": page.locator("html:not([lang])").count(),
        "headings of first rank": [] if page.locator("h1").count() == 1 else ["not exactly one"],
    }
    return {name: value for name, value in found.items() if value}
