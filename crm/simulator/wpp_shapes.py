"""The bodies of WPPConnect Server: messages as WhatsApp Web has them, acks, reactions, sessions.

Shapes after recorded webhooks and answers of version 2.10.4; only what a receiver may rely on, and
a few of the many fields that it must not trip over.
"""

import base64
import hashlib
import secrets
from typing import Any

from crm.simulator import wire

Row = dict[str, Any]
ACKS = {"failed": -1, "accepted": 0, "sent": 1, "delivered": 2, "read": 3, "played": 4}
# Meta's type -> WhatsApp Web's.
TYPES = {"text": "chat", "contacts": "vcard", "unsupported": "poll_creation"}


def lid_of(wa_id: str) -> str:
    """The hidden id of an account: fifteen digits that are no phone number."""
    return str(2 * 10**14 + int(hashlib.sha256(wa_id.encode()).hexdigest(), 16) % 10**14)


def wid(customer: Row) -> str:
    """How WhatsApp Web names a person: somebody who hides the number has a lid."""
    if customer.get("hidden"):
        return f"{lid_of(customer['wa_id'])}@lid"
    return f"{customer['wa_id']}@c.us"


def own_wid(number: Row) -> str:
    return f"{wire.digits_of(number['display_phone_number'])}@c.us"


def new_id(chat: str, *, mine: bool) -> str:
    """A message's name: `true_<chat>_3EB0...` or `false_<chat>_3A...`."""
    unique = secrets.token_hex(9).upper()
    return f"true_{chat}_3EB0{unique}" if mine else f"false_{chat}_3A{unique}"


def key_of(serialized: str) -> Row:
    """The object that stands for an id in acks and reactions."""
    mine, chat, name = serialized.split("_")[:3]
    return {"fromMe": mine == "true", "remote": chat, "id": name, "_serialized": serialized}


def message(number: Row, customer: Row, row: Row, *, media: Row | None = None) -> Row:
    """One message, in or out. `media` {base64, size, sha256, preview} is its file."""
    chat, own = wid(customer), own_wid(number)
    mine = row["direction"] == "out"
    at = int(row["at"])
    kind = row["type"]
    shape: Row = {
        "id": row["wamid"],
        "viewed": False,
        "body": "",
        "type": TYPES.get(kind, kind),
        "t": at,
        "notifyName": "" if mine else customer["name"],
        "from": own if mine else chat,
        "to": chat if mine else own,
        "self": "out" if mine else "in",
        "ack": ACKS.get(row["status"], 1) if mine else 1,
        "invis": False,
        "isNewMsg": True,
        "star": False,
        "recvFresh": True,
        "isForwarded": False,
        "mentionedJidList": [],
        "chatId": chat,
        "fromMe": mine,
        "sender": _sender(own if mine else chat, None if mine else customer),
        "timestamp": at,
        "content": "",
        "isGroupMsg": False,
        "mediaData": {},
    }
    shape.update(_content(kind, row["content"], media))
    if row.get("context"):
        shape["quotedMsgId"] = row["context"]["id"]
        shape["quotedStanzaID"] = str(row["context"]["id"]).split("_")[2:3] or None
        if shape["quotedStanzaID"]:
            shape["quotedStanzaID"] = shape["quotedStanzaID"][0]
    return shape


def _sender(name: str, customer: Row | None) -> Row:
    if customer is None:
        return {"id": name, "isMe": True, "isMyContact": False, "profilePicThumbObj": {}}
    hidden = name.endswith("@lid")
    return {
        "id": name,
        "pushname": customer["name"],
        "type": "in",
        "isBusiness": False,
        "formattedName": customer["name"] if hidden else f"+{customer['wa_id']}",
        "isMe": False,
        "isMyContact": False,
        "isUser": True,
        "isWAContact": True,
        "profilePicThumbObj": {},
        "msgs": None,
    }


def _content(kind: str, content: Any, media: Row | None) -> Row:
    if kind == "text":
        return {"body": content["body"], "content": content["body"]}
    if kind == "location":
        named = [str(content[key]) for key in ("name", "address") if content.get(key)]
        return {
            "body": "/9j/mapthumb",
            "lat": content["latitude"],
            "lng": content["longitude"],
            "loc": "\n".join(named),
            "isLive": False,
        }
    if kind == "contacts":
        card = content[0]
        return {"body": _vcard(card), "vcardFormattedName": card["name"]["formatted_name"]}
    if kind == "unsupported":
        options = [{"name": "Lunes", "localId": 0}, {"name": "Martes", "localId": 1}]
        return {"pollName": "¿Qué día?", "pollOptions": options}
    if media is not None:
        return _file(kind, content, media)
    return {}


def _file(kind: str, content: Row, media: Row) -> Row:
    shape: Row = {
        "type": "ptt" if kind == "audio" and content.get("voice") else kind,
        "body": media["base64"],
        "mimetype": content.get("mime_type") or media["mime_type"],
        "filehash": media["sha256"],
        "size": media["size"],
        "mediaKey": "exampleMediaKey=",
        "directPath": "/v/t62.0000-00/example",
        "isMedia": True,
        "isMMS": True,
    }
    for name in ("caption", "filename"):
        if content.get(name):
            shape[name] = content[name]
    if kind == "sticker":
        shape["isAnimated"] = bool(content.get("animated"))
    return shape


def _vcard(card: Row) -> str:
    name = card["name"]
    phones = "\n".join(
        f"TEL;type=CELL;waid={phone.get('wa_id', '')}:{phone['phone']}" for phone in card["phones"]
    )
    last, first = name.get("last_name", ""), name.get("first_name", "")
    return (
        f"BEGIN:VCARD\nVERSION:3.0\nN:{last};{first};;;\nFN:{name['formatted_name']}\n"
        f"{phones}\nEND:VCARD"
    )


def ack(number: Row, customer: Row, row: Row, *, media: Row | None = None) -> Row:
    """`onack`: the id is an object here; of media the whole file comes again."""
    shape = message(number, customer, row, media=media)
    kept = {name: shape[name] for name in ("body", "type", "t", "from", "to", "self")}
    return {"id": key_of(row["wamid"]), **kept, "ack": ACKS[row["status"]], "star": False}


def reaction(customer: Row, row: Row) -> Row:
    """`onreactionmessage`; an empty text takes the reaction back."""
    return {
        "id": key_of(row["wamid"]),
        "msgId": key_of(row["content"]["message_id"]),
        "reactionText": row["content"].get("emoji") or "",
        "read": False,
        "orphan": 0,
        "orphanReason": None,
        "timestamp": int(row["at"]),
    }


def file_of(content: bytes, mime_type: str, *, is_preview: bool = False) -> Row:
    """A file as a message carries it; with `is_preview` only its first bytes came through."""
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    shown = content[: max(len(content) // 10, 1)] if is_preview else content
    return {
        "base64": base64.b64encode(shown).decode(),
        "size": len(content),
        "sha256": digest,
        "mime_type": mime_type,
    }
