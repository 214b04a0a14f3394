"""Message templates as they are kept here; what Meta says of them is Meta's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from crm.db import db
from crm.errors import Conflict, NotFound
from crm.models import Template, TemplateStatus, WhatsappNumber
from crm.permissions import Scope
from crm.services.kit import ListQuery, Page, WrongField, find_page
from crm.services.numbers import visible_numbers

FIELDS = (
    "whatsapp_number_id", "template_name", "language", "category", "header_type",
    "header_content", "body_content", "footer_content",
)  # fmt: skip
# Meta has not judged these: they may still be changed and deleted here.
DRAFTS = (TemplateStatus.PENDING, TemplateStatus.REJECTED)
# The key of a button's value in Meta's own words.
VALUE_KEYS = {"URL": "url", "PHONE_NUMBER": "phone_number"}
VARIABLE = re.compile(r"\{\{\s*([0-9]+)\s*\}\}")


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
    return template.status in DRAFTS and template.template_id is None


def state_of(template: Template) -> dict[str, Any]:
    state = {name: getattr(template, name) for name in FIELDS}
    state["header_type"] = str(template.header_type) if template.header_type else None
    state["buttons"] = [
        {
            "key": index,
            "type": button.get("type"),
            "text": button.get("text"),
            "value": button.get(VALUE_KEYS.get(button.get("type"), "")),
        }
        for index, button in enumerate(template.buttons or [])
    ]
    return state


def create_template(values: Mapping[str, Any], *, created_by: int) -> Template:
    template = Template(created_by=created_by, status=TemplateStatus.PENDING)
    _write(template, values)
    db.session.add(template)
    db.session.flush()
    return template


def update_template(template: Template, values: Mapping[str, Any]) -> Template:
    """Conflict for one that Meta knows: its text is Meta's."""
    if not is_draft(template):
        raise Conflict("Meta has this template already; make another one for another text.")
    _write(template, values)
    template.status = TemplateStatus.PENDING
    db.session.flush()
    return template


def delete_template(template: Template) -> None:
    if not is_draft(template):
        raise Conflict("Meta has this template already; delete it there.")
    db.session.delete(template)


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
    for field in FIELDS:
        setattr(template, field, values[field])
    found = {int(number) for number in VARIABLE.findall(values["body_content"])}
    template.variables = [str(number) for number in sorted(found)] or None
    template.buttons = [_button(row) for row in values["buttons"]] or None


def _button(row: Mapping[str, Any]) -> dict[str, Any]:
    button = {"type": row["type"], "text": row["text"]}
    if key := VALUE_KEYS.get(row["type"]):
        button[key] = row["value"]
    return button
