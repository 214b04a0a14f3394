"""A line behind the simulated WPPConnect server, and an application that hears its posts.

with listening(app) as url: ...           # a real HTTP server of the application under test
line = Line(app, whatsapp, url)
line.connect(); line.scan()
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from sqlalchemy import select, text, update
from werkzeug.serving import make_server

from crm.db import atomic, db
from crm.jobs import messages as delivery_job
from crm.jobs import wppconnect as job
from crm.lib.crypto import encrypt
from crm.models import (
    Chat,
    Message,
    NumberEvent,
    NumberStatus,
    Provider,
    WhatsappNumber,
    WppconnectSession,
)
from crm.providers.outbound import Text
from crm.services.messages.outbound import queue_outbound
from crm.services.messages.receipts import apply_early_receipts
from crm.services.wppconnect import orders
from tests.factories import make_campaign, make_number
from tests.simulator.server import Row, SimulatorServer

ANA = "573001112233"
PATIENCE = 40.0


@contextmanager
def listening(app: Flask, **settings: Any) -> Iterator[str]:
    """The application behind a port of its own, with short times; yields its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    before = app.config["CRM"]
    app.config["CRM"] = dataclasses.replace(
        before,
        webhook_url=f"http://127.0.0.1:{server.port}",
        trusted_hosts=("127.0.0.1",),
        lease_seconds=5,
        uncertain_hold_seconds=0.5,
        retry_base_seconds=0.05,
        provider_seconds=2,
        **settings,
    )
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        app.config["CRM"] = before
        server.shutdown()
        thread.join()


class Line:
    """One WPPConnect number of ours and its session at the simulated server."""

    def __init__(self, app: Flask, whatsapp: SimulatorServer, name: str = "prueba") -> None:
        self.app, self.whatsapp, self.name = app, whatsapp, name
        keys = app.config["CRM"].encryption_keys
        number = make_number(
            campaign=make_campaign(),
            provider=Provider.WPPCONNECT,
            meta_phone_number_id=None,
            meta_access_token=None,
            wppconnect_server_url=whatsapp.url,
            wppconnect_session_name=name,
            wppconnect_api_key=encrypt(whatsapp.token, keys),
            status=NumberStatus.PENDING,
            rate_limit_per_minute=60_000,
        )
        db.session.commit()
        self.id = number.id
        self.keys = keys

    # -- the session -------------------------------------------------------------------------------

    @property
    def session(self) -> WppconnectSession:
        db.session.rollback()
        return db.session.get_one(WppconnectSession, self.id, populate_existing=True)

    @property
    def number(self) -> WhatsappNumber:
        db.session.rollback()
        return db.session.get_one(WhatsappNumber, self.id, populate_existing=True)

    def connect(self) -> None:
        with atomic():
            number = db.session.get_one(WhatsappNumber, self.id)
            orders.connect(number, keys=self.keys)

    def check(self) -> str:
        """Look at the session now; its state afterwards."""
        self.set_session(check_at=text("clock_timestamp()"))
        job.check(self.id)
        return self.session.state.value

    def until(self, state: str) -> None:
        """Look again and again until the session stands so."""
        self.wait(lambda: self.check() == state, f"the session is never {state}")

    def set_session(self, **values: Any) -> None:
        with atomic():
            mine = WppconnectSession.whatsapp_number_id == self.id
            db.session.execute(update(WppconnectSession).where(mine).values(**values))

    @property
    def line_id(self) -> str:
        """The number's id in the simulator, which made it when the session first started."""
        rows = self.whatsapp.state()["numbers"]
        return next(row["id"] for row in rows if row.get("session") == self.name)

    def order(self, what: str, **body: Any) -> Row:
        return self.whatsapp.control("POST", f"wppconnect/{self.line_id}/{what}", body)

    def link(self) -> None:
        """Connect and scan, to the end."""
        self.connect()
        self.until("qr")
        self.order("scan")
        self.until("connected")

    def start_talking(self) -> None:
        """Linked, a customer has written, and the server's own echoes of our sends are off.

        They would settle every doubt before anybody looks.
        """
        self.link()
        self.say("Hola")
        self.wait(lambda: self.texts() == ["Hola"])
        self.whatsapp.settings(wpp_echoes=False)

    def events(self) -> list[str]:
        db.session.rollback()
        mine = NumberEvent.whatsapp_number_id == self.id
        return list(db.session.scalars(select(NumberEvent.kind).where(mine).order_by("id")))

    # -- messages ----------------------------------------------------------------------------------

    def say(self, words: str = "", *, wa_id: str = ANA, **content: Any) -> Row:
        if words:
            content["text"] = words
        return self.whatsapp.say(wa_id=wa_id, number_id=self.line_id, name="Ana", **content)

    def messages(self) -> list[Message]:
        db.session.rollback()
        mine = Message.whatsapp_number_id == self.id
        return list(db.session.scalars(select(Message).where(mine).order_by("position", "id")))

    def texts(self) -> list[str | None]:
        return [message.content for message in self.messages()]

    def chat(self) -> Chat:
        return db.session.scalars(select(Chat).where(Chat.whatsapp_number_id == self.id)).one()

    def answer(self, words: str) -> int:
        """Queue an answer in the line's chat; its message id."""
        with atomic():
            chat = self.chat()
            chat_message = queue_outbound(chat, Text(words))
        return chat_message.id

    def deliver(self) -> None:
        delivery_job.deliver(self.id)

    def catch_up(self) -> None:
        self.set_session(gaps_due_at=text("clock_timestamp()"))
        job.catch_up(self.id)

    def reconcile(self) -> None:
        self.set_session(reconcile_at=text("clock_timestamp()"))
        job.reconcile(self.id)

    def status_of(self, message_id: int) -> str:
        # An ack of the same instant in which the send was noted is matched by the next round.
        db.session.rollback()
        with atomic():
            apply_early_receipts()
        message = db.session.get_one(Message, message_id, populate_existing=True)
        return message.status.value

    @staticmethod
    def wait(condition: Callable[[], bool], words: str = "it never came true") -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, words
            time.sleep(0.05)
