"""WPPConnect Server's HTTP paths, below /api/<session>: plain WSGI, as the Graph look-alike is.

Recorded oddities are kept: the status codes, 201 with nothing in it, an unknown number that is
refused and sent to all the same, a 500 for closing what never started.
"""

import base64
import json
import re
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from crm.simulator import wpp_shapes
from crm.simulator.graph import BARE_PAGE, REASONS, Cut
from crm.simulator.world import Row, now
from crm.simulator.wpp_sends import SENDS, Answer, Refusal, Sends, phones, shown

if TYPE_CHECKING:
    from crm.simulator.simulator import Simulator

PREFIX = "/api/"
PATH = re.compile(r"^/api/(?P<session>[^/]+)/(?P<rest>.+)$")
LARGEST = 150 * 1024 * 1024


class WppServer:
    """Answers what WPPConnect Server would."""

    def __init__(self, simulator: "Simulator") -> None:
        self._sim = simulator
        self._wpp = simulator.wpp
        self._sends = Sends(simulator)

    @staticmethod
    def owns(path: str) -> bool:
        return path.startswith(PREFIX)

    def __call__(self, environ: Row, start_response: Callable[..., Any]) -> Iterable[bytes]:
        call: Row = {"kind": "call", "at": time.time(), "fault": None}
        started = time.monotonic()
        mime = "application/json; charset=utf-8"
        try:
            status, body = self._answer(environ, call)
        except Refusal as refusal:
            status, body = refusal.answer
        except Cut:
            self._note(environ, call | {"status": 0, "answer": b""}, started)
            raise
        if isinstance(body, bytes):
            content, mime = body, "text/html; charset=utf-8"
        else:
            content = json.dumps(body, ensure_ascii=False).encode()
        self._note(environ, call | {"status": status, "answer": content[:20_000]}, started)
        start_response(
            f"{status} {REASONS.get(status, 'Created' if status == 201 else 'Error')}",
            [("Content-Type", mime), ("Content-Length", str(len(content)))],
        )
        return [content]

    def _note(self, environ: Row, call: Row, started: float) -> None:
        # The key of generate-token stands in the path; an inspector is no place for it.
        path = re.sub(r"/[^/]+/generate-token$", "/***/generate-token", environ["PATH_INFO"])
        call |= {"method": environ["REQUEST_METHOD"], "path": path}
        call["milliseconds"] = round((time.monotonic() - started) * 1000, 1)
        self._sim.bus.note_call(call)

    def _answer(self, environ: Row, call: Row) -> Answer:
        match = PATH.match(environ["PATH_INFO"])
        if match is None:
            return 404, b"<!DOCTYPE html><pre>Cannot GET</pre>"
        name, rest = match["session"], match["rest"]
        method = environ["REQUEST_METHOD"]
        if method == "POST" and rest.endswith("/generate-token"):
            return self._token(name, unquote(rest.rpartition("/")[0]))
        self._check_token(name, environ)
        number = self._wpp.find_or_create(name)
        call["number_id"] = number["id"]
        body = _body(environ) if method == "POST" else {}
        call["request"] = json.dumps(shown(body)).encode()
        path, _, argument = rest.partition("/")
        handler = getattr(self, f"_{method.lower()}_{path.replace('-', '_')}", None)
        if handler is not None:
            return handler(number, body, argument, environ)
        if method == "POST" and path in SENDS:
            return self._sends.send(number, path, body, call)
        return 404, b"<!DOCTYPE html><pre>Cannot find this path</pre>"

    # -- opening -----------------------------------------------------------------------------------

    def _token(self, name: str, key: str) -> Answer:
        if key != self._sim.settings.token:
            return 400, {"response": False, "message": "The SECRET_KEY is incorrect"}
        token = self._wpp.token_of(name)
        full = f"{name}:{token}"
        return 201, {"status": "success", "session": name, "token": token, "full": full}

    def _check_token(self, name: str, environ: Row) -> None:
        given = environ.get("HTTP_AUTHORIZATION", "")
        if not given:
            words = "Token is not present. Check your header and try again"
            raise Refusal(401, {"message": words})
        if given.removeprefix("Bearer ").strip() != self._wpp.token_of(name):
            raise Refusal(401, {"error": "Check that the Session and Token are correct"})

    # -- the session's life ------------------------------------------------------------------------

    def _post_start_session(self, number: Row, body: Row, *_: Any) -> Answer:
        before = self._wpp.state(number)
        self._wpp.start(number, str(body.get("webhook") or ""))
        return 200, before

    def _get_status_session(self, number: Row, *_: Any) -> Answer:
        return 200, self._wpp.state(number)

    def _get_check_connection_session(self, number: Row, *_: Any) -> Answer:
        connected = self._wpp.is_connected(number["id"])
        return 200, {"status": connected, "message": "Connected" if connected else "Disconnected"}

    def _get_get_phone_number(self, number: Row, *_: Any) -> Answer:
        self._sends.connected(number)
        phone = number.get("own_phone")
        wid = f"{phone}@c.us" if phone else None
        return 200, {"status": "success", "response": wid, "mapper": "device"}

    def _post_close_session(self, number: Row, *_: Any) -> Answer:
        if not self._wpp.close(number["id"]):
            return 500, {"status": False, "message": "Error closing session", "error": {}}
        words = "Session successfully closed"
        return 200, {"status": True, "message": words, "session": number["session"]}

    def _post_logout_session(self, number: Row, *_: Any) -> Answer:
        self._sends.connected(number)
        self._wpp.log_out(number["id"])
        words = "Session successfully closed"
        return 200, {"status": True, "message": words, "session": number["session"]}

    # -- what it knows -----------------------------------------------------------------------------

    def _get_get_messages(self, number: Row, _body: Row, phone: str, environ: Row) -> Answer:
        self._sends.connected(number)
        query = dict(parse_qsl(environ.get("QUERY_STRING") or ""))
        count = int(query.get("count", "20"))
        customer = self._sends.by_name(unquote(phone))
        rows = self._wpp.shapes(number, customer["wa_id"], count=count) if customer else []
        return 200, {"status": "success", "response": rows}

    def _get_all_unread_messages(self, number: Row, *_: Any) -> Answer:
        self._sends.connected(number)
        found = [
            shape
            for chat in self._sim.world.conversations.values()
            if chat.number_id == number["id"]
            for shape, row in zip(
                self._wpp.shapes(number, chat.wa_id, count=100),
                [row for row in chat.messages if row["type"] != "reaction"][-100:],
                strict=False,
            )
            if row["direction"] == "in" and row["status"] != "read"
        ]
        return 200, {"status": "success", "response": found}

    def _post_list_chats(self, number: Row, body: Row, *_: Any) -> Answer:
        self._sends.connected(number)
        rows: list[Row] = []
        for chat in self._sim.world.conversations.values():
            if chat.number_id == number["id"] and chat.messages:
                name = wpp_shapes.wid(self._sim.world.customers[chat.wa_id])
                user, server = name.split("@")
                wid: Row = {"server": server, "user": user, "_serialized": name}
                rows.append({"id": wid, "t": int(chat.messages[-1]["at"]), "isGroup": False})
        rows.sort(key=lambda row: -row["t"])
        return 200, rows[: body.get("count") or 20]

    def _get_contact(self, number: Row, _body: Row, argument: str, environ: Row) -> Answer:
        self._sends.connected(number)
        kind, _, name = unquote(argument).partition("/")
        customer = self._sends.by_name(name) if kind == "pn-lid" else None
        if customer is None:
            return 500, {"status": "error", "message": "Error on get contact", "error": {}}
        user = wpp_shapes.lid_of(customer["wa_id"])
        return 200, {
            "lid": {"id": user, "server": "lid", "_serialized": f"{user}@lid"},
            "phoneNumber": {
                "id": customer["wa_id"],
                "server": "c.us",
                "_serialized": f"{customer['wa_id']}@c.us",
            },
            "contact": {"name": customer["name"], "pushname": customer["name"], "type": "in"},
        }

    def _get_get_media_by_message(self, number: Row, _body: Row, argument: str, *_: Any) -> Answer:
        message = self._sim.world.messages.get(unquote(argument))
        row = self._sim.media.find(message["content"]["id"]) if message else None
        if message is None or row is None:
            return 400, {"status": "error", "message": "Message not found"}
        raw = self._sim.media.path(row["id"]).read_bytes()
        return 200, {"base64": base64.b64encode(raw).decode(), "mimetype": row["mime_type"]}

    def _post_send_seen(self, number: Row, body: Row, *_: Any) -> Answer:
        self._sends.connected(number)
        contacts = []
        for name in phones(body):
            customer = self._sends.by_name(name)
            contacts.append(name)
            if customer is not None:
                self._read(number, customer)
        data = {
            "message": "Information retrieved successfully.",
            "contact": contacts,
            "session": number["session"],
            "data": [None for _ in contacts],
        }
        return 201, {"status": "Success", "response": data, "session": number["session"]}

    def _read(self, number: Row, customer: Row) -> None:
        where = {"number_id": number["id"], "wa_id": customer["wa_id"]}
        self._sim.world.record({"e": "read_by_business", **where, "until": now()})
        self._sim.bus.tell("read", {**where, "until": now()})

    def _post_typing(self, number: Row, body: Row, *_: Any) -> Answer:
        self._sends.connected(number)
        for name in phones(body):
            customer = self._sends.by_name(name)
            if customer is not None:
                where = {"number_id": number["id"], "wa_id": customer["wa_id"]}
                chat = self._sim.world.conversation(number["id"], customer["wa_id"])
                # WhatsApp Web goes on saying it until it is stopped.
                chat.typing_until = now() + 600 if body.get("value", True) else 0.0
                self._sim.bus.tell("typing", where | {"stops": not body.get("value", True)})
        return 200, {"status": "success", "session": number["session"]}


def _body(environ: Row) -> Row:
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > LARGEST:
        raise Refusal(413, BARE_PAGE)
    raw = environ["wsgi.input"].read(int(length))
    try:
        body = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        raise Refusal(400, b"<!DOCTYPE html><pre>SyntaxError</pre>") from None
    return body if isinstance(body, dict) else {}
