"""The JSON of `POST /{phone-number-id}/messages` for each kind of message.

Source: Meta's Cloud API reference, v23.0. Lengths and counts are checked before a message is
queued, in crm/services/messages/checks.py; here is only the shape.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from crm.providers.outbound import (
    Buttons,
    ContactCard,
    Contacts,
    CopyCodeParameter,
    CurrencyParameter,
    DateTimeParameter,
    FilledTemplate,
    FlowParameter,
    LinkButton,
    ListMenu,
    ListSection,
    Location,
    Media,
    MediaKind,
    OutboundMessage,
    QuickReplyParameter,
    Reaction,
    Recipient,
    Text,
    TextParameter,
    UrlParameter,
)

Json = dict[str, Any]
# Only these have a caption.
CAPTIONED = frozenset({MediaKind.IMAGE, MediaKind.VIDEO, MediaKind.DOCUMENT})


def message_payload(message: OutboundMessage) -> Json:
    """The body of `POST /messages` for one message."""
    payload: Json = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **_address(message.to),
        **_content(message.content),
        "biz_opaque_callback_data": message.opaque_id,
    }
    if message.reply_to and not isinstance(message.content, Reaction):
        payload["context"] = {"message_id": message.reply_to}
    return payload


def read_payload(message_id: str, *, typing: bool) -> Json:
    """Marks a customer's message, and all before it, as read; `typing` also shows that we write."""
    payload: Json = {
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": message_id,
    }
    if typing:
        payload["typing_indicator"] = {"type": "text"}
    return payload


def _address(to: Recipient) -> dict[str, str]:
    if to.phone:
        return {"to": to.phone}
    return {"recipient": to.user_id or ""}


@singledispatch
def _content(content: Any) -> Json:
    raise TypeError(f"Meta has no message of the kind {type(content).__name__}")


@_content.register
def _(content: Text) -> Json:
    return {"type": "text", "text": {"body": content.body, "preview_url": content.preview_url}}


@_content.register
def _(content: Media) -> Json:
    media = _file(content)
    if content.caption and content.kind in CAPTIONED:
        media["caption"] = content.caption
    if content.voice and content.kind is MediaKind.AUDIO:
        media["voice"] = True
    return {"type": content.kind.value, content.kind.value: media}


@_content.register
def _(content: Location) -> Json:
    return {"type": "location", "location": _place(content)}


@_content.register
def _(content: Contacts) -> Json:
    return {"type": "contacts", "contacts": [_card(card) for card in content.cards]}


@_content.register
def _(content: Reaction) -> Json:
    reaction = {"message_id": content.message_id, "emoji": content.emoji}
    return {"type": "reaction", "reaction": reaction}


@_content.register
def _(content: Buttons) -> Json:
    buttons = [
        {"type": "reply", "reply": {"id": button.id, "title": button.title}}
        for button in content.buttons
    ]
    return _interactive("button", content, {"buttons": buttons})


@_content.register
def _(content: ListMenu) -> Json:
    sections = [_section(section) for section in content.sections]
    return _interactive("list", content, {"button": content.button, "sections": sections})


@_content.register
def _(content: LinkButton) -> Json:
    parameters = {"display_text": content.title, "url": content.url}
    return _interactive("cta_url", content, {"name": "cta_url", "parameters": parameters})


@_content.register
def _(content: FilledTemplate) -> Json:
    components: list[Json] = []
    if content.header is not None:
        components.append({"type": "header", "parameters": [_parameter(content.header)]})
    if content.body:
        components.append({"type": "body", "parameters": [_parameter(row) for row in content.body]})
    components.extend(_button(row) for row in content.buttons)
    template = {
        "name": content.name,
        "language": {"code": content.language},
        "components": components,
    }
    return {"type": "template", "template": template}


