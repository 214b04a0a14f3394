"""What a message of ours says, as a provider's shape and as a row: there and back.

`describe` gives the columns of `messages`, `read_content` rebuilds the shape when it leaves. The
metadata of a kind has the same keys in both directions (see crm/providers/base.py), so that one
partial draws it:

text {preview: false, where it is switched off}; location {latitude, longitude, name, address};
contacts [{name {formatted_name, first_name, last_name}, phones [{phone, type, wa_id}], emails
[{email}], org {company, title}}]; reaction {message_id, emoji}; edit {message_id}; revoke
{message_id}; media {id, link, mime_type,
filename} and voice; interactive {type, header, footer, buttons [{id, title}] | button, sections
[{title, rows [{id, title, description}]}] | title, url}; template {name, language, header, body
[...], buttons [...], shown {...}}.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import singledispatch
from typing import Any

from sqlalchemy import Row

from crm.models import Message, MessageType
from crm.providers.outbound import (
    BodyParameter,
    ButtonParameter,
    Buttons,
    ContactCard,
    ContactPhone,
    Contacts,
    Content,
    CopyCodeParameter,
    CurrencyParameter,
    DateTimeParameter,
    Deletion,
    Edit,
    FilledTemplate,
    FlowParameter,
    HeaderParameter,
    LinkButton,
    ListMenu,
    ListRow,
    ListSection,
    Location,
    Media,
    MediaKind,
    QuickReplyParameter,
    Reaction,
    ReplyButton,
    Text,
    TextParameter,
    UrlParameter,
)

Json = dict[str, Any]
PARAMETERS: dict[str, type[Any]] = {
    "text": TextParameter,
    "currency": CurrencyParameter,
    "date_time": DateTimeParameter,
    "location": Location,
    "quick_reply": QuickReplyParameter,
    "url": UrlParameter,
    "copy_code": CopyCodeParameter,
    "flow": FlowParameter,
}
PARAMETER_NAMES = {shape: name for name, shape in PARAMETERS.items()}


@dataclass(frozen=True)
class Described:
    """The columns of a message: its type, what a person reads, its metadata."""

    kind: MessageType
    text: str | None = None
    meta: Json = field(default_factory=dict)

    @property
    def target_id(self) -> str | None:
        """The provider's id of the message that this one speaks of, where it is no word itself."""
        about = (self.meta.get(name) for name in ("reaction", "edit", "revoke"))
        return next((str(part["message_id"]) for part in about if part), None)


@singledispatch
def describe(content: Any) -> Described:
    """The row of a content; a template's text is what `shown` says, see services/templates."""
    raise TypeError(f"no message of the kind {type(content).__name__}")


@describe.register
def _(content: Text) -> Described:
    meta = {} if content.preview_url else {"preview": False}
    return Described(MessageType.TEXT, content.body, meta)


@describe.register
def _(content: Media) -> Described:
    meta: Json = {"media": _media(content)}
    if content.voice:
        meta["voice"] = True
    return Described(MessageType(content.kind.value), content.caption, meta)


@describe.register
def _(content: Location) -> Described:
    words = content.name or content.address
    return Described(MessageType.LOCATION, words, {"location": _present(asdict(content))})


@describe.register
def _(content: Contacts) -> Described:
    names = ", ".join(card.formatted_name for card in content.cards)
    cards = [_write_card(card) for card in content.cards]
    return Described(MessageType.CONTACT, names, {"contacts": cards})


@describe.register
def _(content: Reaction) -> Described:
    return Described(MessageType.REACTION, content.emoji or None, {"reaction": asdict(content)})


@describe.register
def _(content: Edit) -> Described:
    meta = {"edit": {"message_id": content.message_id}}
    return Described(MessageType.SYSTEM, content.body, meta)


@describe.register
def _(content: Deletion) -> Described:
    return Described(MessageType.SYSTEM, None, {"revoke": {"message_id": content.message_id}})


@describe.register
def _(content: Buttons) -> Described:
    return _interactive("button", content, buttons=[asdict(row) for row in content.buttons])


@describe.register
def _(content: ListMenu) -> Described:
    sections = [
        {"title": section.title, "rows": [_present(asdict(row)) for row in section.rows]}
        for section in content.sections
    ]
    return _interactive("list", content, button=content.button, sections=sections)


@describe.register
def _(content: LinkButton) -> Described:
    return _interactive("cta_url", content, title=content.title, url=content.url)


@describe.register
def _(content: FilledTemplate) -> Described:
    template = {
        "name": content.name,
        "language": content.language,
        "header": _write_parameter(content.header) if content.header else None,
        "body": [_write_parameter(row) for row in content.body],
        "buttons": [_write_parameter(row) for row in content.buttons],
    }
    return Described(MessageType.TEMPLATE, None, {"template": template})


