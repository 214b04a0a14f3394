"""The simulated WPPConnect server answers and posts in the shapes of the real one.

The recorded calls and the swagger lie beside the project; where they are missing this fails.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import requests

from tests.providers.deliveries import COLLECTED
from tests.providers.test_wppconnect_client import RECORDED, recorded
from tests.simulator.conftest import ANA
from tests.simulator.server import WPP_NUMBER, Row, SimulatorServer

SESSION = "mostrador"
SWAGGER = COLLECTED.parent / "spec" / "wppconnect-server-2.10.4-swagger.json"
PHOTO = "data:image/png;base64,iVBORw0KGgo="


class Heard:
    """What was posted to the webhook, by event."""

    def __init__(self) -> None:
        self.bodies: list[Row] = []
        heard = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                heard.bodies.append(json.loads(raw))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhooks/wppconnect/x"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, event: str, **fields: Any) -> Row:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for body in self.bodies:
                if body["event"] == event and all(body.get(k) == v for k, v in fields.items()):
                    return body
            time.sleep(0.02)
        raise AssertionError(f"no {event} {fields}: {[body['event'] for body in self.bodies]}")


class Server:
    """Calls with the session's token."""

    def __init__(self, sim: SimulatorServer, session: str = SESSION) -> None:
        self.base = f"{sim.url}/api/{session}"
        answer = requests.post(f"{self.base}/{sim.token}/generate-token", timeout=10)
        assert answer.status_code == 201
        self.token = answer.json()["token"]

    def call(self, method: str, path: str, body: Row | None = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return requests.request(
            method, f"{self.base}/{path}", json=body, headers=headers, timeout=30
        )

    def start(self, webhook: str) -> None:
        self.call("POST", "start-session", {"webhook": webhook, "waitQrCode": False})
        deadline = time.monotonic() + 30
        while self.state() != "CONNECTED":
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def state(self) -> str:
        return self.call("GET", "status-session").json()["status"]


@pytest.fixture
def heard() -> Iterator[Heard]:
    found = Heard()
    yield found
    found.server.shutdown()


@pytest.fixture
def server(sim: SimulatorServer, heard: Heard) -> Server:
    found = Server(sim)
    found.start(heard.url)
    sim.add_customer(ANA, "Ana")
    return found


def assert_same_shape(ours: Any, theirs: Any, *, where: str) -> None:
    """Everything that the real one gave is there, of the same type."""
    if isinstance(theirs, dict):
        assert isinstance(ours, dict), where
        missing = theirs.keys() - ours.keys()
        assert not missing, f"{where}: {missing}"
        for key, item in theirs.items():
            if item is not None and item != {}:
                assert_same_shape(ours[key], item, where=f"{where}.{key}")
    elif isinstance(theirs, list):
        assert isinstance(ours, list), where
        assert bool(ours) == bool(theirs), where
        for one, other in zip(ours, theirs, strict=False):
            assert_same_shape(one, other, where=f"{where}[]")
    else:
        assert type(ours) is type(theirs), f"{where}: {ours!r} for {theirs!r}"


def text(**more: Any) -> Row:
    return {"phone": ANA, "message": "hola", **more}


CALLS: list[tuple[str, str, Row | None, int]] = [
    # method, path, body, which of the recorded answers of this path
    ("POST", "send-message", text(), 0),
    ("POST", "send-message", text(phone="550000000000"), 3),
    ("POST", "send-message", {"message": "a nadie"}, 8),
    ("POST", "send-reply", text(messageId=f"false_{ANA}@c.us_3A01"), 0),
    ("POST", "send-file-base64", {"phone": ANA, "base64": PHOTO, "filename": "a.pdf"}, 0),
    ("POST", "send-image", {"phone": ANA, "base64": PHOTO, "filename": "a.png"}, 0),
    ("POST", "send-voice-base64", {"phone": ANA, "base64Ptt": PHOTO}, 0),
    ("POST", "send-location", {"phone": ANA, "lat": "4.5", "lng": "-74"}, 0),
    ("POST", "contact-vcard", {"phone": ANA, "contactsId": [f"{ANA}@c.us"], "name": "Ana"}, 0),
    ("POST", "send-seen", {"phone": ANA}, 0),
    ("POST", "typing", {"phone": ANA, "value": True}, 0),
    ("GET", "status-session", None, 0),
    ("GET", "check-connection-session", None, 0),
]


@pytest.mark.parametrize(("method", "path", "body", "place"), CALLS)
def test_it_answers_like_the_recorded_server(
    server: Server, method: str, path: str, body: Row | None, place: int
) -> None:
    status, theirs = recorded(path)[place]
    answer = server.call(method, path, body)
    assert answer.status_code == status
    assert_same_shape(answer.json(), theirs, where=path)


def test_it_has_the_paths_of_the_swagger() -> None:
    paths = json.loads(SWAGGER.read_text("utf-8"))["paths"]
    for method, path, _, _ in CALLS:
        assert method.lower() in paths[f"/api/{{session}}/{path}"]


def test_a_disconnected_session_and_a_wrong_token_are_refused_as_there(
    sim: SimulatorServer, server: Server
) -> None:
    server.call("POST", "close-session", {})
    assert_same_shape(
        server.call("GET", "status-session").json(),
        recorded("status-session")[1][1],
        where="closed",
    )
    answer = server.call("POST", "send-message", text())
    assert (answer.status_code, answer.json()["status"]) == (404, "Disconnected")
    server.token = "wrong"
    assert server.call("GET", "status-session").status_code == 401
    wrong = requests.post(f"{server.base}/another-key/generate-token", timeout=10)
    assert wrong.status_code == 400


def collected(name: str) -> Row:
    found = next(COLLECTED.glob(f"wppconnect-{name}*.json"))
    return json.loads(found.read_bytes())


@pytest.mark.parametrize(
    ("sample", "kind", "file"),
    [
        ("", "chat", "message-chat-recorded-message-chat-1"),
        ("photo", "image", "message-image"),
        ("voice", "ptt", "message-ptt-recorded"),
        ("sticker", "sticker", "message-sticker"),
        ("location", "location", "message-location-recorded"),
        ("unsupported", "poll_creation", "message-poll-creation"),
    ],
)
def test_it_posts_messages_like_the_recorded_server(
    sim: SimulatorServer, server: Server, heard: Heard, sample: str, kind: str, file: str
) -> None:
    content = {"sample": sample} if sample else {"text": "hola"}
    sim.say(wa_id=ANA, number_id=WPP_NUMBER, **content)
    ours = heard.wait("onmessage", type=kind)
    needed = {
        "id", "body", "type", "t", "notifyName", "from", "to", "ack", "chatId", "fromMe", "sender",
        "timestamp", "isGroupMsg", "mediaData", "mimetype", "size", "filehash", "lat", "lng",
        "pollName", "pollOptions", "isForwarded",
    }  # fmt: skip
    theirs = {key: value for key, value in collected(file).items() if key in needed}
    theirs["sender"] = {"id": "", "pushname": "", "isMe": False}
    assert_same_shape(ours, theirs, where=kind)


def test_it_posts_acks_reactions_and_own_sends_like_the_recorded_server(
    sim: SimulatorServer, server: Server, heard: Heard
) -> None:
    server.call("POST", "send-message", text())
    ack = heard.wait("onack", ack=2)
    assert_same_shape(ack["id"], collected("ack-2-recorded")["id"], where="ack.id")
    echo = heard.wait("onselfmessage")
    assert echo["fromMe"] is True
    said = {"message_id": echo["id"], "emoji": "👍"}
    sim.say(wa_id=ANA, number_id=WPP_NUMBER, kind="reaction", content=said)
    assert_same_shape(
        heard.wait("onreactionmessage"), collected("event-onreactionmessage"), where="reaction"
    )


def test_what_was_recorded_is_there_to_compare_with() -> None:
    assert RECORDED.exists()
    assert SWAGGER.exists()
