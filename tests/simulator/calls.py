"""Calls of our own, one or more of each kind: what Meta takes, and what it refuses."""

from typing import Any

Row = dict[str, Any]
TO: Row = {"messaging_product": "whatsapp", "recipient_type": "individual", "to": "+573001112233"}


def _interactive(kind: str, action: Row, **more: Any) -> Row:
    content = {"type": kind, "body": {"text": "¿Qué desea?"}, "action": action, **more}
    return {**TO, "type": "interactive", "interactive": content}


def buttons(*titles: str) -> Row:
    """Reply buttons with these titles."""
    rows = [
        {"type": "reply", "reply": {"id": f"b{index}", "title": title}}
        for index, title in enumerate(titles)
    ]
    return _interactive("button", {"buttons": rows})


def rows(*counts: int) -> Row:
    """A list with so many rows in each section."""
    sections = [
        {
            "title": f"Sección {index}",
            "rows": [{"id": f"r{index}-{row}", "title": f"Fila {row}"} for row in range(count)],
        }
        for index, count in enumerate(counts)
    ]
    return _interactive("list", {"button": "Ver", "sections": sections})


def template(name: str, *values: str, language: str = "es", **more: Any) -> Row:
    """A template with text values in its body."""
    content: Row = {"name": name, "language": {"code": language}, **more}
    if values:
        parameters = [{"type": "text", "text": value} for value in values]
        content["components"] = [{"type": "body", "parameters": parameters}]
    return {**TO, "type": "template", "template": content}


CARD = {"name": {"formatted_name": "Ana Ruiz", "first_name": "Ana"}, "phones": [{"phone": "+57"}]}

ACCEPTED: dict[str, Row] = {
    "text": {**TO, "type": "text", "text": {"body": "Buenos días"}},
    "text without its type": {**TO, "text": {"body": "Buenos días", "preview_url": True}},
    "text of 4096": {**TO, "type": "text", "text": {"body": "ñ" * 4096}},
    "quote": {**TO, "text": {"body": "Sí"}, "context": {"message_id": "wamid.x"}},
    "our own id": {**TO, "text": {"body": "Sí"}, "biz_opaque_callback_data": "k" * 512},
    "to a user id": {
        "messaging_product": "whatsapp",
        "recipient": "CO.1",
        "type": "text",
        "text": {"body": "x"},
    },
    "image by id": {**TO, "type": "image", "image": {"id": "1", "caption": "Foto"}},
    "image by link": {**TO, "type": "image", "image": {"link": "https://example.com/a.jpg"}},
    "audio": {**TO, "type": "audio", "audio": {"id": "1"}},
    "voice note": {**TO, "type": "audio", "audio": {"id": "1", "voice": True}},
    "video": {**TO, "type": "video", "video": {"id": "1", "caption": "Video"}},
    "document": {**TO, "type": "document", "document": {"id": "1", "filename": "a.pdf"}},
    "sticker": {**TO, "type": "sticker", "sticker": {"id": "1"}},
    "location": {**TO, "type": "location", "location": {"latitude": 4.6, "longitude": "-74"}},
    "contacts": {**TO, "type": "contacts", "contacts": [CARD]},
    "reaction": {**TO, "type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": "👍"}},
    "no reaction": {**TO, "type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": ""}},
    "three buttons": buttons("Uno", "Dos", "Tres"),
    "ten rows": rows(4, 6),
    "one section without title": _interactive(
        "list", {"button": "Ver", "sections": [{"rows": [{"id": "1", "title": "Uno"}]}]}
    ),
    "link button": _interactive(
        "cta_url",
        {
            "name": "cta_url",
            "parameters": {"display_text": "Ver", "url": "https://example.com"},
        },
    ),
    "template": template("seguimiento_pedido", "Ana", "A-1"),
    "template in upper case": {
        **TO,
        "type": "template",
        "template": {
            "name": "x",
            "language": {"code": "es"},
            "components": [{"type": "BODY", "parameters": [{"type": "text", "text": "Ana"}]}],
        },
    },
    "read": {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"},
    "typing": {
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": "wamid.x",
        "typing_indicator": {"type": "text"},
    },
}


