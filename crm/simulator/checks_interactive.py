"""Buttons, lists, link buttons and their relatives."""

from collections.abc import Callable
from typing import Any

from crm.simulator.errors import GraphError, invalid_parameter, known_error, required
from crm.simulator.shapes import Body, check_media_object, part, text

# Kinds that are shown by name only; their insides are Meta's commerce and calling, not ours.
SHOWN_BY_NAME = {
    "flow",
    "product",
    "product_list",
    "catalog_message",
    "location_request_message",
    "address_message",
    "call_permission_request",
    "voice_call",
    "order_details",
    "order_status",
    "carousel",
    "request_contact_info",
}
HEADERS = ("text", "image", "video", "document")


def check_interactive(content: Body) -> None:
    """The `interactive` object of a send call."""
    text(content, "type", path="interactive", needed=True)
    kind = content["type"]
    if kind not in BY_KIND and kind not in SHOWN_BY_NAME:
        raise invalid_parameter(f"Param interactive['type'] is not supported - got \"{kind}\".")
    if "action" not in content:
        raise required("interactive['action']")
    action = part(content, "action")
    longest = 4096 if kind == "list" else 1024
    if kind in BY_KIND and "body" not in content:
        raise required("interactive['body']")
    for name, limit in (("body", longest if kind in BY_KIND else 4096), ("footer", 60)):
        if name in content:
            holder = part(content, name)
            text(holder, "text", path=f"interactive['{name}']", needed=True, longest=limit)
    if "header" in content:
        _check_header(part(content, "header"), kind)
    check = BY_KIND.get(kind)
    if check is not None:
        check(action)
    elif "sections" in action:
        _sections(action)


def _wrong(details: str) -> GraphError:
    return known_error(131009, details=details)


def _check_header(header: Body, kind: str) -> None:
    shape = header.get("type")
    if shape is None and kind in SHOWN_BY_NAME:
        # Meta's own order_details example spells it out; others leave it to the text.
        shape = "text"
    if shape not in HEADERS and kind in BY_KIND:
        raise invalid_parameter(
            "Param interactive['header']['type'] must be one of {TEXT, IMAGE, VIDEO, DOCUMENT}."
        )
    if kind == "list" and shape != "text":
        raise _wrong("A list message's header must be text.")
    if "text" in header or shape == "text":
        text(header, "text", path="interactive['header']", needed=True, longest=60)
    elif shape in HEADERS:
        if shape not in header:
            raise required(f"interactive['header']['{shape}']")
        check_media_object(part(header, shape), f"interactive.header.{shape}")


def _titled(row: Any, path: str, *, id_longest: int, title_longest: int) -> tuple[str, str]:
    if not isinstance(row, dict):
        raise invalid_parameter(f"Param {path} must be a JSON object.")
    for name, limit in (("id", id_longest), ("title", title_longest)):
        value = row.get(name)
        if name not in row or value == "":
            raise required(f"{path}['{name}']")
        if not isinstance(value, str):
            raise invalid_parameter(f"Param {path}['{name}'] must be a string.")
        if len(value) > limit:
            raise _wrong(f"{path}.{name} length invalid. Min length: 1, Max length: {limit}")
    return row["id"], row["title"]


def _unique(values: list[str], what: str) -> None:
    if len(set(values)) != len(values):
        raise _wrong(f"{what} must be unique.")


def _check_button(action: Body) -> None:
    buttons = action.get("buttons")
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= 3:
        raise _wrong("Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3")
    ids, titles = [], []
    for index, button in enumerate(buttons):
        path = f"interactive['action']['buttons'][{index}]"
        if not isinstance(button, dict) or "type" not in button or "reply" not in button:
            raise required(f"{path}['reply']")
        if button["type"] != "reply":
            raise invalid_parameter(f"Param {path}['type'] must be one of {{REPLY}}.")
        found = _titled(button["reply"], f"{path}['reply']", id_longest=256, title_longest=20)
        ids.append(found[0])
        titles.append(found[1])
    _unique(ids, "Button ids")
    _unique(titles, "Button titles")


def _check_list(action: Body) -> None:
    text(action, "button", path="interactive['action']", needed=True, longest=20)
    ids: list[str] = []
    for path, section in _sections(action):
        rows = section.get("rows")
        if not isinstance(rows, list) or not rows:
            raise required(f"{path}['rows']")
        for number, row in enumerate(rows):
            where = f"{path}['rows'][{number}]"
            ids.append(_titled(row, where, id_longest=200, title_longest=24)[0])
            text(row, "description", path=where, longest=72)
    if len(ids) > 10:
        raise _wrong("Total row count exceed max allowed count: 10")
    _unique(ids, "Row ids")


def _sections(action: Body) -> list[tuple[str, Body]]:
    """The sections with their paths, shape and titles checked; of lists and of products."""
    sections = action.get("sections")
    if not isinstance(sections, list) or not 1 <= len(sections) <= 10:
        raise _wrong("Invalid sections count. Min allowed sections: 1, Max allowed sections: 10")
    found = []
    for index, section in enumerate(sections):
        path = f"interactive['action']['sections'][{index}]"
        if not isinstance(section, dict):
            raise invalid_parameter(f"Param {path} must be a JSON object.")
        text(section, "title", path=path, needed=len(sections) > 1, longest=24)
        found.append((path, section))
    return found


def _check_cta_url(action: Body) -> None:
    if action.get("name") != "cta_url":
        raise invalid_parameter("Param interactive['action']['name'] must be one of {CTA_URL}.")
    if "parameters" not in action:
        raise required("interactive['action']['parameters']")
    parameters = part(action, "parameters")
    path = "interactive['action']['parameters']"
    text(parameters, "display_text", path=path, needed=True, longest=20)
    text(parameters, "url", path=path, needed=True, longest=2000)
    if not parameters["url"].lower().startswith(("http://", "https://")):
        raise invalid_parameter(f"Param {path}['url'] is not a valid URI.")


BY_KIND: dict[str, Callable[[Body], None]] = {
    "button": _check_button,
    "list": _check_list,
    "cta_url": _check_cta_url,
}
