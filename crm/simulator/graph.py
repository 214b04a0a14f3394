"""The Graph API look-alike: plain WSGI, because a send call must cost little."""

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import gevent
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request

from crm.simulator import checks, tokens
from crm.simulator.errors import (
    GraphError,
    bad_token,
    invalid_parameter,
    known_error,
    required,
    unknown_object,
)
from crm.simulator.faults import Fault
from crm.simulator.media import LARGEST
from crm.simulator.templates import Templates

if TYPE_CHECKING:
    from crm.simulator.simulator import Simulator

PATH = re.compile(r"^(?:/v\d+\.\d+)?/(\d{1,32})(?:/([a-z_]+))?/?$")
# The resumable upload of example files: a session, then its bytes.
UPLOADS = re.compile(r"^(?:/v\d+\.\d+)?/(app/uploads|upload:[\w-]+)/?$")
ATTACHMENTS = "/whatsapp_business/attachments/"
LARGEST_CALL = 1024 * 1024
REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    413: "Payload Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
# Shaped like a page of a load balancer: no JSON, so nobody can tell what became of the call.
BARE_PAGE = b"<!DOCTYPE html><title>Error</title><h1>Sorry, something went wrong.</h1>"

Environ = dict[str, Any]
Answer = tuple[int, str, bytes]


class Cut(ConnectionResetError):
    """Close the connection without an answer; the server swallows exactly this error number."""

    def __init__(self) -> None:
        super().__init__(104, "cut on purpose")


