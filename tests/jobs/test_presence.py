"""Blue ticks and "typing..." at both providers: from the chat's owner, and from nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from flask import Flask

from crm.db import atomic, db
from crm.extensions import redis_client
from crm.jobs import presence as job
from crm.jobs.schedule import SWEEPS
from crm.lib.crypto import encrypt
from crm.models import Chat, ChatStatus, User, WhatsappNumber
from crm.services.messages import presence
from tests.factories import (
    make_campaign,
    make_chat,
    make_client,
    make_message,
    make_number,
    make_user,
)
from tests.gateway import ANA, Line, listening
from tests.simulator.server import NUMBER, SimulatorServer


class Desk(NamedTuple):
    """A chat of Laura's with an unread word of Ana's, on both sides of the wire."""

    chat_id: int
    number_id: int
    owner: User
    supervisor: User
    line_id: str
    whatsapp: SimulatorServer

    def phone(self) -> dict[str, Any]:
        found: dict[str, Any] = self.whatsapp.phone(ANA, self.line_id)["chat"]
        return found

    def is_read(self) -> bool:
        return [row["status"] for row in self.phone()["messages"]] == ["read"]

    def look(self, user: User) -> None:
        with atomic():
            presence.see_chat(db.session.get_one(Chat, self.chat_id), user)

    def write(self, user: User) -> bool:
        with atomic():
            return presence.note_typing(db.session.get_one(Chat, self.chat_id), user_id=user.id)

    def set(self, **values: bool) -> None:
        with atomic():
            number = db.session.get_one(WhatsappNumber, self.number_id)
            for name, value in values.items():
                setattr(number, name, value)

    def work(self) -> list[str]:
        """Do what was rung for, as the worker would; its names."""
        done = []
        while (raw := redis_client.lpop("rq:queue:signs")) is not None:
            key = raw.decode() if isinstance(raw, bytes) else raw
            words = redis_client.hget(f"rq:job:{key}", "description")
            words = words.decode() if isinstance(words, bytes) else words
            name = words.partition("(")[0]
            if name.startswith("presence."):
                done.append(name)
                getattr(job, name.partition(".")[2])(self.chat_id)
        return done


@pytest.fixture(params=["meta", "wppconnect"])
def desk(app: Flask, whatsapp: SimulatorServer, request: pytest.FixtureRequest) -> Iterator[Desk]:
    with listening(app, meta_graph_url=whatsapp.graph_url):
        redis_client.delete("rq:queue:signs", presence.PAUSES)
        open_desk = _meta if request.param == "meta" else _wppconnect
        chat, line_id = open_desk(app, whatsapp)
        owner, supervisor = make_user(), make_user(role="supervisor")
        chat.assigned_agent_id, chat.status = owner.id, ChatStatus.ACTIVE
        db.session.commit()
        redis_client.delete("rq:queue:signs", f"crm:typing:{chat.id}")
        yield Desk(chat.id, chat.whatsapp_number_id, owner, supervisor, line_id, whatsapp)


def _meta(app: Flask, whatsapp: SimulatorServer) -> tuple[Chat, str]:
    token = encrypt(whatsapp.token, app.config["CRM"].encryption_keys)
    number = make_number(
        campaign=make_campaign(), meta_phone_number_id=NUMBER, meta_access_token=token
    )
    said = whatsapp.say(wa_id=ANA, name="Ana", text="Buenas")
    chat = make_chat(number=number, client=make_client(phone_number=f"+{ANA}"), unread_count=1)
    make_message(chat, content="Buenas", whatsapp_message_id=said["wamid"])
    return chat, NUMBER


def _wppconnect(app: Flask, whatsapp: SimulatorServer) -> tuple[Chat, str]:
    line = Line(app, whatsapp, "gestos")
    line.link()
    line.say("Buenas")
    line.wait(lambda: line.texts() == ["Buenas"])
    return line.chat(), line.line_id


def test_the_owner_reads_and_writes_and_a_look_by_others_tells_nothing(desk: Desk) -> None:
    desk.look(desk.supervisor)
    assert not desk.write(desk.supervisor)
    assert desk.work() == []
    # Even a ring by mistake tells nothing: nobody who may has read it.
    job.read(desk.chat_id)
    assert not desk.is_read()
    assert not desk.phone()["typing"]

    desk.look(desk.owner)
    assert desk.work() == ["presence.read"]
    assert desk.is_read()
    assert desk.write(desk.owner)
    assert not desk.write(desk.owner)
    assert desk.work() == ["presence.typing"]
    assert desk.phone()["typing"]


def test_a_number_that_keeps_it_to_itself_tells_nothing(desk: Desk) -> None:
    desk.set(sends_read_receipts=False, sends_typing=False)
    desk.look(desk.owner)
    assert not desk.write(desk.owner)
    assert desk.work() == []
    job.typing(desk.chat_id)
    assert not desk.is_read()
    assert not desk.phone()["typing"]


@pytest.mark.parametrize("desk", ["wppconnect"], indirect=True)
def test_whatsapp_web_is_told_when_the_owner_has_stopped(desk: Desk) -> None:
    desk.look(desk.owner)
    desk.write(desk.owner)
    desk.work()
    sweep = next(sweep for sweep in SWEEPS if sweep.job == "presence.pause")
    assert list(sweep.find()) == []
    redis_client.zadd(presence.PAUSES, {str(desk.chat_id): 1})
    assert list(sweep.find()) == [desk.chat_id]
    job.pause(desk.chat_id)
    assert not desk.phone()["typing"]
    assert list(sweep.find()) == []


@pytest.mark.parametrize("desk", ["wppconnect"], indirect=True)
def test_a_session_that_is_gone_costs_nobody_anything(desk: Desk) -> None:
    desk.whatsapp.control("POST", f"wppconnect/{desk.line_id}/lose", {})
    desk.look(desk.owner)
    assert desk.work() == ["presence.read"]
    assert not desk.is_read()
