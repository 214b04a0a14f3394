"""Message templates in the settings."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from crm.blueprints.kit import delete_row, list_query, save_form, show_form, show_list
from crm.forms.templates import STATUS_WORDS, TemplateForm
from crm.models import Template
from crm.permissions import current_scope, requires
from crm.services import templates
from crm.services.kit import find_last_changes
from crm.services.numbers import list_number_names

blueprint = Blueprint("templates", __name__, url_prefix="/settings/templates")


@blueprint.get("")
@requires("templates.read")
def index() -> ResponseReturnValue:
    numbers = {str(key): name for key, name in list_number_names(current_scope())}
    query = list_query(
        filters={"status": list(STATUS_WORDS), "number": list(numbers)},
        sorts=("name", "used", "updated"),
    )
    page = templates.find_templates(current_scope(), query)
    return show_list(
        "templates/list.html", query=query, page=page, numbers=numbers, words=STATUS_WORDS
    )


@blueprint.get("/new")
@requires("templates.manage")
def new() -> ResponseReturnValue:
    return show_form("templates/form.html", prepared(TemplateForm()), **around(None))


@blueprint.post("/new")
@requires("templates.manage")
def create() -> ResponseReturnValue:
    scope = current_scope()
    return save_form(
        "templates/form.html",
        prepared(TemplateForm()),
        kind="templates",
        state_of=templates.state_of,
        write=lambda _row, values: templates.create_template(values, created_by=scope.user_id),
        address=address,
        **around(None),
    )


@blueprint.get("/<int:template_id>")
@requires("templates.read")
def edit(template_id: int) -> ResponseReturnValue:
    template = templates.load_template(current_scope(), template_id)
    state = templates.state_of(template)
    form = prepared(TemplateForm(data=state))
    return show_form("templates/form.html", form, state=state, **around(template))


@blueprint.post("/<int:template_id>")
@requires("templates.manage")
def save(template_id: int) -> ResponseReturnValue:
    scope = current_scope()
    template = templates.load_template(scope, template_id)
    return save_form(
        "templates/form.html",
        prepared(TemplateForm(data=templates.state_of(template))),
        kind="templates",
        load=lambda: templates.load_template(scope, template_id, lock=True),
        state_of=templates.state_of,
        write=templates.update_template,
        address=address,
        **around(template),
    )


@blueprint.post("/<int:template_id>/delete")
@requires("templates.manage")
def delete(template_id: int) -> ResponseReturnValue:
    scope = current_scope()
    return delete_row(
        kind="templates",
        load=lambda: templates.load_template(scope, template_id, lock=True),
        state_of=templates.state_of,
        name_of=lambda template: template.template_name,
        delete=templates.delete_template,
        address=url_for("templates.index"),
    )


def address(template: Template) -> str:
    return url_for("templates.edit", template_id=template.id)


def prepared(form: TemplateForm) -> TemplateForm:
    form.whatsapp_number_id.offer(list_number_names(current_scope()))
    return form


def around(template: Template | None) -> dict[str, Any]:
    changes = find_last_changes("templates", [template.id]) if template else {}
    return {
        "template": template,
        "draft": template is None or templates.is_draft(template),
        "words": STATUS_WORDS,
        "change": changes.get(template.id) if template else None,
    }
