"""The door for WPPConnect servers: the secret, bodies of any size, each twice, in any order."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import os
import random
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, text

from crm.db import atomic, db
from crm.lib.crypto import decrypt, encrypt
from crm.models import (
    Alarm,
    AlarmKind,
    Message,
    NumberStatus,
    Provider,
    SessionState,
    WebhookEvent,
    WhatsappNumber,
)
from crm.providers.base import InboundMessage
from crm.providers.wppconnect.webhook import parse
from crm.services import numbers
from crm.services.alarms import raise_alarm
from crm.services.messages.replay import replay
from crm.services.wppconnect import sessions
from tests.blueprints.admin_desk import FRAGMENT, browser_of
from tests.conftest import empty_database
from tests.factories import (
    make_campaign,
    make_chat,
    make_client,
    make_number,
    make_queued_message,
    make_user,
)
from tests.providers.test_wppconnect_payloads import ROWS, collected

SECRET = "a-secret-of-this-test"
C = "573001112233@c.us"


@pytest.fixture
def number(app: Flask) -> WhatsappNumber:
    return make_line(app)


def make_line(app: Flask) -> WhatsappNumber:
    """A connected number whose server posts to SECRET."""
    number = make_number(
        campaign=make_campaign(),
        provider=Provider.WPPCONNECT,
        meta_phone_number_id=None,
        wppconnect_server_url="http://127.0.0.1:9",
        wppconnect_session_name="mostrador",
    )
    session = sessions.ensure_session(number, keys=app.config["CRM"].encryption_keys)
    session.webhook_secret_hash = sessions.hash_secret(SECRET)
    session.state, session.is_wanted = SessionState.CONNECTED, True
    db.session.commit()
    return number


def post(app: Flask, body: Any, secret: str = SECRET) -> int:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    client = app.test_client()
    headers = {"Content-Type": "application/json"}
    return client.post(f"/webhooks/wppconnect/{secret}", data=raw, headers=headers).status_code


def messages() -> list[Message]:
    db.session.rollback()
    return list(db.session.scalars(select(Message).order_by(Message.id)))


def arrivals(app: Flask) -> list[Path]:
    folder = app.config["CRM"].arrivals_dir
    return sorted(folder.glob("*")) if folder.exists() else []


@pytest.fixture(autouse=True)
def empty_arrivals(app: Flask) -> Iterator[None]:
    yield
    for path in arrivals(app):
        path.unlink()


def message(name: str, type_: str = "chat", **fields: Any) -> dict[str, Any]:
    return {
        "event": "onmessage", "session": "mostrador", "id": f"false_{C}_{name}", "type": type_,
        "t": 1795392000, "from": C, "to": "576015550103@c.us", "fromMe": False,
        "sender": {"id": C, "pushname": "Ana María"}, **fields,
    }  # fmt: skip


BODIES = [(row["name"], row["body"]) for row in ROWS] + [
    (file.stem, json.loads(file.read_bytes())) for file in collected()
]


def test_every_body_may_come_twice_and_is_stored_once(app: Flask, number: WhatsappNumber) -> None:
    """All of them through the whole way in, each twice, none refused by the database."""
    wanted: set[str] = set()
    for name, body in BODIES:
        assert (post(app, body), post(app, body)) == (200, 200), name
        wanted |= {
            event.whatsapp_message_id
            for event in parse(body, number_id=number.id)
            if isinstance(event, InboundMessage)
        }
    stored = [m.whatsapp_message_id for m in messages() if m.direction == "inbound"]
    assert len(stored) == len(set(stored))
    assert set(stored) >= wanted
    rows = db.session.scalars(select(WebhookEvent)).all()
    assert len(rows) == 2 * len(BODIES)
    reasons = {problem["reason"] for row in rows for problem in row.problems or []}
    assert reasons <= {"onmessage_unreadable", "onack_unreadable", "message_unreadable"}


def test_the_secret_alone_opens_and_each_number_has_its_own(
    app: Flask, number: WhatsappNumber
) -> None:
    for wrong in ("x", SECRET + "x", SECRET[:-1], "%00", "a" * 4000):
        assert post(app, message("3A1", body="x"), wrong) == 404
    assert messages() == []
    number.deleted_at = text("now()")  # type: ignore[assignment]
    db.session.commit()
    assert post(app, message("3A1", body="x")) == 404


def test_what_is_no_json_is_refused_and_leaves_nothing(app: Flask, number: WhatsappNumber) -> None:
    for raw in (b"", b"{", b"\xff\xfe", b'{"a":NaN}', b"[" * 500, b'{"body":"' + b"A" * 9000):
        assert post(app, raw) == 400
    assert arrivals(app) == []
    assert db.session.scalars(select(WebhookEvent)).all() == []


def test_a_file_is_cut_out_and_the_ledger_keeps_the_rest(
    app: Flask, number: WhatsappNumber
) -> None:
    content = os.urandom(50_000)
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    data = base64.b64encode(content).decode()
    body = message("3AFILE", "image", body=data, mimetype="image/jpeg", size=50_000,
                   filehash=digest, caption="La factura")  # fmt: skip
    assert post(app, body) == 200
    (stored,) = messages()
    media = stored.meta["media"]
    (path,) = arrivals(app)
    assert (media["spool"], media["sha256"]) == (path.name, digest)
    assert path.read_bytes() == content
    ledger = db.session.scalars(select(WebhookEvent)).one()
    assert len(ledger.body) < 1500


def test_an_ack_of_media_brings_the_file_again_and_it_is_dropped(
    app: Flask, number: WhatsappNumber
) -> None:
    key = {"fromMe": True, "remote": C, "id": "3EB0X", "_serialized": f"true_{C}_3EB0X"}
    body = {"event": "onack", "session": "s", "id": key, "type": "image", "ack": 2,
            "body": base64.b64encode(os.urandom(9000)).decode()}  # fmt: skip
    assert post(app, body) == 200
    assert arrivals(app) == []
    assert len(db.session.scalars(select(WebhookEvent)).one().body) < 500


def test_a_long_word_of_letters_only_is_a_text(app: Flask, number: WhatsappNumber) -> None:
    assert post(app, message("3ALONG", body="ja" * 2000, content="ja" * 2000)) == 200
    assert messages()[0].content == "ja" * 2000
    assert arrivals(app) == []


def test_a_hundred_and_fifty_megabytes_pass_without_filling_the_memory(
    app: Flask, number: WhatsappNumber
) -> None:
    part = base64.b64encode(os.urandom(48 * 1024))
    head = json.dumps(message("3AHUGE", "document", mimetype="application/pdf", size=1))[:-1]

    class Slow:
        """A body that exists only as it is read, as from a socket."""

        def __init__(self) -> None:
            self.parts = itertools.chain(
                [head.encode(), b',"body":"'], itertools.repeat(part, 2390), [b'"}']
            )
            self.left = b""

        def read(self, size: int = -1) -> bytes:
            while len(self.left) < size and (more := next(self.parts, b"")):
                self.left += more
            taken, self.left = self.left[:size], self.left[size:]
            return taken

    length = len(head) + len(b',"body":""}') + 2390 * len(part)
    tracemalloc.start()
    answer = app.test_client().post(
        f"/webhooks/wppconnect/{SECRET}",
        environ_overrides={"wsgi.input": Slow(), "CONTENT_LENGTH": str(length)},
    )
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer.status_code == 200
    assert 149 < length / 1024**2 < 150
    assert most < 12_000_000
    # Its size is another than the message names: a preview, it seems, and so not kept.
    assert arrivals(app) == []
    assert "spool" not in messages()[0].meta["media"]


def test_a_body_that_is_too_large_is_refused_and_leaves_nothing(
    app: Flask, number: WhatsappNumber, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(environ: dict[str, Any]) -> int:
        address = f"/webhooks/wppconnect/{SECRET}"
        return app.test_client().post(address, data=b"{}", environ_overrides=environ).status_code

    # Told beforehand: nothing is read.
    assert send({"CONTENT_LENGTH": str(151 * 1024 * 1024)}) == 413
    # Not told, in chunks: what was written to the disk by then is gone.
    monkeypatch.setattr("crm.blueprints.wppconnect.MOST_BYTES", 300_000)
    body = json.dumps(message("3ABIG", "document", body="A" * 400_000)).encode()
    chunks = {"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    assert send(chunks) == 413
    assert arrivals(app) == []
    assert db.session.scalars(select(WebhookEvent)).all() == []


def test_a_stored_body_may_be_processed_again(app: Flask, number: WhatsappNumber) -> None:
    post(app, message("3A1", body="Hola"))
    post(app, message("3A2", "image", body=base64.b64encode(os.urandom(400)).decode()))
    with atomic():
        for row in db.session.scalars(select(WebhookEvent)).all():
            assert replay(row.id) == "processed"
    assert len(messages()) == 2


def story(number_id: int) -> list[dict[str, Any]]:
    """One chat's events: words, a reaction, a deletion, and our answer's ticks."""
    key = {"fromMe": True, "remote": C, "id": "3EB0ANS", "_serialized": f"true_{C}_3EB0ANS"}
    first = {"fromMe": False, "remote": C, "id": "3A1", "_serialized": f"false_{C}_3A1"}
    acks = [{"event": "onack", "session": "s", "id": key, "ack": n, "t": 1} for n in (1, 2, 3)]
    lid = "246100000000001@lid"
    by_lid = {**key, "remote": lid, "_serialized": f"true_{lid}_3EB0ANS"}
    return [
        message("3A1", body="Hola", t=1795392000),
        message("3A2", body="¿Están?", t=1795392005),
        message("3A3", "image", body=None, mimetype="image/png", t=1795392009),
        {"event": "onreactionmessage", "session": "s", "timestamp": 1795392020,
         "reactionText": "👍",
         "id": {**first, "id": "3AR", "_serialized": f"false_{C}_3AR"}, "msgId": key},
        {"event": "onrevokedmessage", "session": "s", "author": C, "from": C, "to": "x@c.us",
         "id": f"false_{C}_3AREV", "refId": f"false_{C}_3A2"},
        *acks,
        {"event": "onack", "session": "s", "id": by_lid, "ack": 2, "t": 1},
    ]  # fmt: skip


STATE = text("""
    SELECT whatsapp_message_id, message_type, content, status, deleted_at IS NOT NULL AS deleted,
           metadata->'reactions' AS reactions
    FROM messages ORDER BY whatsapp_message_id
