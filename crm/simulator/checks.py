"""What Meta refuses in a send call, checked by hand-written rules of our own.

`check_send` raises GraphError in Meta's words. The rules follow Meta's published reference and
are held against its OpenAPI document by a test; where they are stricter than that document, the
test names the rule.
"""

from typing import Any

from crm.simulator.checks_interactive import check_interactive
from crm.simulator.checks_template import check_template
from crm.simulator.errors import invalid_parameter, known_error, required
from crm.simulator.shapes import check_media_object, only, part, text

Body = dict[str, Any]

MEDIA_KINDS = ("image", "audio", "video", "document", "sticker")
TYPES = (
    "text",
    *MEDIA_KINDS,
    "location",
    "contacts",
    "reaction",
    "interactive",
    "template",
)


def check_envelope(body: Any) -> Body:
    """The parts that every call has; returns the body as a dict."""
    if not isinstance(body, dict):
        raise invalid_parameter("The request body must be a JSON object.")
    product = body.get("messaging_product")
    if product is None:
        raise required("messaging_product")
    if product != "whatsapp":
        raise invalid_parameter(
            f'Param messaging_product must be one of {{WHATSAPP}} - got "{product}".'
        )
    return body


def is_receipt(body: Body) -> bool:
    """Whether the call marks a message as read (and maybe shows typing) instead of sending."""
    return "status" in body


def check_receipt(body: Body) -> str:
    """A mark-as-read call; returns the message id."""
    if body["status"] != "read":
        raise invalid_parameter(f'Param status must be one of {{READ}} - got "{body["status"]}".')
    text(body, "message_id", needed=True)
    unknown = set(body) - {"messaging_product", "status", "message_id", "typing_indicator"}
    if unknown:
        raise invalid_parameter(f'Unexpected key "{min(unknown)}" on param "root".')
    typing = body.get("typing_indicator")
    if "typing_indicator" in body and (
        not isinstance(typing, dict) or typing.get("type") != "text"
    ):
        raise invalid_parameter("Param typing_indicator['type'] must be one of {TEXT}.")
    return str(body["message_id"])


def check_send(body: Body) -> str:
    """A send call, envelope checked already; returns the message's type."""
    if not (body.get("to") or body.get("recipient")):
        raise (
            required("to") if "to" not in body else invalid_parameter("Param to must not be empty.")
        )
    for name in ("to", "recipient"):
        text(body, name)
    if body.get("recipient_type", "individual") not in ("individual", "group"):
        raise invalid_parameter("Param recipient_type must be one of {INDIVIDUAL, GROUP}.")
    text(body, "biz_opaque_callback_data", longest=512)
    _check_context(body)
    kind = body.get("type", "text")
    if kind not in TYPES:
        raise invalid_parameter(
            f'Param type must be one of {{{", ".join(sorted(TYPES)).upper()}}} - got "{kind}".'
        )
    if kind not in body:
        raise required(kind)
    CHECKS[kind](body)
    return str(kind)


def _check_context(body: Body) -> None:
    if "context" not in body:
        return
    context = part(body, "context")
    text(context, "message_id", path="context")


def _check_text(body: Body) -> None:
    content = part(body, "text")
    only(content, "text", {"body", "preview_url"})
    text(content, "body", path="text", needed=True, longest=4096)
    if not isinstance(content.get("preview_url", False), bool):
        raise invalid_parameter("Param text['preview_url'] must be a boolean.")


def _check_media(body: Body) -> None:
    kind = body["type"]
    content = part(body, kind)
    check_media_object(content, kind)
    if not isinstance(content.get("voice", False), bool):
        raise invalid_parameter(f"Param {kind}['voice'] must be a boolean.")
    if kind in ("audio", "sticker") and "caption" in content:
        raise invalid_parameter(f'Unexpected key "caption" on param "{kind}".')


def _check_location(body: Body) -> None:
    content = part(body, "location")
    only(content, "location", {"latitude", "longitude", "name", "address"})
    for name, limit in (("latitude", 90.0), ("longitude", 180.0)):
        if name not in content:
            raise required(f"location['{name}']")
        try:
            if isinstance(content[name], bool):
                raise TypeError
            value = float(content[name])
        except (TypeError, ValueError):
            raise invalid_parameter(f"Param location['{name}'] must be a number.") from None
        if not -limit <= value <= limit:
            raise known_error(131009, details=f"location.{name} is out of range.")
    for name in ("name", "address"):
        text(content, name, path="location")


def _check_reaction(body: Body) -> None:
    content = part(body, "reaction")
    only(content, "reaction", {"message_id", "emoji"})
    text(content, "message_id", path="reaction", needed=True)
    text(content, "emoji", path="reaction")
    if "emoji" not in content:
        raise required("reaction['emoji']")
    if len(content["emoji"]) > 16:
        raise known_error(131009, details="reaction.emoji must be a single emoji.")


def _check_contacts(body: Body) -> None:
    cards = body["contacts"]
    if not isinstance(cards, list) or not cards:
        raise invalid_parameter("Param contacts must be a non-empty array.")
    if len(cards) > 257:
        raise invalid_parameter("Param contacts must have at most 257 elements.")
    for index, card in enumerate(cards):
        path = f"contacts[{index}]"
        if not isinstance(card, dict):
            raise invalid_parameter(f"Param {path} must be a JSON object.")
        name = card.get("name")
        if not isinstance(name, dict):
            raise required(f"{path}['name']")
        text(name, "formatted_name", path=f"{path}['name']", needed=True)
        others = ("first_name", "last_name", "middle_name", "prefix", "suffix")
        if not any(name.get(other) for other in others):
            raise known_error(
                131009,
                details=f"{path}.name needs formatted_name and one of {', '.join(others)}.",
            )
        phones = card.get("phones", [])
        if not isinstance(phones, list) or not all(
            isinstance(phone, dict) and isinstance(phone.get("phone", ""), str) for phone in phones
        ):
            raise invalid_parameter(f"Param {path}['phones'] must be an array of phones.")


def _check_interactive(body: Body) -> None:
    check_interactive(part(body, "interactive"))


def _check_template(body: Body) -> None:
    check_template(part(body, "template"))


CHECKS = {
    "text": _check_text,
    **dict.fromkeys(MEDIA_KINDS, _check_media),
    "location": _check_location,
    "contacts": _check_contacts,
    "reaction": _check_reaction,
    "interactive": _check_interactive,
    "template": _check_template,
}
