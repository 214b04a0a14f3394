"""Files on their way out through the delivery, against a simulated WhatsApp whose ledger judges."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import select

from crm.db import atomic, db
from crm.extensions import file_store
from crm.lib import file_store as stores
from crm.lib.clock import utcnow
from crm.models import (
    Chat,
    File,
    MediaUpload,
    Message,
    MessageStatus,
    QueuedMessage,
    WhatsappNumber,
)
from crm.services import files
from crm.services.chats import person
from crm.services.media.sending import queue_file
from crm.services.messages.outbound import retry_message
from tests import factories, media
from tests.jobs.sending import drain, open_chat
from tests.simulator.server import NUMBER, SimulatorServer


@pytest.fixture
def chat(whatsapp: SimulatorServer, number: WhatsappNumber) -> Chat:
    return open_chat(whatsapp, number)


def keep(source: Path, tmp_path: Path, *, voice: bool = False) -> File:
    folder = tmp_path / f"work-{source.name}"
    folder.mkdir()
    if voice:
        prepared = files.prepare_voice(source, folder=folder)
    else:
        prepared = files.prepare_for_message(source, name=source.name, folder=folder)
    stored = files.store_file(prepared)
    with atomic():
        return files.create_file(stored, purpose=files.MESSAGE)


def send(chat: Chat, file: File, **more: Any) -> Message:
    with atomic():
        message = queue_file(chat, file, author=None, **more)
    deliver(chat)
    return message


def deliver(chat: Chat) -> None:
    drain(chat.whatsapp_number)
    db.session.rollback()
    db.session.expire_all()


def received(whatsapp: SimulatorServer, chat: Chat) -> list[dict[str, Any]]:
    """What the customer's phone has from us."""
    wa_id = chat.client.phone_number.lstrip("+")
    return [row for row in whatsapp.messages(wa_id) if row["direction"] == "out"]


def uploads(whatsapp: SimulatorServer) -> int:
    return len([call for call in whatsapp.calls() if call.get("path", "").endswith("/media")])


def test_every_kind_arrives_with_the_bytes_that_we_keep(whatsapp, chat, tmp_path):
    paper = tmp_path / "factura.pdf"
    paper.write_bytes(b"%PDF-1.4 factura")
    sources = {
        "image": media.picture(tmp_path / "a.jpg"),
        "video": media.film(tmp_path / "a.mp4"),
        "audio": media.sound(tmp_path / "a.mp3", form="mp3", codec="libmp3lame"),
        "document": paper,
    }
    for kind, source in sources.items():
        file = keep(source, tmp_path)
        message = send(chat, file, caption="" if kind == "audio" else "Mire")
        row = received(whatsapp, chat)[-1]
        assert row["type"] == kind
        content = row["content"]
        shown = requests.get(f"{whatsapp.url}/media/{content['id']}", timeout=10).content
        assert hashlib.sha256(shown).hexdigest() == file.sha256
        assert content.get("caption") == (None if kind == "audio" else "Mire")
        assert content.get("filename") == ("factura.pdf" if kind == "document" else None)
        assert db.session.get_one(Message, message.id).status is MessageStatus.SENT


def test_a_voice_note_leaves_as_one(whatsapp, chat, tmp_path):
    spoken = media.sound(tmp_path / "a.webm", form="webm", codec="libopus", layout="stereo")
    send(chat, keep(spoken, tmp_path, voice=True))
    row = received(whatsapp, chat)[-1]
    assert (row["type"], row["content"]["voice"]) == ("audio", True)


def test_a_file_goes_up_once_for_each_number_while_its_id_lives(whatsapp, chat, tmp_path):
    before = uploads(whatsapp)
    file = keep(media.picture(tmp_path / "a.jpg"), tmp_path)
    first = send(chat, file)
    whatsapp_id = db.session.scalar(select(MediaUpload.media_id))
    assert uploads(whatsapp) == before + 1
    # The customer's provider refuses it for a moment: the retry has the id already.
    with atomic():
        row = db.session.scalars(select(QueuedMessage).filter_by(message_id=first.id)).one()
        row.status, row.submitted_at = "pending", None
        db.session.get_one(Message, first.id).status = MessageStatus.PENDING
    deliver(chat)
    assert uploads(whatsapp) == before + 1
    assert [row["content"]["id"] for row in received(whatsapp, chat)] == [whatsapp_id] * 2
    with atomic():
        kept = db.session.scalars(select(MediaUpload)).one()
        kept.expires_at = utcnow() - timedelta(seconds=1)
        row = db.session.scalars(select(QueuedMessage).filter_by(message_id=first.id)).one()
        row.status, row.submitted_at = "pending", None
        db.session.get_one(Message, first.id).status = MessageStatus.PENDING
    deliver(chat)
    assert uploads(whatsapp) == before + 2


def test_an_upload_that_gets_no_answer_is_simply_tried_again(whatsapp, chat, tmp_path):
    whatsapp.set_fault("unavailable", number_id=NUMBER, count=1)
    message = send(chat, keep(media.picture(tmp_path / "a.jpg"), tmp_path))
    for _ in range(50):
        if db.session.get_one(Message, message.id).status is MessageStatus.SENT:
            break
        deliver(chat)
    assert db.session.get_one(Message, message.id).status is MessageStatus.SENT
    assert len(received(whatsapp, chat)) == 1


def test_a_file_that_is_gone_fails_in_words(whatsapp, chat, tmp_path):
    file = keep(media.picture(tmp_path / "a.jpg"), tmp_path)
    file_store.store.delete(file.file_path)
    message = send(chat, file)
    found = db.session.get_one(Message, message.id)
    assert (found.status, found.error_code) == (MessageStatus.FAILED, "file_lost")
    assert received(whatsapp, chat) == []


def test_a_store_that_is_away_keeps_the_message_waiting(whatsapp, chat, tmp_path, monkeypatch):
    file = keep(media.picture(tmp_path / "a.jpg"), tmp_path)

    def away(*_: object, **__: object) -> None:
        raise stores.StoreError("away")

    monkeypatch.setattr(stores.LocalStore, "read", away)
    message = send(chat, file)
    assert db.session.get_one(Message, message.id).status is MessageStatus.PENDING
    assert received(whatsapp, chat) == []
    monkeypatch.undo()
    # How far the tries have got, and so the next wait, depends on the machine: its time has come.
    with atomic():
        row = db.session.scalars(select(QueuedMessage).filter_by(message_id=message.id)).one()
        row.scheduled_at = utcnow() - timedelta(seconds=1)
    deliver(chat)
    assert db.session.get_one(Message, message.id).status is MessageStatus.SENT
    assert len(received(whatsapp, chat)) == 1


def test_a_refused_file_is_uploaded_anew_by_the_next_try(whatsapp, chat, tmp_path):
    file = keep(media.picture(tmp_path / "a.jpg"), tmp_path)
    with atomic():
        db.session.add(
            MediaUpload(
                file_id=file.id,
                whatsapp_number_id=chat.whatsapp_number_id,
                media_id="999999999",
                expires_at=utcnow() + timedelta(days=3),
            )
        )
    message = send(chat, file)
    assert db.session.get_one(Message, message.id).status is MessageStatus.FAILED
    assert db.session.scalar(select(MediaUpload)) is None
    with atomic():
        retry_message(message, actor=person(factories.make_user().id))
    deliver(chat)
    assert db.session.get_one(Message, message.id).status is MessageStatus.SENT
    assert len(received(whatsapp, chat)) == 1
