"""Message templates of an account: list, create, edit, delete, and the review that follows."""

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from crm.simulator import wire
from crm.simulator.checks_template import VARIABLE
from crm.simulator.errors import GraphError, required, unknown_object
from crm.simulator.shapes import text
from crm.simulator.world import Row

if TYPE_CHECKING:
    from crm.simulator.simulator import Simulator

CATEGORIES = ("AUTHENTICATION", "MARKETING", "UTILITY")
REVIEW_SECONDS = 4.0
EDITABLE = {"APPROVED", "REJECTED", "PAUSED"}
SHOWN = ("id", "name", "language", "status", "category", "components", "parameter_format")


def _wrong(title: str, message: str, *, subcode: int) -> GraphError:
    """Template refusals carry a title and text for people, and a subcode."""
    return GraphError(
        400,
        {
            "message": "Invalid parameter",
            "type": "OAuthException",
            "code": 100,
            "error_subcode": subcode,
            "is_transient": False,
            "error_user_title": title,
            "error_user_msg": message,
        },
    )


class Templates:
    """Templates by account (WABA)."""

    def __init__(self, simulator: "Simulator") -> None:
        self._sim = simulator

    def find_all(self, waba_id: str, query: dict[str, str]) -> Row:
        """GET /{waba}/message_templates with name, status, language, category, limit, after."""
        rows = [row for row in self._sim.world.templates.values() if row["waba_id"] == waba_id]
        for key in ("name", "status", "language", "category"):
            if query.get(key):
                rows = [row for row in rows if str(row[key]).lower() == query[key].lower()]
        limit = min(max(int(query.get("limit") or 25), 1), 1000) if _whole(query) else 25
        start = int(query.get("after") or 0) if str(query.get("after") or 0).isdigit() else 0
        page = rows[start : start + limit]
        answer: Row = {"data": [_shown(row, query.get("fields", "")) for row in page]}
        if page:
            answer["paging"] = {"cursors": {"before": str(start), "after": str(start + len(page))}}
            if start + len(page) < len(rows):
                answer["paging"]["next"] = (
                    f"{self._sim.settings.base_url}/v23.0/{waba_id}/message_templates"
                    f"?limit={limit}&after={start + len(page)}"
                )
        return answer

    def create(self, waba_id: str, body: Row) -> Row:
        """POST /{waba}/message_templates: pending first, decided some seconds later."""
        check_definition(body)
        world = self._sim.world
        if world.find_template(waba_id, body["name"], body["language"]):
            raise _wrong(
                "Content in this language already exists",
                f"There is already {body['language']} content for this template.",
                subcode=2388024,
            )
        template = {
            "id": wire.new_numeric_id(),
            "waba_id": waba_id,
            "name": body["name"],
            "language": body["language"],
            "category": body["category"].upper(),
            "parameter_format": str(body.get("parameter_format") or "POSITIONAL").upper(),
            "components": body["components"],
            "status": "PENDING",
        }
        world.record({"e": "template", "template": template})
        self._review_later(template["id"])
        return {key: template[key] for key in ("id", "status", "category")}

    def edit(self, template_id: str, body: Row) -> Row:
        """POST /{template id}: new components or category, reviewed again."""
        template = self._sim.world.templates[template_id]
        if template["status"] not in EDITABLE:
            raise _wrong(
                "Template can't be edited",
                f"A template with status {template['status']} can't be edited.",
                subcode=2388025,
            )
        changed = dict(template)
        changed.update({key: body[key] for key in ("category", "components") if key in body})
        check_definition(changed)
        self._sim.world.record({"e": "template", "template": {**changed, "status": "PENDING"}})
        self._review_later(template_id)
        return {"success": True}

    def delete(self, waba_id: str, query: dict[str, str]) -> Row:
        """DELETE by name (all its languages) or one by hsm_id and name."""
        name = query.get("name")
        if not name:
            raise required("name")
        gone = [
            row["id"]
            for row in self._sim.world.templates.values()
            if row["waba_id"] == waba_id
            and row["name"] == name
            and query.get("hsm_id") in (None, row["id"])
        ]
        if not gone:
            raise _wrong("Template not found", f"No template {name} was found.", subcode=2593002)
        for template_id in gone:
            self._sim.world.record({"e": "template_deleted", "id": template_id})
        return {"success": True}

    def show(self, template_id: str, query: dict[str, str]) -> Row:
        """GET /{template id}."""
        row = self._sim.world.templates.get(template_id)
        if row is None:
            raise unknown_object(template_id, verb="get")
        return _shown(row, query.get("fields", ""))

    def set_status(self, template_id: str, status: str, *, reason: str = "NONE") -> None:
        """Decide about a template and tell the CRM, as a review does."""
        sim = self._sim
        template = sim.world.templates.get(template_id)
        if template is None:
            return
        sim.world.record({"e": "template", "template": {**template, "status": status}})
        number = next(
            (row for row in sim.world.numbers.values() if row["waba_id"] == template["waba_id"]),
            None,
        )
        if number is None or template["waba_id"] in sim.world.unsubscribed:
            return
        part = {
            "event": status,
            "message_template_id": int(template_id),
            "message_template_name": template["name"],
            "message_template_language": template["language"],
            "message_template_category": template["category"],
            "reason": reason,
        }
        out = sim.outbox.row(number["id"], "message_template_status_update", part)
        sim.world.record({"e": "out", "out": out})
        sim.outbox.schedule(out)

    def resume(self) -> None:
        """After a restart: decide what was pending."""
        for template in list(self._sim.world.templates.values()):
            if template["status"] == "PENDING":
                self._review_later(template["id"])

    def _review_later(self, template_id: str) -> None:
        wait = REVIEW_SECONDS * self._sim.delay_scale
        self._sim.timeline.after(wait, self._review, template_id)

    def _review(self, template_id: str) -> None:
        template = self._sim.world.templates.get(template_id)
        if template is None or template["status"] != "PENDING":
            return
        # A name with "rechazar" or "reject" is turned down, so that this way can be seen too.
        if "rechaz" in template["name"] or "reject" in template["name"]:
            self.set_status(template_id, "REJECTED", reason="INVALID_FORMAT")
        else:
            self.set_status(template_id, "APPROVED")