def _without(body: Row, name: str) -> Row:
    return {key: value for key, value in body.items() if key != name}


TEXT = ACCEPTED["text"]
# what is wrong: (call, Meta's code)
REFUSED: dict[str, tuple[Any, int]] = {
    "not an object": ([TEXT], 100),
    "no product": (_without(TEXT, "messaging_product"), 100),
    "another product": ({**TEXT, "messaging_product": "sms"}, 100),
    "neither to nor recipient": (_without(TEXT, "to"), 100),
    "empty to": ({**TEXT, "to": ""}, 100),
    "number as a number": ({**TEXT, "to": 573001112233}, 100),
    "unknown type": ({**TO, "type": "fax", "fax": {}}, 100),
    "type without its part": ({**TO, "type": "image"}, 100),
    "empty text": ({**TO, "text": {"body": ""}}, 100),
    "text of 4097": ({**TO, "text": {"body": "x" * 4097}}, 100),
    "text of another shape": ({**TO, "type": "text", "text": "Hola"}, 100),
    "unknown key in text": ({**TO, "text": {"body": "x", "bold": True}}, 100),
    "our id too long": ({**TEXT, "biz_opaque_callback_data": "k" * 513}, 100),
    "id and link": ({**TO, "type": "image", "image": {"id": "1", "link": "https://a.co"}}, 131009),
    "neither id nor link": ({**TO, "type": "image", "image": {}}, 131008),
    "link of a file": ({**TO, "type": "image", "image": {"link": "file:///etc/passwd"}}, 100),
    "caption too long": ({**TO, "type": "image", "image": {"id": "1", "caption": "x" * 1025}}, 100),
    "audio with caption": ({**TO, "type": "audio", "audio": {"id": "1", "caption": "x"}}, 100),
    "off the globe": (
        {**TO, "type": "location", "location": {"latitude": 91, "longitude": 0}},
        131009,
    ),
    "no longitude": ({**TO, "type": "location", "location": {"latitude": 1}}, 100),
    "no contacts": ({**TO, "type": "contacts", "contacts": []}, 100),
    "contact without name": ({**TO, "type": "contacts", "contacts": [{"phones": []}]}, 100),
    "contact with one name": (
        {**TO, "type": "contacts", "contacts": [{"name": {"formatted_name": "Ana"}}]},
        131009,
    ),
    "reaction to nothing": ({**TO, "type": "reaction", "reaction": {"emoji": "👍"}}, 100),
    "four buttons": (buttons("1", "2", "3", "4"), 131009),
    "no buttons": (buttons(), 131009),
    "button title too long": (buttons("x" * 21), 131009),
    "equal button titles": (buttons("Sí", "Sí"), 131009),
    "empty button title": (buttons(""), 100),
    "eleven rows": (rows(5, 6), 131009),
    "section without rows": (rows(0), 100),
    "no sections": (rows(), 131009),
    "list with a picture": (
        _interactive(
            "list",
            rows(1)["interactive"]["action"],
            header={"type": "image", "image": {"id": "1"}},
        ),
        131009,
    ),
    "body of buttons too long": (
        _interactive("button", buttons("x")["interactive"]["action"], body={"text": "x" * 1025}),
        100,
    ),
    "no such interactive": (_interactive("dance", {}), 100),
    "interactive type of another shape": (_interactive({}, {}), 100),  # type: ignore[arg-type]
    "link button without link": (
        _interactive("cta_url", {"name": "cta_url", "parameters": {"display_text": "Ver"}}),
        100,
    ),
    "template without language": ({**TO, "type": "template", "template": {"name": "x"}}, 100),
    "template with a line break": (template("x", "a\nb"), 132018),
    "template with five spaces": (template("x", "a     b"), 132018),
    "read of another status": (
        {"messaging_product": "whatsapp", "status": "seen", "message_id": "wamid.x"},
        100,
    ),
    "read without message": ({"messaging_product": "whatsapp", "status": "read"}, 100),
}
