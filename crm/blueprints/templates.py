"""Message templates in the settings: our drafts, and what Meta has and says of them."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, flash, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from crm.blueprints.areas import Area
from crm.blueprints.bulk import Rows
from crm.blueprints.display import language_name
from crm.blueprints.htmx import go_to, wants_fragment
from crm.blueprints.kit import ask_by_name, list_query, show_list
from crm.db import atomic
from crm.errors import DomainError, Invalid
from crm.forms.templates import (
    CATEGORY_WORDS,
    QUALITY_WORDS,
    REJECTION_WORDS,
    STATUS_HELP,
    STATUS_WORDS,
    TemplateForm,
)
from crm.models import AuditLog, Provider, Template, TemplateStatus
from crm.permissions import current_scope, requires
from crm.services import audit, templates
from crm.services.numbers import list_number_names

blueprint = Blueprint("templates", __name__, url_prefix="/settings/templates")

# What Meta takes as an example of a header, and how large.
EXAMPLES = {
    "image/jpeg": 5_000_000,
    "image/png": 5_000_000,
    "video/mp4": 16_000_000,
    "application/pdf": 16_000_000,
}


class Templates(Area[Template]):
    kind, thing, form = "templates", "template", TemplateForm
    rights = dict.fromkeys(("create", "update", "delete"), "templates.manage")
    state_of = staticmethod(templates.state_of)
    change = staticmethod(templates.update_template)

    def load(self, row_id: int, *, lock: bool = False) -> Template:
        return templates.load_template(current_scope(), row_id, lock=lock)

    def make(self, values: dict[str, Any]) -> Template:
        return templates.create_template(values, created_by=current_scope().user_id)

    def name_of(self, row: Template) -> str:
        return row.template_name

    def may_change(self, row: Template) -> bool:
        """Not while Meta looks at it."""
        return templates.may_edit(row)

    def may_remove(self, row: Template) -> bool:
        return True

    def saved(self, row: Template) -> None:
        """What Meta has already goes to it with every change; a draft when the person says so."""
        if row.template_id is not None or request.form.get("review"):
            ask_meta(row.id)

    def rows(self) -> Rows:
        """Many at once: whether agents may send them, whatever their review says."""
        return Rows(
            kind="templates",
            load=self.load_to_change,
            state_of=lambda row: {"is_active": row.is_active},
            name_of=self.name_of,
            put=switch,
        )

    def delete(self, row_id: int) -> ResponseReturnValue:
        """One language, or all of the name, at Meta and here."""
        template = self.load(row_id)
        ask_by_name(self.name_of(template))
        before, thing = templates.state_of(template), ("templates", template.id)
        templates.delete_template(
            template.id,
            all_languages=request.form.get("reach") == "all",
            config=current_app.config["CRM"],
        )
        with atomic():
            audit.record("templates.delete", thing, before=before, after={})
        flash(_("Deleted."))
        return go_to(url_for("templates.index"))

    def prepared(self, form: TemplateForm, row: Template | None) -> TemplateForm:
        if row is not None:
            # Meta's list of languages is longer than ours.
            form.language.offer_also(row.language, language_name(row.language))
        form.whatsapp_number_id.offer(list_number_names(current_scope(), provider=Provider.META))
        return form

    def around(self, row: Template | None) -> dict[str, Any]:
        return {
            "draft": row is None or templates.is_draft(row),
            "words": STATUS_WORDS,
            "helps": STATUS_HELP,
            "reasons": REJECTION_WORDS,
            "qualities": QUALITY_WORDS,
            "code_words": templates.CODE_WORDS,
        }


area = Templates()
area.serve(blueprint)


@blueprint.get("")
@requires("templates.read")
def index() -> ResponseReturnValue:
    numbers = {str(key): name for key, name in list_number_names(current_scope())}
    query = list_query(
        filters={
            "status": list(STATUS_WORDS),
            "category": list(CATEGORY_WORDS),
            "number": list(numbers),
            "offered": ("on", "off"),
        },
        sorts=("name", "used", "updated"),
    )
    page = templates.find_templates(current_scope(), query)
    return show_list(
        "templates/list.html",
        query=query,
        page=page,
        deeds=area.deeds,
        numbers=numbers,
        words=STATUS_WORDS,
        categories=CATEGORY_WORDS,
        in_review=any(row[0].status is TemplateStatus.PENDING for row in page.rows),
    )


@blueprint.post("/sync")
@requires("templates.manage")
def sync() -> ResponseReturnValue:
    """Read every account anew, now; what could not be read is said."""
    found, problems = 0, []
    for number_id in templates.find_accounts():
        try:
            found += templates.sync_templates(number_id, config=current_app.config["CRM"]).found
        except DomainError as error:
            problems.append(_(error.message, **error.values))
    if problems:
        flash(problems[0], "error")
    else:
        flash(_("Meta has %(found)s templates.", found=found))
    return go_to(url_for("templates.index"))


@blueprint.post("/<int:template_id>/submit")
@requires("templates.manage")
def submit(template_id: int) -> ResponseReturnValue:
    """A draft goes to Meta's review."""
    template = templates.load_template(current_scope(), template_id)
    ask_meta(template.id)
    return go_to(url_for("templates.edit", template_id=template_id))


@blueprint.post("/example")
@requires("templates.manage")
def example() -> ResponseReturnValue:
    """An example file for a header goes to Meta; the answer is its handle, as JSON."""
    file, number_id = request.files.get("file"), request.form.get("number", type=int)
    if file is None or number_id not in dict(list_number_names(current_scope())):
        raise Invalid("Choose the number and a file first.")
    most = EXAMPLES.get(file.mimetype)
    if most is None:
        raise Invalid("An example is a JPEG or PNG picture, an MP4 video or a PDF.")
    content = file.stream.read(most + 1)
    if len(content) > most:
        raise Invalid("This file is larger than Meta takes as an example.")
    handle = templates.upload_example(
        number_id,
        content,
        mime_type=file.mimetype,
        filename=(file.filename or "example")[:100],
        config=current_app.config["CRM"],
    )
    return {"handle": handle}


@blueprint.get("/<int:template_id>/state")
@requires("templates.read")
def state(template_id: int) -> ResponseReturnValue:
    """The state alone, asked again while Meta looks at it."""
    template = templates.load_template(current_scope(), template_id)
    if wants_fragment() and template.status is not TemplateStatus.PENDING:
        # Decided: what may be done on the page is different now.
        return go_to(url_for("templates.edit", template_id=template_id))
    return render_template("templates/_state.html", **area.context(template))


def switch(row: Template, values: dict[str, Any], meta: dict[str, Any]) -> AuditLog | None:
    before = {"is_active": row.is_active}
    templates.switch_template(row, on=values["is_active"])
    return audit.record("templates.update", row, before=before, after=values, meta=meta)


def ask_meta(template_id: int) -> None:
    """To review; a refusal is said in words, and the draft stays."""
    try:
        templates.submit_template(template_id, config=current_app.config["CRM"])
    except DomainError as error:
        words = _(error.message, **error.values)
        told = error.values.get("told")
        flash(f"{words} {_('Meta says')}: {told}" if told else words, "error")
    else:
        flash(_("Sent to Meta's review."))
