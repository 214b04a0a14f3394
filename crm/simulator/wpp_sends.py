"""How the simulated WPPConnect Server takes messages: one class, one endpoint after the other."""

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import gevent

from crm.simulator import wire, wpp_shapes
from crm.simulator.graph import BARE_PAGE, Cut
from crm.simulator.simulator import ledger_row
from crm.simulator.world import Row, now

if TYPE_CHECKING:
    from crm.simulator.faults import Fault
    from crm.simulator.simulator import Simulator

AWAY = {
    "response": None,
    "status": "Disconnected",
    "message": "A sessão do WhatsApp não está ativa.",
}
# Numbers of eight zeros have no WhatsApp, as in the recorded call.
NOBODY = re.compile(r".*0{8}$")
Answer = tuple[int, Any]
# For how long WhatsApp takes a change of a message.
EDIT_SECONDS, DELETE_SECONDS = 15 * 60, 60 * 3600


class Refusal(Exception):
    def __init__(self, status: int, body: Any) -> None:
        super().__init__(str(status))
        self.answer: Answer = (status, body)


class Sends:
    """Accepts or refuses one send call, with everything that can go wrong."""

    def __init__(self, simulator: "Simulator") -> None:
        self._sim = simulator

    def by_name(self, name: str) -> Row | None:
        """The customer behind `573...@c.us`, `2...@lid` or bare digits."""
        user, _, server = name.partition("@")
        customers = self._sim.world.customers
        if server == "lid":
            for customer in customers.values():
                if wpp_shapes.lid_of(customer["wa_id"]) == user:
                    return customer
            return None
        return customers.get(user)

    def connected(self, number: Row) -> None:
        if not self._sim.wpp.is_connected(number["id"]):
            raise Refusal(404, AWAY)

    def _fault(self, fault: "Fault | None") -> None:
        """The shared faults of a call that accepts nothing."""
        if fault is None:
            return
        if fault.kind in ("slow", "timeout"):
            gevent.sleep(fault.seconds)
        if fault.kind in ("timeout", "cut_before"):
            raise Cut
        if fault.kind == "unavailable":
            raise Refusal(503, BARE_PAGE)
        if fault.kind != "slow":
            raise Refusal(500, _error())

    def send(self, number: Row, path: str, body: Row, call: Row) -> Answer:
        names = phones(body)
        to = "".join(filter(str.isdigit, names[0])) if names else ""
        fault = self._sim.faults.take("before", number["id"], to)
        if fault is not None:
            call["fault"] = fault.kind
            self._fault(fault)
        if self._sim.faults.take("wpp_away", number["id"]) is not None:
            raise Refusal(404, AWAY)
        self.connected(number)
        if path == "react-message":
            return self._react(number, body)
        if path in ("edit-message", "delete-message"):
            return self._amend(number, path, body)
        refused = self._sim.faults.take("wpp_refuse", number["id"], to) is not None
        empty = self._sim.faults.take("wpp_empty", number["id"], to) is not None
        if empty:
            names = []
        rows = []
        for name in names:
            if NOBODY.match(name.partition("@")[0]):
                raise Refusal(400, _unknown(name, number))
            rows.append(self._accept(number, name, path, body, call))
        if refused:
            raise Refusal(400, _unknown(names[0], number))
        return self._after(number, path, rows, to)

    def _after(self, number: Row, path: str, rows: list[Row], to: str) -> Answer:
        fault = self._sim.faults.take("answer", number["id"], to)
        if fault is not None:
            if fault.kind == "cut_reply":
                raise Cut
            if fault.kind == "error_after_accept":
                return 500, _error()
            if fault.kind == "malformed_reply":
                return 201, b'{"status":"success","response":[{"id":'
            gevent.sleep(fault.seconds)
        if path == "contact-vcard":
            answer = rows[0] if rows else {}
            return 200, {"status": "success", "response": answer, "session": number["session"]}
        return 201, {
            "status": "success",
            "response": rows,
            "mapper": "return",
            "session": number["session"],
        }

    def _accept(self, number: Row, name: str, path: str, body: Row, call: Row) -> Row:
        """Take one message for one person; returns its part of the answer."""
        sim = self._sim
        customer = self.by_name(name) or sim.customers.find_or_create(name.partition("@")[0])
        kind, content = self._content(path, body)
        chat = wpp_shapes.wid(customer)
        message: Row = {
            "wamid": wpp_shapes.new_id(chat, mine=True),
            "number_id": number["id"],
            "wa_id": customer["wa_id"],
            "direction": "out",
            "type": kind,
            "at": now(),
            "status": "accepted",
            "content": content,
            "pricing": {},
        }
        quoted = body.get("messageId") or body.get("quotedMessageId")
        if quoted:
            message["context"] = {"id": quoted}
        sim.receipts.decide_fate(message, customer)
        sim.world.record({"e": "message", "message": message})
        sim.accepted.append(ledger_row(message, {}, json.dumps(shown(body)).encode()))
        sim.accepted.settle()
        call["wamid"] = message["wamid"]
        sim.world.conversation(number["id"], customer["wa_id"]).typing_until = 0.0
        sim.receipts.start(message)
        sim.tell_message(message)
        if sim.wpp_echoes:
            sim.wpp.tell_message(message, "onselfmessage")
        out = f"{message['wamid']}_out"
        if path in ("send-message", "send-reply"):
            shape = wpp_shapes.message(number, customer, {**message, "wamid": out})
            return {key: shape[key] for key in ANSWERED if key in shape} | {"ack": 1}
        return {"ack": 1, "id": out, "sendMsgResult": {}}

    def _content(self, path: str, body: Row) -> tuple[str, Any]:
        if path in ("send-message", "send-reply"):
            return "text", {"body": str(body.get("message") or "")}
        if path == "send-location":
            place = {"latitude": float(body["lat"]), "longitude": float(body["lng"])}
            return "location", place | {"name": body.get("title"), "address": body.get("address")}
        if path == "contact-vcard":
            ids = [str(name).partition("@")[0] for name in body.get("contactsId") or []]
            phones = [{"phone": f"+{digits}", "wa_id": digits} for digits in ids]
            return "contacts", [{"name": {"formatted_name": body.get("name")}, "phones": phones}]
        return self._file(path, body)

    def _file(self, path: str, body: Row) -> tuple[str, Any]:
        data = str(body.get("base64Ptt") or body.get("path") or body.get("base64") or "")
        head, _, content = data.partition(";base64,")
        mime = head.removeprefix("data:")
        if not content:
            return "document", {"filename": body.get("filename")}
        name = str(body.get("filename") or "")
        row = self._sim.media.keep(
            base64.b64decode(content), mime, origin="uploaded", filename=name
        )
        kind = mime.partition("/")[0]
        if path == "send-sticker":
            kind = "sticker"
        elif path == "send-voice-base64":
            kind = "audio"
        elif kind not in ("image", "audio", "video"):
            kind = "document"
        known: Row = {"id": row["id"], "mime_type": mime}
        if path == "send-voice-base64":
            known["voice"] = True
        if body.get("caption"):
            known["caption"] = body["caption"]
        if kind == "document":
            known["filename"] = name
        return kind, known

    def _amend(self, number: Row, path: str, body: Row) -> Answer:
        """Both name a message of the phone's own; too old ones are refused in the server's ways."""
        is_edit = path == "edit-message"
        name = str(body.get("id" if is_edit else "messageId")).removesuffix("_out")
        target = self._sim.world.messages.get(name)
        known = target is not None and target["direction"] == "out"
        refused = self._sim.faults.take("wpp_refuse", number["id"]) is not None
        limit = EDIT_SECONDS if is_edit else DELETE_SECONDS
        if target is None or not known or refused or now() - target["at"] > limit:
            if is_edit:
                return 500, _error()
            words = {"message": "Error unknown on delete message"}
            return 401, {"status": "error", "response": words}
        change: Row = {"revoked": True}
        if is_edit:
            content = {**target["content"], "body": str(body.get("newText") or "")}
            change = {"content": content, "edited": True}
        self._sim.world.record({"e": "mark", "wamid": name, "set": change})
        self._sim.accepted.append(
            {"at": now(), "wamid": f"{path}_{wire.new_trace_id()}", "number_id": number["id"],
             "to": target["wa_id"], "wa_id": target["wa_id"], "type": path.partition("-")[0],
             "text": body.get("newText")}
        )  # fmt: skip
        self._sim.accepted.settle()
        self._sim.bus.tell("status", {"message": target})
        fault = self._sim.faults.take("answer", number["id"], target["wa_id"])
        if fault is not None and fault.kind == "cut_reply":
            raise Cut
        if is_edit:
            rows = [{"id": f"{name}_out", "body": change["content"]["body"], "ack": 1}]
            return 201, {"status": "success", "response": rows, "session": number["session"]}
        self._sim.wpp.revoke(target)
        words = {"message": "Message deleted"}
        return 200, {"status": "success", "response": words, "session": number["session"]}

    def _react(self, number: Row, body: Row) -> Answer:
        target = self._sim.world.messages.get(str(body.get("msgId")).removesuffix("_out"))
        if target is None:
            return 500, _error()
        mark = {"reaction": body.get("reaction") or ""}
        self._sim.world.record({"e": "mark", "wamid": target["wamid"], "set": mark})
        self._sim.accepted.append(
            {"at": now(), "wamid": f"reaction_{wire.new_trace_id()}", "number_id": number["id"],
             "to": target["wa_id"], "wa_id": target["wa_id"], "type": "reaction",
             "text": body.get("reaction")}
        )  # fmt: skip
        self._sim.accepted.settle()
        self._sim.bus.tell("status", {"message": target})
        words = {"message": "Reaction sended"}
        return 200, {"status": "success", "response": words, "session": number["session"]}