def _file(media: Media) -> Json:
    """An upload's id or a link, and a document's name."""
    if media.media_id:
        found: Json = {"id": media.media_id}
    elif media.link:
        found = {"link": media.link}
    else:
        raise ValueError("Meta takes a file by the id of its upload or by a link")
    if media.filename and media.kind is MediaKind.DOCUMENT:
        found["filename"] = media.filename
    return found


def _place(location: Location) -> Json:
    place: Json = {"latitude": location.latitude, "longitude": location.longitude}
    return place | _present(name=location.name, address=location.address)


def _card(card: ContactCard) -> Json:
    name = {"formatted_name": card.formatted_name, "first_name": card.first_name}
    found: Json = {"name": name | _present(last_name=card.last_name)}
    if card.phones:
        found["phones"] = [
            {"phone": phone.phone, "type": phone.type} | _present(wa_id=phone.wa_id)
            for phone in card.phones
        ]
    if card.emails:
        found["emails"] = [{"email": email, "type": "WORK"} for email in card.emails]
    if org := _present(company=card.company, title=card.title):
        found["org"] = org
    return found


def _interactive(kind: str, content: Buttons | ListMenu | LinkButton, action: Json) -> Json:
    interactive: Json = {"type": kind, "body": {"text": content.body}, "action": action}
    if isinstance(content.header, Media):
        shape = content.header.kind.value
        interactive["header"] = {"type": shape, shape: _file(content.header)}
    elif content.header:
        interactive["header"] = {"type": "text", "text": content.header}
    if content.footer:
        interactive["footer"] = {"text": content.footer}
    return {"type": "interactive", "interactive": interactive}


def _section(section: ListSection) -> Json:
    rows = [
        {"id": row.id, "title": row.title} | _present(description=row.description)
        for row in section.rows
    ]
    return _present(title=section.title) | {"rows": rows}


@singledispatch
def _parameter(value: Any) -> Json:
    raise TypeError(f"a template has no parameter of the kind {type(value).__name__}")


@_parameter.register
def _(value: TextParameter) -> Json:
    return {"type": "text", "text": value.text} | _present(parameter_name=value.name)


@_parameter.register
def _(value: CurrencyParameter) -> Json:
    currency = {
        "fallback_value": value.fallback,
        "code": value.code,
        "amount_1000": value.amount_1000,
    }
    return {"type": "currency", "currency": currency} | _present(parameter_name=value.name)


@_parameter.register
def _(value: DateTimeParameter) -> Json:
    date_time = {"fallback_value": value.fallback}
    return {"type": "date_time", "date_time": date_time} | _present(parameter_name=value.name)


@_parameter.register
def _(value: Media) -> Json:
    return {"type": value.kind.value, value.kind.value: _file(value)}


@_parameter.register
def _(value: Location) -> Json:
    return {"type": "location", "location": _place(value)}


@singledispatch
def _button(value: Any) -> Json:
    raise TypeError(f"a template has no button of the kind {type(value).__name__}")


@_button.register
def _(value: QuickReplyParameter) -> Json:
    return _at(value.index, "quick_reply", {"type": "payload", "payload": value.payload})


@_button.register
def _(value: UrlParameter) -> Json:
    return _at(value.index, "url", {"type": "text", "text": value.text})


@_button.register
def _(value: CopyCodeParameter) -> Json:
    return _at(value.index, "copy_code", {"type": "coupon_code", "coupon_code": value.code})


@_button.register
def _(value: FlowParameter) -> Json:
    action: Json = {"flow_token": value.token}
    if value.data:
        action["flow_action_data"] = dict(value.data)
    return _at(value.index, "flow", {"type": "action", "action": action})


def _at(index: int, sub_type: str, parameter: Json) -> Json:
    return {
        "type": "button",
        "sub_type": sub_type,
        "index": str(index),
        "parameters": [parameter],
    }


def _present(**values: Any) -> Json:
    """Only what has a value: Meta refuses null and empty text."""
    return {name: value for name, value in values.items() if value}