def read_content(message: Message | Row[Any]) -> Content:
    """The shape that leaves for the provider. A plain row with the model's names will do.

    ValueError for a kind that is none of ours."""
    meta = message.meta or {}
    text = message.content or ""
    match message.message_type:
        case MessageType.TEXT:
            return Text(text, preview_url=meta.get("preview", True))
        case MessageType.LOCATION:
            return Location(**meta["location"])
        case MessageType.CONTACT:
            return Contacts(tuple(_read_card(card) for card in meta["contacts"]))
        case MessageType.REACTION:
            return Reaction(meta["reaction"]["message_id"], meta["reaction"].get("emoji") or "")
        case MessageType.SYSTEM if "edit" in meta:
            return Edit(meta["edit"]["message_id"], text)
        case MessageType.SYSTEM if "revoke" in meta:
            return Deletion(meta["revoke"]["message_id"])
        case MessageType.INTERACTIVE:
            return _read_interactive(text, meta["interactive"])
        case MessageType.TEMPLATE:
            return _read_template(meta["template"])
        case kind if kind in list(MediaKind):
            voice = bool(meta.get("voice"))
            return _read_media(str(kind), meta.get("media") or {}, text or None, voice)
        case kind:
            raise ValueError(f"a message of the kind {kind} cannot be sent")


def _media(media: Media) -> Json:
    return _present(
        {
            "id": media.media_id,
            "link": media.link,
            "path": media.path,
            "mime_type": media.mime_type,
            "filename": media.filename,
        }
    )


def _read_media(kind: str, known: Json, caption: str | None = None, voice: bool = False) -> Media:
    return Media(
        kind=MediaKind(kind),
        media_id=known.get("id"),
        link=known.get("link"),
        path=known.get("path"),
        mime_type=known.get("mime_type"),
        caption=caption,
        filename=known.get("filename"),
        voice=voice,
    )


def _write_card(card: ContactCard) -> Json:
    names = {"formatted_name": card.formatted_name, "first_name": card.first_name}
    return _present(
        {
            "name": names | _present({"last_name": card.last_name}),
            "phones": [_present(asdict(phone)) for phone in card.phones],
            "emails": [{"email": email} for email in card.emails],
            "org": _present({"company": card.company, "title": card.title}),
        }
    )


def _read_card(card: Json) -> ContactCard:
    """One of ours, or one of a customer's that is forwarded: any part of that may be missing."""
    name, org = card.get("name") or {}, card.get("org") or {}
    shown = name.get("formatted_name") or name.get("first_name") or "?"
    return ContactCard(
        formatted_name=shown,
        first_name=name.get("first_name") or shown,
        last_name=name.get("last_name"),
        phones=tuple(
            ContactPhone(row["phone"], row.get("wa_id"), row.get("type") or "CELL")
            for row in card.get("phones") or ()
            if row.get("phone")
        ),
        emails=tuple(row["email"] for row in card.get("emails") or () if row.get("email")),
        company=org.get("company"),
        title=org.get("title"),
    )


def _interactive(kind: str, content: Buttons | ListMenu | LinkButton, **parts: Any) -> Described:
    header = content.header
    if isinstance(header, Media):
        parts["header"] = {"kind": header.kind.value} | _media(header)
    elif header:
        parts["header"] = header
    if content.footer:
        parts["footer"] = content.footer
    meta = {"interactive": {"type": kind, **parts}}
    return Described(MessageType.INTERACTIVE, content.body, meta)


def _read_interactive(body: str, parts: Json) -> Buttons | ListMenu | LinkButton:
    header, footer = _read_header(parts.get("header")), parts.get("footer")
    if parts["type"] == "list":
        sections = tuple(
            ListSection(tuple(ListRow(**row) for row in section["rows"]), section["title"])
            for section in parts["sections"]
        )
        text = header if isinstance(header, str) else None
        return ListMenu(body, parts["button"], sections, text, footer)
    if parts["type"] == "cta_url":
        return LinkButton(body, parts["title"], parts["url"], header, footer)
    buttons = tuple(ReplyButton(**button) for button in parts["buttons"])
    return Buttons(body, buttons, header, footer)


def _read_header(header: Any) -> str | Media | None:
    if isinstance(header, dict):
        return _read_media(header["kind"], header)
    return header or None


def _write_parameter(value: BodyParameter | HeaderParameter | ButtonParameter) -> Json:
    if isinstance(value, Media):
        return {"type": "media", "kind": value.kind.value} | _media(value)
    return {"type": PARAMETER_NAMES[type(value)]} | _present(asdict(value))


def _read_parameter(value: Json) -> Any:
    known = {name: part for name, part in value.items() if name != "type"}
    if value["type"] == "media":
        return _read_media(known["kind"], known)
    if value["type"] == "flow":
        known["data"] = tuple(tuple(pair) for pair in known.get("data") or ())
    return PARAMETERS[value["type"]](**known)


def _read_template(parts: Json) -> FilledTemplate:
    return FilledTemplate(
        name=parts["name"],
        language=parts["language"],
        header=_read_parameter(parts["header"]) if parts.get("header") else None,
        body=tuple(_read_parameter(row) for row in parts.get("body") or ()),
        buttons=tuple(_read_parameter(row) for row in parts.get("buttons") or ()),
    )


def _present(values: Json) -> Json:
    """Without what is not there; a zero is there."""
    return {
        name: value
        for name, value in values.items()
        if value is not None and value is not False and value not in ("", (), [], {})
    }
