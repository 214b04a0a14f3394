"""Every kind of message through a WPPConnect line, both ways."""

import os

import requests
from sqlalchemy import select, text

from crm.db import atomic, db
from crm.jobs import media
from crm.models import (
    Client,
    ClientIdentity,
    Message,
    WebhookEvent,
)
from crm.providers.outbound import Buttons, Media, MediaKind, Reaction, ReplyButton, Text
from crm.services import files
from crm.services.files.purposes import INBOUND_CAPS
from crm.services.inbox import find_bubble
from crm.services.messages.outbound import queue_outbound
from tests.gateway import ANA, Line
from tests.simulator.server import ROOT


def test_a_conversation_goes_both_ways(line: Line) -> None:
    line.link()
    line.say("Buenas")
    line.wait(lambda: line.texts() == ["Buenas"])
    answer = line.answer("Con gusto")
    line.deliver()
    line.wait(lambda: line.status_of(answer) == "delivered")
    phone = line.whatsapp.messages(ANA, line.line_id)
    assert [(row["direction"], row["content"]["body"]) for row in phone] == [
        ("in", "Buenas"),
        ("out", "Con gusto"),
    ]
    # The server told of our own send too; it is still one message.
    assert line.texts() == ["Buenas", "Con gusto"]
    line.whatsapp.look(wa_id=ANA, number_id=line.line_id)
    line.wait(lambda: line.status_of(answer) == "read")


def test_an_ack_that_was_written_in_the_instant_of_the_send_is_found_at_the_next_look(
    line: Line,
) -> None:
    line.link()
    line.say("Buenas")
    line.wait(lambda: line.texts() == ["Buenas"])
    answer = line.answer("Con gusto")
    line.deliver()
    line.wait(lambda: line.status_of(answer) == "delivered")
    message = db.session.get_one(Message, answer)
    with atomic():
        early = "INSERT INTO early_receipts (whatsapp_message_id, status, occurred_at, data) "
        values = "VALUES (:wamid, 'read', now(), '{}')"
        db.session.execute(text(early + values), {"wamid": message.whatsapp_message_id})
    line.check()
    db.session.rollback()
    assert db.session.get_one(Message, answer, populate_existing=True).status.value == "read"


def test_a_photo_comes_with_its_bytes(line: Line) -> None:
    line.link()
    line.say(sample="photo")
    line.wait(lambda: len(line.messages()) == 1)
    row = db.session.scalars(
        select(WebhookEvent).where(WebhookEvent.event_count > 0, text("body LIKE '%onmessage%'"))
    ).one()
    assert len(row.body) < 5000  # the ledger keeps the body without its base64
    media.fetch(line.id)
    file = line.messages()[0].media_file
    assert file is not None
    assert file.mime_type == "image/jpeg"
    assert file.size_bytes == 23012


def test_a_file_that_is_too_large_leaves_the_disk_as_soon_as_that_is_known(line: Line) -> None:
    line.link()
    line.say(sample="document")
    line.wait(lambda: len(line.messages()) == 1)
    (kept,) = line.app.config["CRM"].arrivals_dir.glob("cut-*")
    os.truncate(kept, INBOUND_CAPS["document"] + 1)
    media.fetch(line.id)
    assert not kept.exists()
    bubble = find_bubble(line.messages()[0].id)
    assert bubble is not None
    assert bubble.attachment is not None
    assert (bubble.attachment.state, bubble.attachment.url) == ("failed", "")
    assert "bigger" in bubble.attachment.reason


def test_a_preview_is_replaced_by_the_file_from_the_server(line: Line) -> None:
    line.link()
    line.whatsapp.set_fault("wpp_media", count=1)
    line.say(sample="photo")
    line.wait(lambda: len(line.messages()) == 1)
    assert "spool" not in line.messages()[0].meta["media"]
    media.fetch(line.id)
    file = line.messages()[0].media_file
    assert file is not None
    assert file.size_bytes == 23012


