"""A template as Meta writes it (a list of components) and as a row of ours: there and back.

Source: Meta's Business Management API, v23.0, `/{account}/message_templates`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from crm.models import HeaderType, ParameterFormat, Template, TemplateStatus
from crm.services.templates import codes

Json = dict[str, Any]
VARIABLE = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
FIELDS = (
    "id,name,language,status,category,components,quality_score,rejected_reason,"
    "parameter_format,previous_category"
)
MEDIA_HEADERS = frozenset({HeaderType.IMAGE, HeaderType.VIDEO, HeaderType.DOCUMENT})
# Meta's word for a template's state, in webhooks and lists -> ours.
STATUSES = {
    "APPROVED": TemplateStatus.APPROVED,
    "REINSTATED": TemplateStatus.APPROVED,
    # Still sent: the quality is low and it may be paused next.
    "FLAGGED": TemplateStatus.APPROVED,
    "UNLOCKED": TemplateStatus.APPROVED,
    "UNARCHIVED": TemplateStatus.APPROVED,
    "PENDING": TemplateStatus.PENDING,
    "REJECTED": TemplateStatus.REJECTED,
    "DISABLED": TemplateStatus.DISABLED,
    "PAUSED": TemplateStatus.PAUSED,
    "IN_APPEAL": TemplateStatus.IN_APPEAL,
    "LOCKED": TemplateStatus.LOCKED,
    "ARCHIVED": TemplateStatus.ARCHIVED,
    "PENDING_DELETION": TemplateStatus.PENDING_DELETION,
    "DELETED": TemplateStatus.DELETED,
    "LIMIT_EXCEEDED": TemplateStatus.LIMIT_EXCEEDED,
}


def names_in(text: str | None) -> list[str]:
    """The variables of a text, each once, in the order of their first mention."""
    return list(dict.fromkeys(VARIABLE.findall(text or "")))


def ordered_names(text: str | None, shape: ParameterFormat) -> list[str]:
    """The order in which their values are sent: by number, or as they are mentioned."""
    names = names_in(text)
    if shape == ParameterFormat.POSITIONAL:
        return sorted(names, key=lambda name: int(name) if name.isdigit() else 0)
    return names


def components_of(template: Template) -> list[Json]:
    """The `components` of a call that creates or edits this template."""
    if codes.is_code(template):
        return codes.components_of(template)
    parts = [_header(template), _body(template)]
    if template.footer_content:
        parts.append({"type": "FOOTER", "text": template.footer_content})
    if template.buttons:
        examples = (template.examples or {}).get("buttons") or {}
        buttons = [
            button | ({"example": [examples[str(at)]]} if examples.get(str(at)) else {})
            for at, button in enumerate(template.buttons)
        ]
        parts.append({"type": "BUTTONS", "buttons": buttons})
    return [part for part in parts if part]


def _header(template: Template) -> Json:
    if template.header_type is None:
        return {}
    header: Json = {"type": "HEADER", "format": template.header_type.value}
    example = (template.examples or {}).get("header")
    if template.header_type is HeaderType.TEXT:
        header["text"] = template.header_content or ""
        names = names_in(template.header_content)
        if names and example:
            if template.parameter_format == ParameterFormat.NAMED:
                named = [{"param_name": names[0], "example": example}]
                header["example"] = {"header_text_named_params": named}
            else:
                header["example"] = {"header_text": [example]}
    elif template.header_type in MEDIA_HEADERS and example:
        header["example"] = {"header_handle": [example]}
    return header


def _body(template: Template) -> Json:
    body: Json = {"type": "BODY", "text": template.body_content}
    names = ordered_names(template.body_content, template.parameter_format)
    examples: Sequence[str] = (template.examples or {}).get("body") or ()
    if names and len(examples) == len(names):
        if template.parameter_format == ParameterFormat.NAMED:
            named = [
                {"param_name": name, "example": example}
                for name, example in zip(names, examples, strict=True)
            ]
            body["example"] = {"body_text_named_params": named}
        else:
            body["example"] = {"body_text": [list(examples)]}
    return body


def read_definition(row: Json) -> Json:
    """Meta's object of one template as the columns of a row; what is missing is left empty."""
    parts = {
        str(part.get("type", "")).upper(): part
        for part in row.get("components") or ()
        if isinstance(part, dict)
    }
    header, body = parts.get("HEADER") or {}, parts.get("BODY") or {}
    shape = str(row.get("parameter_format") or "POSITIONAL").upper()
    text = _text(body.get("text"))
    header_type = str(header.get("format") or "").upper()
    rejected = _text(row.get("rejected_reason"))
    quality = row.get("quality_score")
    category = _text(row.get("category")).upper() or None
    written: Json = {"code_parts": None}
    if category == codes.CATEGORY:
        language = _text(row.get("language"))
        written = codes.read_parts(body, parts.get("FOOTER") or {}, language)
    return {
        "template_id": _text(row.get("id")) or None,
        "category": category,
        "status": STATUSES.get(str(row.get("status") or "").upper(), TemplateStatus.PENDING),
        "header_type": HeaderType(header_type) if header_type in list(HeaderType) else None,
        "header_content": _text(header.get("text")) or None,
        "body_content": text,
        "footer_content": _text((parts.get("FOOTER") or {}).get("text")) or None,
        "buttons": _buttons(parts.get("BUTTONS") or {}),
        "parameter_format": ParameterFormat(shape)
        if shape in list(ParameterFormat)
        else ParameterFormat.POSITIONAL,
        "examples": _examples(header, body, parts.get("BUTTONS") or {}),
        "rejected_reason": rejected if rejected not in ("", "NONE") else None,
        "quality_score": _text(quality.get("score")) if isinstance(quality, dict) else None,
        **written,
    }


def _buttons(component: Json) -> list[Json] | None:
    found = [row for row in component.get("buttons") or () if isinstance(row, dict)]
    return [{key: value for key, value in row.items() if key != "example"} for row in found] or None


def _examples(header: Json, body: Json, buttons: Json) -> Json | None:
    found: Json = {}
    given = header.get("example") or {}
    for key in ("header_text", "header_handle"):
        if given.get(key):
            found["header"] = given[key][0]
    if named := given.get("header_text_named_params"):
        found["header"] = named[0].get("example")
    given = body.get("example") or {}
    if given.get("body_text"):
        found["body"] = given["body_text"][0]
    elif named := given.get("body_text_named_params"):
        found["body"] = [row.get("example") for row in named]
    shown = {
        str(at): row["example"][0] if isinstance(row["example"], list) else row["example"]
        for at, row in enumerate(buttons.get("buttons") or ())
        if isinstance(row, dict) and row.get("example")
    }
    if shown:
        found["buttons"] = shown
    return found or None


def _text(value: Any) -> str:
    return value.replace("\x00", "") if isinstance(value, str) else ""