def check_definition(body: Any) -> None:
    """Meta's rules for a new or changed template; raises GraphError."""
    for name in ("name", "language", "category"):
        text(body, name, needed=True)
    if not re.fullmatch(r"[a-z0-9_]{1,512}", body["name"]):
        raise _wrong(
            "Invalid template name",
            "The name may only contain lowercase letters, digits and underscores.",
            subcode=2388047,
        )
    if not re.fullmatch(r"[a-z]{2,3}(_[A-Z]{2,3})?", body["language"]):
        raise _wrong("Invalid language", "This language is not supported.", subcode=2388039)
    if body["category"].upper() not in CATEGORIES:
        raise _wrong("Invalid category", f"Use one of {', '.join(CATEGORIES)}.", subcode=2388042)
    components = body.get("components")
    if not isinstance(components, list) or not components:
        raise required("components")
    kinds = []
    for component in components:
        if not isinstance(component, dict) or not isinstance(component.get("type"), str):
            raise required("components['type']")
        kinds.append(component["type"].upper())
        check = COMPONENTS.get(kinds[-1])
        if check is not None:
            check(component, body["category"].upper())
    if len(set(kinds)) != len(kinds):
        raise _wrong("Repeated component", "Each component may appear once.", subcode=2388073)
    if "BODY" not in kinds:
        raise _wrong("Body is missing", "A template needs a BODY component.", subcode=2388073)


def _check_body(component: Row, category: str) -> None:
    if category == "AUTHENTICATION" and "text" not in component:
        return  # Meta writes the text of code messages itself
    words = component.get("text")
    if not isinstance(words, str) or not words.strip():
        raise _wrong("Body is empty", "The body needs a text.", subcode=2388073)
    if len(words) > 1024:
        raise _wrong("Body is too long", "At most 1024 characters.", subcode=2388040)
    names = VARIABLE.findall(words)
    if names and (re.match(r"\s*\{\{", words) or re.search(r"\}\}\s*$", words)):
        raise _wrong(
            "Variables at the edge",
            "Variables can't be at the start or end of the template.",
            subcode=2388299,
        )
    given = component.get("example") or {}
    if names and not (given.get("body_text") or given.get("body_text_named_params")):
        raise _wrong("Examples are missing", "Each variable needs an example.", subcode=2388043)


def _check_header(component: Row, category: str) -> None:
    shape = str(component.get("format", "")).upper()
    if shape not in {"TEXT", "IMAGE", "VIDEO", "DOCUMENT", "LOCATION"}:
        raise _wrong("Invalid header", "The header's format is not supported.", subcode=2388072)
    if shape == "TEXT":
        words = component.get("text")
        if not isinstance(words, str) or not 1 <= len(words) <= 60:
            raise _wrong("Invalid header", "A text of 1 to 60 characters.", subcode=2388040)
        if len(VARIABLE.findall(words)) > 1:
            raise _wrong("Invalid header", "At most one variable.", subcode=2388072)


def _check_footer(component: Row, category: str) -> None:
    words = component.get("text")
    if "code_expiration_minutes" in component:
        return
    if not isinstance(words, str) or not 1 <= len(words) <= 60 or VARIABLE.search(words):
        raise _wrong("Invalid footer", "1 to 60 characters, without variables.", subcode=2388040)


def _check_buttons(component: Row, category: str) -> None:
    buttons = component.get("buttons")
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= 10:
        raise _wrong("Invalid buttons", "A template has 1 to 10 buttons.", subcode=2388073)
    kinds = [str(row.get("type", "")).upper() for row in buttons if isinstance(row, dict)]
    for row in buttons:
        label = row.get("text", "") if isinstance(row, dict) else None
        if not isinstance(label, str) or len(label) > 25:
            raise _wrong("Invalid button", "A button's text has 25 characters.", subcode=2388040)
    for kind, most in (("URL", 2), ("PHONE_NUMBER", 1), ("COPY_CODE", 1)):
        if kinds.count(kind) > most:
            raise _wrong("Too many buttons", f"At most {most} of {kind}.", subcode=2388073)
    quick = [kind == "QUICK_REPLY" for kind in kinds]
    if sum(1 for a, b in pairwise(quick) if a != b) > 1:
        raise _wrong("Mixed buttons", "Quick replies must stand together.", subcode=2388073)


COMPONENTS = {
    "BODY": _check_body,
    "HEADER": _check_header,
    "FOOTER": _check_footer,
    "BUTTONS": _check_buttons,
}


def _shown(row: Row, fields: str) -> Row:
    wanted = [name.strip() for name in fields.split(",") if name.strip()] or list(SHOWN)
    full = {
        "quality_score": {"score": "UNKNOWN"},
        "rejected_reason": "NONE",
        "parameter_format": "POSITIONAL",
        **{key: value for key, value in row.items() if key != "waba_id"},
    }
    return {"id": row["id"], **{name: full[name] for name in wanted if name in full}}


def _whole(query: dict[str, str]) -> bool:
    return str(query.get("limit") or "25").isdigit()
