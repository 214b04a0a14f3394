"""Attaching over HTTP: an upload, then a message made of it."""

from __future__ import annotations

import io
import uuid
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from crm.db import atomic, db
from crm.lib import file_store as stores
from crm.models import Chat, ChatStatus, File, Message, QueuedMessage
from tests import factories, media
from tests.cast import Cast, make_cast
from tests.people import csrf_of, enter


@pytest.fixture
def cast(app: Flask) -> Cast:
    with atomic():
        return make_cast()


@pytest.fixture
def chat(cast: Cast) -> Chat:
    with atomic():
        chat = factories.make_chat(campaign=cast.sales, number=cast.number, agent=cast.laura)
        factories.make_message(chat)
    return chat


@pytest.fixture
def laura(app: Flask, cast: Cast) -> FlaskClient:
    return person(app, cast.laura)


def person(app: Flask, user: object) -> FlaskClient:
    client = enter(app, user)  # type: ignore[arg-type]
    client.environ_base["HTTP_X_CSRFTOKEN"] = csrf_of(client, "/profile")
    return client


def upload(client: FlaskClient, chat: Chat, content: bytes, **query: str):  # type: ignore[no-untyped-def]
    return client.post(
        f"/inbox/{chat.id}/files",
        query_string=query,
        data=content,
        content_type="application/octet-stream",
    )


def send(client: FlaskClient, chat: Chat, file_id: int, **form: str):  # type: ignore[no-untyped-def]
    form = {"client_key": str(uuid.uuid4()), **form}
    return client.post(f"/inbox/{chat.id}/files/{file_id}/send", data=form)


def messages_of(chat: Chat) -> list[Message]:
    query = select(Message).where(Message.chat_id == chat.id, Message.direction == "outbound")
    return list(db.session.scalars(query.order_by(Message.id)))


def test_a_photo_becomes_a_message_with_its_caption(laura, chat, cast, tmp_path):
    photo = media.picture(tmp_path / "a.jpg").read_bytes()
    told = upload(laura, chat, photo, name="daño.jpg")
    assert told.status_code == 201
    assert told.json["kind"] == "image"
    assert told.json["name"] == "daño.jpg"
    assert laura.get(told.json["thumbnail"]).status_code == 200
    answer = send(laura, chat, told.json["id"], caption="Así llegó")
    assert answer.status_code == 200
    assert "Así llegó" in answer.text
    assert f"/files/{told.json['id']}/thumbnail" in answer.text
    (message,) = messages_of(chat)
    assert (message.message_type, message.content) == ("image", "Así llegó")
    assert message.media_file_id == told.json["id"]
    assert message.media_url == f"/files/{told.json['id']}"
    assert db.session.scalar(select(QueuedMessage.status).filter_by(message_id=message.id))


def test_a_recording_becomes_a_voice_note(laura, chat, tmp_path):
    spoken = media.sound(tmp_path / "a.webm", form="webm", codec="libopus", seconds=2)
    told = upload(laura, chat, spoken.read_bytes(), voice="1")
    assert (told.status_code, told.json["kind"], told.json["seconds"]) == (201, "audio", 2)
    assert 'class="voice"' in send(laura, chat, told.json["id"]).text
    (message,) = messages_of(chat)
    assert message.meta["voice"] is True
    assert message.media_mime_type == "audio/ogg; codecs=opus"


def test_a_file_answers_the_message_that_it_quotes(laura, chat, cast):
    asked = db.session.scalars(select(Message).where(Message.chat_id == chat.id)).one()
    with atomic():
        other = factories.make_chat(campaign=cast.sales, number=cast.number, agent=cast.jhon)
        foreign = factories.make_message(other)
    for quoted, kept in (
        (str(asked.id), {"message_id": asked.whatsapp_message_id}),
        (str(foreign.id), None),
        ("x", None),
        ("", None),
    ):
        told = upload(laura, chat, b"%PDF-1.4 x", name="a.pdf")
        answer = send(laura, chat, told.json["id"], reply_to=quoted)
        assert answer.status_code == 200
        assert messages_of(chat)[-1].meta.get("quote") == kept


def test_a_second_press_is_the_same_message(laura, chat):
    told = upload(laura, chat, b"%PDF-1.4 x", name="a.pdf")
    key = str(uuid.uuid4())
    for _ in range(2):
        assert send(laura, chat, told.json["id"], client_key=key).status_code == 200
    assert len(messages_of(chat)) == 1
    again = send(laura, chat, told.json["id"])
    assert again.status_code == 409
    assert len(messages_of(chat)) == 1


def test_what_is_too_big_is_refused_before_it_has_come(laura, chat):
    answer = laura.post(
        f"/inbox/{chat.id}/files",
        query_string={"name": "a.bin"},
        input_stream=io.BytesIO(b"x"),
        content_type="application/octet-stream",
        environ_overrides={"CONTENT_LENGTH": str(100 * 1024 * 1024 + 1)},
    )
    assert answer.status_code == 413
    assert "100 MB" in answer.text