def test_what_is_typed_on_the_phone_is_ours_and_answers_the_chat(line: Line) -> None:
    line.link()
    line.say("Hola")
    line.wait(lambda: len(line.messages()) == 1)
    answer = line.answer("Desde el CRM")
    line.deliver()
    line.wait(lambda: line.status_of(answer) == "delivered")
    line.order("write", wa_id=ANA, text="Desde el celular")
    line.wait(lambda: len(line.messages()) == 3)
    # The server tells whole seconds, so that two words of one second may stand either way.
    sent = [m for m in line.messages() if m.direction == "outbound"]
    ours = {m.content: (m.meta or {}).get("origin") for m in sent}
    assert ours == {"Desde el CRM": None, "Desde el celular": "phone"}


def test_who_hides_the_number_is_the_same_person(line: Line) -> None:
    line.link()
    line.say("Con mi número")
    line.wait(lambda: len(line.messages()) == 1)
    line.whatsapp.change_customer(ANA, hidden=True)
    line.say("Escondida")
    line.wait(lambda: len(line.messages()) == 2)
    assert db.session.scalars(select(Client)).one().phone_number == f"+{ANA}"
    kinds = set(db.session.scalars(select(ClientIdentity.kind)))
    assert {kind.value for kind in kinds} == {"wa_id", "lid"}
    answer = line.answer("Le respondo")
    line.deliver()
    line.wait(lambda: line.status_of(answer) == "delivered")


def test_a_message_taken_back_is_marked(line: Line) -> None:
    line.link()
    row = line.say("Me equivoqué")
    line.wait(lambda: len(line.messages()) == 1)
    line.whatsapp.control("POST", "revoke", {"wamid": row["wamid"]})
    line.wait(lambda: any(m.deleted_at is not None for m in line.messages()))


def test_a_quote_and_a_reaction_name_the_customers_message(line: Line) -> None:
    line.link()
    said = line.say("¿Cuál?")
    line.wait(lambda: len(line.messages()) == 1)
    question = line.messages()[0]
    with atomic():
        queue_outbound(line.chat(), Text("Esa"), reply_to=question)
        queue_outbound(line.chat(), Reaction(question.whatsapp_message_id or "", "👍"))
    line.deliver()
    shown = line.whatsapp.messages(ANA, line.line_id)
    assert shown[1]["context"] == {"id": said["wamid"]}
    assert shown[0]["reaction"] == "👍"
    assert {m.status for m in line.messages() if m.direction == "outbound"} <= {
        "sent", "delivered",
    }  # fmt: skip


def test_buttons_leave_as_numbered_lines(line: Line) -> None:
    line.link()
    line.say("Hola")
    line.wait(lambda: len(line.messages()) == 1)
    with atomic():
        queue_outbound(
            line.chat(), Buttons("¿Va?", (ReplyButton("s", "Sí"), ReplyButton("n", "No")))
        )
    line.deliver()
    assert line.whatsapp.accepted()[0]["text"] == "¿Va?\n\n1. Sí\n2. No"


def test_a_file_of_ours_travels_with_the_message(line: Line) -> None:
    line.link()
    line.say("¿Me manda la foto?")
    line.wait(lambda: len(line.messages()) == 1)
    photo = (ROOT / "crm/simulator/samples/photo.jpg").read_bytes()
    with files.spool(line.app.config["CRM"].data_dir) as folder:
        (folder / "given").write_bytes(photo)
        made = files.prepare_for_message(folder / "given", name="foto.jpg", folder=folder)
        stored = files.store_file(made)
    with atomic():
        file = files.create_file(stored, purpose=files.MESSAGE, owner=None)
        media = Media(kind=MediaKind.IMAGE, mime_type=file.mime_type, caption="Aquí está")
        message = queue_outbound(line.chat(), media, file=file)
    line.deliver()
    line.wait(lambda: line.status_of(message.id) in {"sent", "delivered"})
    shown = line.whatsapp.messages(ANA, line.line_id)[-1]
    assert (shown["type"], shown["content"]["caption"]) == ("image", "Aquí está")
    got = requests.get(f"{line.whatsapp.url}/media/{shown['content']['id']}", timeout=10).content
    assert got[:3] == b"\xff\xd8\xff"
    assert len(got) == file.size_bytes