SENDS = frozenset(
    {
        "send-message", "send-reply", "send-image", "send-file", "send-file-base64",
        "send-voice-base64", "send-sticker", "send-location", "contact-vcard", "react-message",
        "edit-message", "delete-message",
    }
)  # fmt: skip
ANSWERED = (
    "id", "body", "type", "t", "from", "to", "self", "chatId", "fromMe", "timestamp", "content",
    "isGroupMsg", "mediaData", "quotedMsgId",
)  # fmt: skip


def phones(body: Row) -> list[str]:
    """As the server reads `phone`: spaces survive, and what is too long is a lid."""
    given = body.get("phone") or []
    given = given if isinstance(given, list) else re.split(r"[,;]", str(given))
    names = []
    for phone in given:
        bare = re.sub(r"[^\w ]", "", str(phone).partition("@")[0])
        hidden = body.get("isLid") or str(phone).endswith("@lid") or len(bare) > 14
        server = "g.us" if body.get("isGroup") else "lid" if hidden else "c.us"
        names.append(f"{bare}@{server}")
    return names


def _unknown(name: str, number: Row) -> Row:
    words = f"O número {name.partition('@')[0]} não existe."
    return {
        "response": None, "status": "Connected", "message": words, "session": number["session"],
    }  # fmt: skip


def _error() -> Row:
    return {"status": "Error", "message": "Erro ao enviar a mensagem.", "error": {"level": "error"}}


def shown(body: Row) -> Row:
    """A body for the inspector: files are shortened."""
    return {
        key: f"{value[:60]}... ({len(value)})" if isinstance(value, str) and len(value) > 2000
        else value
        for key, value in body.items()
    }  # fmt: skip