class Graph:
    """Answers what graph.facebook.com and its media host would."""

    def __init__(self, simulator: "Simulator") -> None:
        self._sim = simulator
        self._templates = Templates(simulator)
        self._templates.resume()

    @property
    def templates(self) -> Templates:
        return self._templates

    @staticmethod
    def owns(path: str) -> bool:
        """Whether a path is Meta's rather than the phone page's."""
        return path == ATTACHMENTS or path.startswith("/v") or PATH.match(path) is not None

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        started = time.monotonic()
        call: dict[str, Any] = {"kind": "call", "at": time.time(), "fault": None}
        try:
            status, mime_type, content = self._answer(environ, call)
        except GraphError as error:
            status, mime_type = error.status, "application/json; charset=UTF-8"
            content = json.dumps(error.body, ensure_ascii=False).encode()
        except Cut:
            call.update(status=0, answer=b"")
            self._note(environ, call, started)
            raise
        if environ["PATH_INFO"] != ATTACHMENTS:
            call.update(status=status, answer=content)
            self._note(environ, call, started)
        start_response(
            f"{status} {REASONS.get(status, 'Error')}",
            [("Content-Type", mime_type), ("Content-Length", str(len(content)))],
        )
        return [content]

    def _note(self, environ: Environ, call: dict[str, Any], started: float) -> None:
        call["method"], call["path"] = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        call["milliseconds"] = round((time.monotonic() - started) * 1000, 1)
        self._sim.bus.note_call(call)

    def _answer(self, environ: Environ, call: dict[str, Any]) -> Answer:
        path = environ["PATH_INFO"]
        if path == ATTACHMENTS:
            return self._download(environ)
        if tokens.PATH.match(path):
            return _json(tokens.inspect(self._sim, environ))
        if upload := UPLOADS.match(path):
            return _json(self._upload(upload.group(1), environ))
        match = PATH.match(path)
        if match is None:
            raise GraphError(
                400,
                {
                    "message": f"Unknown path components: {path}",
                    "type": "OAuthException",
                    "code": 2500,
                },
            )
        object_id, edge = match.group(1), match.group(2) or ""
        self._check_token(environ)
        tokens.check_proof(self._sim, _query(environ))
        method = environ["REQUEST_METHOD"]
        call["number_id"] = object_id
        if (method, edge) == ("POST", "messages"):
            return self._messages(object_id, environ, call)
        fault = self._sim.faults.take("before", object_id)
        if fault is not None:
            call["fault"] = fault.kind
            answer = self._fault_before(fault)
            if answer is not None:
                return answer
        handler = getattr(self, f"_{method.lower()}_{edge or 'object'}", None)
        if handler is None:
            raise unknown_object(object_id, verb=method.lower())
        return _json(handler(object_id, environ))

    def _check_token(self, environ: Environ) -> None:
        given = environ.get("HTTP_AUTHORIZATION", "")
        if given.startswith(("Bearer ", "OAuth ")):
            given = given.partition(" ")[2].strip()
        else:
            given = _query(environ).get("access_token", "")
        if given != self._sim.settings.token:
            raise bad_token()

    # -- messages, with everything that can go wrong ---------------------------------------------

    def _messages(self, number_id: str, environ: Environ, call: dict[str, Any]) -> Answer:
        raw = _read(environ, LARGEST_CALL)
        call["request"] = raw
        to = ""
        body: Any = None
        try:
            body = json.loads(raw)
            to = "".join(filter(str.isdigit, str(body.get("to") or "")))
        except (ValueError, AttributeError, RecursionError):
            pass  # refused below, after the faults: a dead server does not look at the body
        fault = self._sim.faults.take("before", number_id, to)
        if fault is not None:
            call["fault"] = fault.kind
            answer = self._fault_before(fault)
            if answer is not None:
                return answer
        if body is None:
            raise invalid_parameter("The request body is not valid JSON.")
        body = checks.check_envelope(body)
        if checks.is_receipt(body):
            return _json(self._sim.mark_read(number_id, body))
        answer_row, wamid, wa_id = self._sim.send(number_id, body, raw)
        call["wamid"] = wamid
        fault = self._sim.faults.take("answer", number_id, wa_id)
        if fault is not None:
            call["fault"] = fault.kind
            return self._fault_after(fault, answer_row)
        return _json(answer_row)

    def _fault_before(self, fault: Fault) -> Answer | None:
        kind = fault.kind
        if kind == "slow":
            gevent.sleep(fault.seconds)
            return None
        if kind == "timeout":
            gevent.sleep(fault.seconds)
            raise Cut
        if kind == "cut_before":
            raise Cut
        if kind == "unavailable":
            return 503, "text/html; charset=utf-8", BARE_PAGE
        if kind == "token_expired":
            raise bad_token(expired=True)
        if kind == "server_error":
            raise known_error(fault.code or 131000)
        raise known_error(fault.code or 131000)

    def _fault_after(self, fault: Fault, answer: dict[str, Any]) -> Answer:
        if fault.kind == "cut_reply":
            raise Cut
        if fault.kind == "error_after_accept":
            return 500, "text/html; charset=utf-8", BARE_PAGE
        if fault.kind == "malformed_reply":
            return 200, "application/json; charset=UTF-8", json.dumps(answer).encode()[:-17]
        gevent.sleep(fault.seconds)
        return _json(answer)

    # -- media ----------------------------------------------------------------------------------

    def _post_media(self, number_id: str, environ: Environ) -> Any:
        if number_id not in self._sim.world.numbers:
            raise unknown_object(number_id, verb="post")
        if int(environ.get("CONTENT_LENGTH") or 0) > LARGEST + LARGEST_CALL:
            raise known_error(131053, details="File is too big.")
        request = Request(environ)
        try:
            form, file = request.form, request.files.get("file")
        except HTTPException as error:
            raise invalid_parameter(f"The form could not be read: {error}") from None
        if form.get("messaging_product") != "whatsapp":
            raise required("messaging_product")
        if file is None:
            raise required("file")
        mime_type = form.get("type") or file.content_type or ""
        row = self._sim.media.upload(
            file.stream.read(), mime_type, filename=(file.filename or "")[:240]
        )
        return {"id": row["id"]}

    def _download(self, environ: Environ) -> Answer:
        self._check_token(environ)
        if not environ.get("HTTP_USER_AGENT"):
            return 403, "text/html; charset=utf-8", BARE_PAGE
        query = _query(environ)
        path, mime_type = self._sim.media.download(query.get("mid", ""), query.get("hash", ""))
        return 200, mime_type, path.read_bytes()

    def _delete_object(self, object_id: str, environ: Environ) -> Any:
        self._sim.media.delete(object_id)
        return {"success": True}

    def _upload(self, place: str, environ: Environ) -> dict[str, str]:
        """POST /app/uploads opens a session, POST /upload:... takes the bytes: a handle."""
        self._check_token(environ)
        if environ["REQUEST_METHOD"] != "POST":
            raise unknown_object(place, verb="get")
        if place == "app/uploads":
            query = _query(environ)
            for name in ("file_length", "file_type"):
                if not query.get(name):
                    raise required(name)
            kind = base64.urlsafe_b64encode(query["file_type"].encode()).decode().rstrip("=")
            return {"id": f"upload:{kind}-{query['file_length']}"}
        kind, _dash, length = place.removeprefix("upload:").rpartition("-")
        content = _read(environ, LARGEST)
        # Meta wants `file_offset: 0` too, a name that gevent's server keeps from us.
        if str(len(content)) != length:
            raise invalid_parameter("The file is not as long as its session said.")
        return {"h": f"4::{kind}:{hashlib.sha256(content).hexdigest()[:32]}"}

    # -- numbers and accounts -------------------------------------------------------------------

    def _get_object(self, object_id: str, environ: Environ) -> Any:
        world, query = self._sim.world, _query(environ)
        if object_id in world.numbers:
            return _fields(_number_row(world.numbers[object_id]), query)
        if object_id in world.templates:
            return self._templates.show(object_id, query)
        if object_id in self._wabas():
            return _fields(
                {
                    "id": object_id,
                    "name": "Charla",
                    "currency": "USD",
                    "timezone_id": "1",
                    "account_review_status": "APPROVED",
                    "business_verification_status": "verified",
                    "whatsapp_business_manager_messaging_limit": "TIER_2K",
                },
                query,
            )
        return self._sim.media.describe(object_id)

    def _post_object(self, object_id: str, environ: Environ) -> Any:
        if object_id not in self._sim.world.templates:
            raise unknown_object(object_id, verb="post")
        return self._templates.edit(object_id, _body(environ))

    def _get_phone_numbers(self, waba_id: str, environ: Environ) -> Any:
        self._known_waba(waba_id, "get")
        rows = [row for row in self._sim.world.numbers.values() if row["waba_id"] == waba_id]
        return {"data": [_fields(_number_row(row), _query(environ)) for row in rows]}

    def _get_message_templates(self, waba_id: str, environ: Environ) -> Any:
        self._known_waba(waba_id, "get")
        return self._templates.find_all(waba_id, _query(environ))

    def _post_message_templates(self, waba_id: str, environ: Environ) -> Any:
        self._known_waba(waba_id, "post")
        return self._templates.create(waba_id, _body(environ))

    def _delete_message_templates(self, waba_id: str, environ: Environ) -> Any:
        self._known_waba(waba_id, "delete")
        return self._templates.delete(waba_id, _query(environ))

    def _get_subscribed_apps(self, waba_id: str, environ: Environ) -> Any:
        self._known_waba(waba_id, "get")
        if waba_id in self._sim.world.unsubscribed:
            return {"data": []}
        app = {"id": tokens.APP_ID, "name": "Charla", "link": "https://www.facebook.com/games/"}
        return {"data": [{"whatsapp_business_api_data": app}]}

    def _post_subscribed_apps(self, waba_id: str, environ: Environ) -> Any:
        self._known_waba(waba_id, "post")
        if b"override_callback_uri" in _read(environ, LARGEST_CALL):
            raise invalid_parameter("override_callback_uri is not part of this simulation.")
        self._sim.world.record({"e": "subscribed", "waba_id": waba_id, "on": True})
        return {"success": True}

    def _delete_subscribed_apps(self, waba_id: str, environ: Environ) -> Any:
        self._known_waba(waba_id, "delete")
        self._sim.world.record({"e": "subscribed", "waba_id": waba_id, "on": False})
        return {"success": True}

    def _wabas(self) -> set[str]:
        return {row["waba_id"] for row in self._sim.world.numbers.values()}

    def _known_waba(self, waba_id: str, verb: str) -> None:
        if waba_id not in self._wabas():
            raise unknown_object(waba_id, verb=verb)