def test_a_body_over_three_megabytes_comes_in_where_a_file_is_meant(laura, chat):
    big = b"%PDF-1.4" + b"x" * (4 * 1024 * 1024)
    assert upload(laura, chat, big, name="a.pdf").status_code == 201
    assert laura.post("/profile", data={"first_name": "x" * len(big)}).status_code == 413


def test_an_empty_file_and_a_silent_recording_are_told_in_words(laura, chat):
    assert "vacío" in upload(laura, chat, b"", name="a.pdf").text
    silent = upload(laura, chat, b"\x1aE\xdf\xa3", voice="1")
    assert silent.status_code == 422
    assert "micrófono" in silent.text


def test_nobody_attaches_to_a_chat_that_is_not_theirs(app, chat, cast):
    for user, status in ((cast.jhon, 404), (cast.marta, 403), (cast.admin, 409)):
        answer = upload(person(app, user), chat, b"hola", name="a.txt")
        assert answer.status_code == status, user.email
    assert db.session.scalar(select(File.id)) is None


def test_nobody_sends_somebody_elses_upload(app, laura, chat, cast):
    told = upload(laura, chat, b"hola", name="a.txt")
    with atomic():
        other = factories.make_chat(campaign=cast.sales, number=cast.number, agent=cast.jhon)
        factories.make_message(other)
    jhon = person(app, cast.jhon)
    assert send(jhon, other, told.json["id"]).status_code == 404
    assert jhon.get(told.json["url"]).status_code == 404


def test_a_closed_window_keeps_the_file_and_says_why(laura, chat, cast):
    told = upload(laura, chat, b"hola", name="a.txt")
    with atomic():
        db.session.get_one(Chat, chat.id).last_inbound_at = None
    answer = send(laura, chat, told.json["id"])
    assert answer.status_code == 409
    assert "24 horas" in answer.text
    assert messages_of(chat) == []


def test_what_is_taken_back_is_gone(laura, chat):
    told = upload(laura, chat, b"hola", name="a.txt")
    assert laura.post(f"/inbox/{chat.id}/files/{told.json['id']}/discard").status_code == 204
    assert laura.get(told.json["url"]).status_code == 404
    assert send(laura, chat, told.json["id"]).status_code == 404


def test_a_full_store_says_so_and_texts_still_go(laura, chat, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stores.os, "fsync", full)
    answer = upload(laura, chat, b"hola", name="a.txt")
    assert answer.status_code == 507
    assert "No queda espacio" in answer.text
    assert db.session.scalar(select(File.id)) is None
    text = {"text": "Hola", "client_key": str(uuid.uuid4())}
    assert laura.post(f"/inbox/{chat.id}/messages", data=text).status_code < 400
    assert [message.content for message in messages_of(chat)] == ["Hola"]


@pytest.mark.parametrize("name", ["../../x.txt", "a\x00b.txt", "\u202efdp.txt", "ñ" * 300 + ".txt"])
def test_a_hostile_name_stays_a_name(laura, chat, name):
    told = upload(laura, chat, b"hola", name=name)
    assert told.status_code == 201
    shown = told.json["name"]
    assert "/" not in shown
    assert "\x00" not in shown
    assert len(shown) <= 200
    assert send(laura, chat, told.json["id"]).status_code == 200


def test_the_panel_lists_what_was_sent_and_received(laura, chat, tmp_path):
    photo = upload(laura, chat, media.picture(tmp_path / "a.jpg").read_bytes(), name="a.jpg")
    paper = upload(laura, chat, b"%PDF-1.4 x", name="factura.pdf")
    assert "Aún no hay archivos" in laura.get(f"/inbox/{chat.id}/files").text
    for told in (photo, paper):
        send(laura, chat, told.json["id"])
    panel = laura.get(f"/inbox/{chat.id}/files").text
    assert f"{photo.json['url']}/thumbnail" in panel
    assert "factura.pdf" in panel


def test_fetching_again_by_hand_shows_that_it_is_on_its_way(laura, chat):
    with atomic():
        message = factories.make_message(
            chat, message_type="image", content=None, meta={"media": {"id": "4711"}}
        )
    page = laura.get(f"/inbox/{chat.id}").text
    assert "Descargar de nuevo" in page
    answer = laura.post(f"/inbox/{chat.id}/messages/{message.id}/fetch")
    assert answer.status_code in {200, 302}
    assert "Descargando" in laura.get(f"/inbox/{chat.id}").text


def test_a_chat_that_was_closed_meanwhile_takes_no_file(laura, chat):
    told = upload(laura, chat, b"hola", name="a.txt")
    with atomic():
        found = db.session.get_one(Chat, chat.id)
        found.status, found.closed_at = ChatStatus.CLOSED, db.func.now()
    assert send(laura, chat, told.json["id"]).status_code == 409


def test_the_spool_is_empty_afterwards(app, laura, chat):
    upload(laura, chat, b"hola", name="a.txt")
    spool = Path(app.config["CRM"].data_dir) / "spool"
    assert list(spool.iterdir()) == []
