"""Message templates as they are kept here; what Meta says of them is Meta's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from crm.db import db
from crm.errors import Conflict, NotFound
from crm.models import HeaderType, ParameterFormat, Template, TemplateStatus, WhatsappNumber
from crm.permissions import Scope
from crm.services.kit import ListQuery, Page, WrongField, find_page
from crm.services.numbers import visible_numbers
from crm.services.templates import codes
from crm.services.templates.definition import ordered_names

FIELDS = (
    "whatsapp_number_id", "template_name", "language", "category", "header_type",
    "header_content", "body_content", "footer_content",
)  # fmt: skip
# What Meta lets be changed, and what stays as it was when it first saw the template.
EDITABLE = frozenset({TemplateStatus.APPROVED, TemplateStatus.REJECTED, TemplateStatus.PAUSED})
FIXED = ("whatsapp_number_id", "template_name", "language", "parameter_format")
CODE_LABELS = ("código",)
# The key of a button's value in Meta's own words.
VALUE_KEYS = {"URL": "url", "PHONE_NUMBER": "phone_number"}


def load_template(scope: Scope, template_id: int, *, lock: bool = False) -> Template:
    """The template, if its number is in reach; NotFound otherwise."""
    statement = (
        select(Template)
        .join(WhatsappNumber, WhatsappNumber.id == Template.whatsapp_number_id)
        .where(Template.id == template_id, visible_numbers(scope))
    )
    if lock:
        statement = statement.with_for_update(of=Template).execution_options(populate_existing=True)
    template = db.session.scalar(statement)
    if template is None:
        raise NotFound
    return template


def find_templates(scope: Scope, query: ListQuery) -> Page:
    """Rows of (template, name of its number)."""
    statement = (
        select(Template, func.coalesce(WhatsappNumber.display_name, WhatsappNumber.phone_number))
        .join(WhatsappNumber, WhatsappNumber.id == Template.whatsapp_number_id)
        .where(visible_numbers(scope))
    )
    if status := query.filters.get("status"):
        statement = statement.where(Template.status == status)
    if category := query.filters.get("category"):
        statement = statement.where(Template.category == category)
    if offered := query.filters.get("offered"):
        statement = statement.where(Template.is_active.is_(offered == "on"))
    if number := query.filters.get("number"):
        statement = statement.where(Template.whatsapp_number_id == int(number))
    return find_page(
        statement,
        query,
        search=(Template.template_name, Template.body_content),
        sorts={
            "name": Template.template_name,
            "used": Template.usage_count,
            "updated": Template.updated_at,
        },
        default=(Template.template_name, Template.language),
        key=Template.id,
    )


def is_draft(template: Template) -> bool:
    """Meta has never seen it."""
    return template.template_id is None


def may_edit(template: Template) -> bool:
    """A draft, or what Meta takes again for review."""
    return is_draft(template) or template.status in EDITABLE


def state_of(template: Template) -> dict[str, Any]:
    state = {name: getattr(template, name) for name in FIELDS}
    examples = template.examples or {}
    state["header_type"] = str(template.header_type) if template.header_type else None
    state["parameter_format"] = str(template.parameter_format)
    state["body_examples"] = "\n".join(str(line) for line in examples.get("body") or ()) or None
    state["header_example"] = examples.get("header")
    state["buttons"] = [
        {
            "key": index,
            "type": button.get("type"),
            "text": button.get("text"),
            "value": button.get(VALUE_KEYS.get(button.get("type"), "")),
            "example": (examples.get("buttons") or {}).get(str(index)),
        }
        for index, button in enumerate(template.buttons or [])
        if not codes.is_code(template)
    ]
    return state | codes.state_of(template)


def create_template(values: Mapping[str, Any], *, created_by: int) -> Template:
    template = Template(created_by=created_by, status=TemplateStatus.PENDING)
    _write(template, values)
    db.session.add(template)
    db.session.flush()
    return template


def update_template(template: Template, values: Mapping[str, Any]) -> Template:
    """Conflict for one that Meta does not let be changed now; name and language stay once it has
    them.
    """
    if not may_edit(template):
        raise Conflict("Meta does not let this template be changed now.")
    if template.template_id is not None:
        values = {**values, **{name: getattr(template, name) for name in FIXED}}
    _write(template, values)
    db.session.flush()
    return template


def switch_template(template: Template, *, on: bool) -> None:
    """Off: no agent finds or sends it any more. Meta knows nothing of it."""
    template.is_active = on
    db.session.flush()


def _write(template: Template, values: Mapping[str, Any]) -> None:
    name = values["template_name"]
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"template:{name}"))))
    with db.session.no_autoflush:
        taken = db.session.scalar(
            select(Template.id).where(
                Template.whatsapp_number_id == values["whatsapp_number_id"],
                Template.template_name == name,
                Template.language == values["language"],
                Template.id != (template.id or 0),
            )
        )
    if taken is not None:
        raise WrongField(
            "This number has that name in this language already.", field_name="template_name"
        )
    if values["category"] == codes.CATEGORY:
        values = {**values, **codes.columns_of(values)}
    for field in FIELDS:
        setattr(template, field, values[field])
    template.header_type = HeaderType(values["header_type"]) if values["header_type"] else None
    template.code_parts = values.get("code_parts")
    template.parameter_format = ParameterFormat(values["parameter_format"])
    names = ordered_names(template.body_content, template.parameter_format)
    if len(template.variables or []) != len(names) or template.parameter_format == "NAMED":
        template.variables = names or None
    if codes.is_code(template):
        template.variables, template.buttons = list(CODE_LABELS), values["buttons"]
        template.examples = None
        return
    template.buttons = [_button(row) for row in values["buttons"]] or None
    template.examples = _examples(template, values, len(names))


def _examples(template: Template, values: Mapping[str, Any], wanted: int) -> dict[str, Any] | None:
    lines = [line.strip() for line in (values["body_examples"] or "").splitlines() if line.strip()]
    found: dict[str, Any] = {}
    if lines and wanted:
        found["body"] = lines[:wanted]
    if template.header_type and values["header_example"]:
        found["header"] = values["header_example"]
    buttons = {
        str(at): row["example"] for at, row in enumerate(values["buttons"]) if row.get("example")
    }
    if buttons:
        found["buttons"] = buttons
    return found or None


def _button(row: Mapping[str, Any]) -> dict[str, Any]:
    button = {"type": row["type"]} | ({"text": row["text"]} if row["text"] else {})
    if key := VALUE_KEYS.get(row["type"]):
        button[key] = row["value"]
    return button