def _json(row: Any) -> Answer:
    return 200, "application/json; charset=UTF-8", json.dumps(row, ensure_ascii=False).encode()


def _query(environ: Environ) -> dict[str, str]:
    return dict(parse_qsl(environ.get("QUERY_STRING") or ""))


def _read(environ: Environ, largest: int) -> bytes:
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > largest:
        raise GraphError(
            413, {"message": "Payload is too large", "type": "OAuthException", "code": 100}
        )
    content: bytes = environ["wsgi.input"].read(int(length))
    return content


def _body(environ: Environ) -> dict[str, Any]:
    try:
        body = json.loads(_read(environ, LARGEST_CALL))
    except (ValueError, RecursionError):
        raise invalid_parameter("The request body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise invalid_parameter("The request body must be a JSON object.")
    return body


def _number_row(number: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": number["id"],
        "verified_name": number["verified_name"],
        "display_phone_number": number["display_phone_number"],
        "code_verification_status": "VERIFIED",
        "quality_rating": number.get("quality_rating", "GREEN"),
        "platform_type": "CLOUD_API",
        "throughput": {"level": "STANDARD"},
        "name_status": "APPROVED",
        "status": "CONNECTED",
        "account_mode": "LIVE",
        "messaging_limit_tier": "TIER_2K",
        "whatsapp_business_manager_messaging_limit": "TIER_2K",
    }


def _fields(row: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
    wanted = [name.strip() for name in query.get("fields", "").split(",") if name.strip()]
    if not wanted:
        wanted = [
            "id",
            "verified_name",
            "display_phone_number",
            "code_verification_status",
            "quality_rating",
            "platform_type",
            "throughput",
            "name",
            "currency",
            "timezone_id",
        ]
    return {"id": row["id"], **{name: row[name] for name in wanted if name in row}}
