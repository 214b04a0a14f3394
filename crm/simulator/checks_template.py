"""Template messages: the shape of a call, and the call held against the template."""

import re
from typing import Any

from crm.simulator.errors import GraphError, invalid_parameter, known_error, required
from crm.simulator.shapes import Body, check_media_object, part, text

VARIABLE = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
SENDABLE = {"APPROVED", "FLAGGED", "REINSTATED"}
MEDIA = ("image", "video", "document")


def check_template(content: Body) -> None:
    """The `template` object alone, without knowing the template."""
    text(content, "name", path="template", needed=True, longest=512)
    if "language" not in content:
        raise required("template['language']")
    text(part(content, "language"), "code", path="template['language']", needed=True)
    components = content.get("components", [])
    if not isinstance(components, list):
        raise invalid_parameter("Param template['components'] must be an array.")
    for index, component in enumerate(components):
        path = f"template['components'][{index}]"
        if not isinstance(component, dict):
            raise invalid_parameter(f"Param {path} must be a JSON object.")
        if not isinstance(component.get("type"), str):
            raise required(f"{path}['type']")
        kind = component["type"].lower()
        if kind not in ("header", "body", "button", "carousel", "limited_time_offer", "footer"):
            raise invalid_parameter(
                f"Param {path}['type'] must be one of {{HEADER, BODY, BUTTON}}."
            )
        if kind == "button" and not ("sub_type" in component and "index" in component):
            raise required(f"{path}['sub_type']")
        parameters = component.get("parameters", [])
        if not isinstance(parameters, list):
            raise invalid_parameter(f"Param {path}['parameters'] must be an array.")
        for number, parameter in enumerate(parameters):
            _check_parameter(parameter, f"{path}['parameters'][{number}]", kind)


def _check_parameter(parameter: Any, path: str, component: str) -> None:
    if not isinstance(parameter, dict) or not isinstance(parameter.get("type"), str):
        raise required(f"{path}['type']")
    kind = parameter["type"].lower()
    if kind in MEDIA:
        if kind not in parameter:
            raise required(f"{path}['{kind}']")
        check_media_object(part(parameter, kind), f"template.{component}.{kind}")
    elif kind in ("currency", "date_time", "location"):
        if not isinstance(parameter.get(kind), dict):
            raise required(f"{path}['{kind}']")
    elif kind == "text" and component == "body":
        value = parameter.get("text")
        if not isinstance(value, str) or not value:
            raise required(f"{path}['text']")
        if "\n" in value or "\t" in value or "     " in value:
            raise known_error(132018)


def match_template(content: Body, template: Body | None) -> str:
    """Hold a call against its template; returns the text that the customer will read."""
    name, language = content["name"], content["language"]["code"]
    if template is None or template["status"] not in {*SENDABLE, "PAUSED", "DISABLED"}:
        raise known_error(132001, details=f"template name ({name}) does not exist in {language}")
    if template["status"] == "PAUSED":
        raise known_error(132015)
    if template["status"] == "DISABLED":
        raise known_error(132016)
    given = {
        str(row["type"]).lower(): row.get("parameters", [])
        for row in content.get("components", [])
        if str(row["type"]).lower() in ("header", "body")
    }
    rendered = []
    for component in template["components"]:
        kind = component["type"].lower()
        if kind == "header":
            head = _match_header(component, given.get("header", []))
            rendered.append(f"*{head}*" if head else "")
        elif kind == "body":
            rendered.append(_fill(component["text"], given.get("body", []), "body"))
        elif kind == "footer":
            rendered.append(component.get("text", ""))
    for kind in given:
        if not any(row["type"].lower() == kind for row in template["components"]) and given[kind]:
            raise _count(kind, given=len(given[kind]), wanted=0)
    _match_buttons(content, template)
    return "\n\n".join(text for text in rendered if text)


def _count(where: str, *, given: int, wanted: int) -> GraphError:
    return known_error(
        132000,
        details=f"{where}: number of localizable_params ({given}) does not match the expected "
        f"number of params ({wanted})",
    )


def _fill(pattern: str, parameters: list[Body], where: str) -> str:
    names = list(dict.fromkeys(VARIABLE.findall(pattern)))
    if len(parameters) != len(names):
        raise _count(where, given=len(parameters), wanted=len(names))
    values = {}
    for index, parameter in enumerate(parameters):
        shown = str(
            parameter.get("text")
            or (parameter.get(parameter["type"]) or {}).get("fallback_value")
            or ""
        )
        values[str(parameter.get("parameter_name") or index + 1)] = shown
    if set(values) != set(names):
        raise known_error(
            132012, details=f"{where}: parameter names do not match those of the template"
        )
    filled = VARIABLE.sub(lambda match: values[match.group(1)], pattern)
    if len(filled) > 1024:
        raise known_error(
            132005, details=f"{where}: translated text is longer than 1024 characters"
        )
    return filled


def _match_header(component: Body, parameters: list[Body]) -> str:
    shape = str(component.get("format", "TEXT")).lower()
    if shape == "text":
        return _fill(component.get("text", ""), parameters, "header")
    if len(parameters) != 1:
        raise _count("header", given=len(parameters), wanted=1)
    if str(parameters[0]["type"]).lower() != shape:
        raise known_error(
            132012,
            details=f"header: Format mismatch, expected {shape.upper()}, "
            f"received {str(parameters[0]['type']).upper()}",
        )
    return ""


def _match_buttons(content: Body, template: Body) -> None:
    buttons: list[Body] = []
    for component in template["components"]:
        if component["type"].lower() == "buttons":
            buttons = component["buttons"]
    filled = {}
    for component in content.get("components", []):
        if str(component["type"]).lower() == "button":
            index = int(component["index"]) if str(component["index"]).isdigit() else -1
            if not 0 <= index < len(buttons):
                raise known_error(
                    132000, details=f"buttons: Button at index {component['index']} does not exist"
                )
            filled[index] = component.get("parameters", [])
    for index, button in enumerate(buttons):
        needs = button["type"].upper() == "URL" and VARIABLE.search(button.get("url", ""))
        if needs and not filled.get(index):
            raise known_error(
                131008, details=f"buttons: Button at index {index} of type Url requires a parameter"
            )