""")
CHAT = text("SELECT status, message_count, unread_count FROM chats")


def state_after(app: Flask, order: list[int]) -> list[Any]:
    """What the database says when the story came in this order."""
    empty_database()
    number = make_line(app)
    client = make_client(phone_number="+573001112233")
    campaign = number.campaign_links[0].campaign
    chat = make_chat(number=number, client=client, campaign=campaign)
    make_queued_message(
        chat, content="Sí, dígame", whatsapp_message_id=f"{number.id}:3EB0ANS", status="sent",
        queue={"status": "completed"},
    )  # fmt: skip
    db.session.commit()
    events = story(number.id)
    for place in order:
        assert post(app, events[place]) == 200
    db.session.rollback()
    rows = [
        (row.whatsapp_message_id.partition(":")[2], *row[1:]) for row in db.session.execute(STATE)
    ]
    return [rows, [tuple(row) for row in db.session.execute(CHAT)]]


def test_any_order_and_repetition_ends_in_the_same_state(app: Flask) -> None:
    count = len(story(1))
    straight = state_after(app, list(range(count)))
    assert any(row[4] for row in straight[0])  # the second message is taken back
    dice = random.Random(20261125)
    for _ in range(6):
        order = [*range(count), *(dice.randrange(count) for _ in range(4))]
        dice.shuffle(order)
        assert state_after(app, order) == straight, order


# -- the page --------------------------------------------------------------------------------------


@contextmanager
def without_csrf(app: Flask) -> Iterator[None]:
    """Buttons without a page of theirs; the CSRF check has tests of its own."""
    app.config["WTF_CSRF_ENABLED"] = False
    try:
        yield
    finally:
        app.config["WTF_CSRF_ENABLED"] = True


@pytest.fixture
def admin(app: Flask) -> FlaskClient:
    return browser_of(app, make_user(role="super_admin"))


def session_page(client: FlaskClient, number_id: int, what: str = "") -> str:
    address = f"/settings/numbers/{number_id}/session{what}"
    call = client.post if what else client.get
    answer = call(address, headers=FRAGMENT)
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.parametrize(
    ("state", "words", "button"),
    [
        ("off", "Not connected", "Connect"),
        ("starting", "The server is starting its browser", "Disconnect"),
        ("expired", "Nobody scanned the code in a minute", "New code"),
        ("lost", "what customers write meanwhile is brought in afterwards", "Connect"),
        ("unreachable", "The WPPConnect server does not answer", "Connect"),
        ("odd_answer", "but not as a WPPConnect server does", "Connect"),
        ("refused", "does not accept the secret key", "Connect"),
        ("connected", "Connected", "Log out"),
    ],
)
def test_each_state_is_said_in_words_with_what_to_do(
    number: WhatsappNumber, admin: FlaskClient, state: str, words: str, button: str
) -> None:
    if state == "odd_answer":
        number.connection_status, state = "ODD_ANSWER", "unreachable"
    sessions.find_session(number.id).state = SessionState(state)  # type: ignore[union-attr]
    db.session.commit()
    shown = session_page(admin, number.id)
    assert words in shown
    assert button in shown


def test_the_code_is_shown_as_the_server_posts_it(
    app: Flask, number: WhatsappNumber, admin: FlaskClient
) -> None:
    sessions.find_session(number.id).state = SessionState.QR  # type: ignore[union-attr]
    db.session.commit()
    post(app, {"event": "qrcode", "session": "s", "qrcode": "iVBORw0KGgo=", "urlcode": "2@x"})
    assert 'src="data:image/png;base64,iVBORw0KGgo="' in session_page(admin, number.id)
    post(app, {"event": "qrcode", "session": "s", "qrcode": '"><script>alert(1)</script>'})
    assert "<script>" not in session_page(admin, number.id)


@pytest.mark.parametrize(("state", "status"), [("connected", "active"), ("qr", "pending")])
def test_a_phone_that_is_linked_already_is_proven_when_its_number_is_switched_on(
    number: WhatsappNumber, state: str, status: str
) -> None:
    with atomic():
        number.status = NumberStatus.INACTIVE
        sessions.find_session(number.id).state = SessionState(state)  # type: ignore[union-attr]
        values = {**numbers.state_of(number), "switched_on": True} | dict.fromkeys(numbers.SECRETS)
        numbers.update_number(number, values, keys=(), trusted_hosts=("127.0.0.1",))
    assert number.status == status


def test_how_many_were_recovered_stands_on_the_page(
    number: WhatsappNumber, admin: FlaskClient
) -> None:
    with atomic():
        sessions.note_recovered(number.id, 12)
    assert "12 messages recovered" in session_page(admin, number.id)


def test_an_agent_sees_nothing_of_it(app: Flask, number: WhatsappNumber) -> None:
    agent = browser_of(app, make_user(role="agent"))
    for what in ("connect", "close", "logout"):
        address = f"/settings/numbers/{number.id}/session/{what}"
        with without_csrf(app):
            assert agent.post(address, headers=FRAGMENT).status_code in {403, 404}


def test_a_server_that_is_gone_keeps_nobody_from_closing_but_cannot_unlink_the_phone(
    app: Flask, number: WhatsappNumber, admin: FlaskClient
) -> None:
    session = sessions.find_session(number.id)
    session.token = encrypt("t", app.config["CRM"].encryption_keys)  # type: ignore[union-attr]
    db.session.commit()
    path = f"/settings/numbers/{number.id}/session"
    with without_csrf(app):
        answer = admin.post(f"{path}/logout", headers=FRAGMENT)
        assert answer.status_code == 409
        assert "Unlink it on the phone" in answer.text
        db.session.rollback()
        assert sessions.find_session(number.id).is_wanted  # type: ignore[union-attr]
        assert "could not be told" in admin.post(f"{path}/close", headers=FRAGMENT).text
    db.session.expire_all()
    assert not sessions.find_session(number.id).is_wanted  # type: ignore[union-attr]


def test_a_number_that_is_deleted_or_moved_lets_its_session_and_its_alarms_go(
    app: Flask, number: WhatsappNumber
) -> None:
    for leave in ("delete", "move"):
        with atomic():
            row = db.session.get_one(WhatsappNumber, number.id)
            row.provider, row.deleted_at = Provider.WPPCONNECT, None
            session = sessions.lock_session(row.id)
            session.is_wanted, session.check_at = True, func.now()  # type: ignore[union-attr]
            raise_alarm(AlarmKind.SESSION_LOST, subject=str(row.id), number_id=row.id)
        assert number.id in sessions.find_due_checks()
        with atomic():
            if leave == "delete":
                numbers.delete_number(row)
            else:
                values = {**numbers.state_of(row), "provider": "meta", "switched_on": False}
                numbers.update_number(row, values | dict.fromkeys(numbers.SECRETS), keys=())
        assert sessions.find_session(number.id).state is SessionState.OFF  # type: ignore[union-attr]
        assert number.id not in sessions.find_due_checks()
        assert db.session.scalar(select(Alarm.id).where(Alarm.ended_at.is_(None))) is None


def test_secrets_of_the_session_are_encrypted_anew_with_the_numbers(
    app: Flask, number: WhatsappNumber
) -> None:
    old = app.config["CRM"].encryption_keys
    with atomic():
        sessions.keep_token(number.id, "a-token", keys=old)
    new = Fernet.generate_key().decode()
    with atomic():
        numbers.rotate_secrets((new, *old))
    session = sessions.find_session(number.id)
    assert decrypt(session.token or "", (new,)) == "a-token"  # type: ignore[union-attr]


def test_another_server_or_key_needs_another_token(app: Flask, number: WhatsappNumber) -> None:
    keys = app.config["CRM"].encryption_keys
    with atomic():
        sessions.keep_token(number.id, "a-token", keys=keys)
    values = {**numbers.state_of(number), "wppconnect_server_url": "https://wpp.example.com"}
    values |= dict.fromkeys(numbers.SECRETS)
    with atomic():
        numbers.update_number(db.session.get_one(WhatsappNumber, number.id), values, keys=keys)
    assert sessions.find_session(number.id).token is None  # type: ignore[union-attr]
