"""A WPPConnect number against the simulated server: session, messages, faults, what was missed.

The application listens on a port of its own, so that the simulator's posts take the real way.
"""

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
import requests
from flask import Flask
from sqlalchemy import select, text

from crm.db import atomic, db
from crm.jobs import media
from crm.lib.clock import utcnow
from crm.lib.crypto import encrypt
from crm.models import (
    Alarm,
    AlarmKind,
    Client,
    ClientIdentity,
    Message,
    NumberStatus,
    Provider,
    SessionState,
    User,
    WebhookEvent,
)
from crm.providers.outbound import Buttons, Media, MediaKind, Reaction, ReplyButton, Text
from crm.services import files, inbox
from crm.services.inbox import Bubble
from crm.services.messages import amending
from crm.services.messages.outbound import queue_outbound
from tests.factories import make_user
from tests.gateway import ANA, Line, listening
from tests.simulator.server import ROOT, SimulatorServer, simulator_server

# The simulated server says of such a number that it has no WhatsApp, and means it.
NOBODY = "573000000000"


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorServer]:
    with simulator_server() as server:
        yield server


@pytest.fixture
def whatsapp(simulator: SimulatorServer) -> SimulatorServer:
    simulator.clear_faults()
    simulator.reset()
    simulator.settings(limits=False, wpp_echoes=True, delay_scale=0)
    return simulator


@pytest.fixture
def line(app: Flask, whatsapp: SimulatorServer, request: pytest.FixtureRequest) -> Iterator[Line]:
    with listening(app):
        # A session of its own for each test: what the simulator knows of others stays away.
        yield Line(app, whatsapp, request.node.name[:60].replace("[", "-").replace("]", ""))


def open_alarms() -> set[AlarmKind]:
    db.session.rollback()
    return set(db.session.scalars(select(Alarm.kind).where(Alarm.ended_at.is_(None))))


# -- the session's life ----------------------------------------------------------------------------


def test_a_number_is_connected_by_scanning_the_code(line: Line) -> None:
    line.connect()
    line.until("qr")
    assert line.number.wppconnect_qr_code.startswith("data:image/png;base64,iVBOR")
    assert line.number.status is NumberStatus.PENDING
    line.order("scan")
    line.until("connected")
    assert line.number.status is NumberStatus.ACTIVE
    assert (line.number.wppconnect_qr_code, line.number.connection_status) == (None, "CONNECTED")
    assert line.events() == ["starting", "qr", "connected"]


def test_the_server_keeps_our_secret_address_through_every_start(line: Line) -> None:
    line.link()
    row = next(r for r in line.whatsapp.state()["numbers"] if r["id"] == line.line_id)
    first = row["webhook"]
    assert "/webhooks/wppconnect/" in first
    line.order("lose")
    line.until("connected")
    row = next(r for r in line.whatsapp.state()["numbers"] if r["id"] == line.line_id)
    assert row["webhook"] == first


def test_a_server_that_restarted_is_started_again_without_a_scan(line: Line) -> None:
    line.link()
    line.order("lose")
    assert line.check() == "starting"
    assert line.number.status is NumberStatus.DISCONNECTED
    line.until("connected")
    assert line.number.status is NumberStatus.ACTIVE


def test_a_start_that_hangs_is_closed_and_started_again(line: Line) -> None:
    line.whatsapp.set_fault("wpp_start", count=1)
    line.connect()
    line.wait(lambda: line.check() == "starting" and line.number.connection_status != "CLOSED")
    line.set_session(state_since=text("now() - interval '10 minutes'"))
    line.check()
    assert "reset" in line.events()
    line.until("qr")


def test_a_code_that_nobody_scans_is_said_and_not_repeated_all_night(line: Line) -> None:
    line.whatsapp.set_fault("wpp_qr", count=1)
    line.connect()
    line.until("qr")
    line.until("expired")
    assert line.check() == "expired"
    line.connect()
    line.until("qr")


def test_a_phone_that_unlinks_us_raises_an_alarm_and_gets_a_new_code(line: Line) -> None:
    line.link()
    assert open_alarms() == set()
    line.order("unlink")
    line.until("qr")
    assert open_alarms() == {AlarmKind.SESSION_LOST}
    line.order("scan")
    line.until("connected")
    assert open_alarms() == set()


def test_a_wrong_key_is_said_and_nothing_is_sent(line: Line) -> None:
    number = line.number
    number.wppconnect_api_key = encrypt("wrong", line.keys)
    db.session.commit()
    line.connect()
    assert line.check() == "refused"
    assert "secret key" in (line.number.last_error or "")


def test_a_server_that_is_away_is_asked_again(line: Line) -> None:
    number = line.number
    number.wppconnect_server_url = "http://127.0.0.1:9"
    db.session.commit()
    line.connect()
    assert line.check() == "unreachable"
    number = line.number
    number.wppconnect_server_url = line.whatsapp.url
    db.session.commit()
    line.until("qr")


# -- messages --------------------------------------------------------------------------------------


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


# -- what nobody saw the end of --------------------------------------------------------------------


def started(line: Line) -> None:
    line.link()
    line.say("Hola")
    line.wait(lambda: line.texts() == ["Hola"])
    # Its own words about our sends would settle every doubt before anybody looks.
    line.whatsapp.settings(wpp_echoes=False)


@pytest.mark.parametrize("fault", ["cut_reply", "error_after_accept", "malformed_reply"])
def test_a_send_in_doubt_is_found_in_the_history(line: Line, fault: str) -> None:
    started(line)
    line.whatsapp.set_fault(fault, count=1)
    line.whatsapp.set_fault("wpp_webhook")
    message = line.answer("¿Llegó esto?")
    line.deliver()
    assert line.status_of(message) == "uncertain"
    line.whatsapp.clear_faults()
    line.reconcile()
    assert line.status_of(message) in {"sent", "delivered"}
    assert [row["text"] for row in line.whatsapp.accepted()] == ["¿Llegó esto?"]


def test_a_refused_number_that_was_written_to_all_the_same_is_sent(line: Line) -> None:
    started(line)
    line.whatsapp.set_fault("wpp_refuse", count=1)
    message = line.answer("No existe, dice")
    line.deliver()
    assert line.status_of(message) == "uncertain"
    line.reconcile()
    assert line.status_of(message) in {"sent", "delivered"}


def test_a_refused_number_that_was_not_written_to_has_failed(line: Line) -> None:
    line.link()
    line.say("Hola", wa_id=NOBODY)
    line.wait(lambda: line.texts() == ["Hola"])
    message = line.answer("A nadie")
    line.deliver()
    assert line.status_of(message) == "uncertain"
    line.reconcile()
    assert line.status_of(message) == "uncertain"  # it may still be on its way
    earlier = "UPDATE message_queue SET submitted_at = submitted_at - interval '1 minute'"
    db.session.execute(text(earlier))
    db.session.commit()
    line.reconcile()
    assert line.status_of(message) == "failed"
    assert line.whatsapp.accepted() == []


def test_silence_before_the_call_was_taken_stays_in_doubt_and_is_never_sent_again(
    line: Line,
) -> None:
    started(line)
    line.whatsapp.set_fault("cut_before", count=1)
    message = line.answer("¿Quién sabe?")
    line.deliver()
    line.reconcile()
    line.deliver()
    assert line.status_of(message) == "uncertain"
    assert line.whatsapp.accepted() == []


def test_an_answer_with_nothing_in_it_is_a_failure(line: Line) -> None:
    started(line)
    line.whatsapp.set_fault("wpp_empty", count=1)
    message = line.answer("Al vacío")
    line.deliver()
    assert line.status_of(message) == "failed"
    assert db.session.get_one(Message, message).error_code == "wpp_empty"


def test_a_lost_session_holds_the_answers_until_it_is_back(line: Line) -> None:
    started(line)
    line.order("lose")
    message = line.answer("Espere un momento")
    line.deliver()
    assert line.status_of(message) == "pending"
    line.until("connected")
    line.deliver()
    line.wait(lambda: line.status_of(message) in {"sent", "delivered"})
    assert len(line.whatsapp.accepted()) == 1


# -- the gap finder --------------------------------------------------------------------------------


def test_lost_posts_are_found_in_the_history_once(line: Line) -> None:
    started(line)
    line.whatsapp.set_fault("wpp_webhook")
    for n in range(12):
        line.say(f"perdido {n}", wa_id=f"57300555{n % 3:04d}")
    line.whatsapp.clear_faults()
    line.say("este sí llegó", wa_id="573005550000")
    line.wait(lambda: len(line.messages()) == 2)

    line.catch_up()

    assert sorted(line.texts()) == sorted(
        ["Hola", "este sí llegó", *(f"perdido {n}" for n in range(12))]
    )
    assert (line.session.recovered_count, line.session.recovered_total) == (12, 12)
    assert line.events()[-1] == "recovered"
    line.catch_up()
    assert len(line.messages()) == 14
    assert line.session.recovered_total == 12


def test_what_was_written_while_the_server_was_down_comes_after_the_reconnect(line: Line) -> None:
    started(line)
    line.order("lose")
    line.say("¿Hay alguien?")
    line.until("connected")
    line.catch_up()
    assert line.texts() == ["Hola", "¿Hay alguien?"]


def test_the_phones_past_before_the_first_scan_is_left_alone(line: Line) -> None:
    line.connect()
    line.until("qr")
    line.say("de hace tiempo", at=1_700_000_000)
    line.order("scan")
    line.until("connected")
    line.catch_up()
    assert line.messages() == []


def test_a_post_that_comes_twice_is_one_message(line: Line) -> None:
    line.link()
    line.whatsapp.set_fault("wpp_again")
    for n in range(5):
        line.say(f"dos veces {n}")
    line.wait(lambda: len(line.messages()) == 5)
    line.wait(lambda: len(line.whatsapp.acknowledged()) >= 10)
    assert len(line.messages()) == 5


# -- the door --------------------------------------------------------------------------------------


def test_a_wrong_secret_opens_nothing(line: Line) -> None:
    line.connect()
    client = line.app.test_client()
    body = {"event": "onmessage", "id": f"false_{ANA}@c.us_3A1", "type": "chat", "body": "x"}
    for secret in ("", "x", "../meta", "a" * 5000):
        assert client.post(f"/webhooks/wppconnect/{secret}", json=body).status_code in {404, 405}
    assert line.messages() == []
    assert line.session.state is SessionState.STARTING


def change_of(line: Line, message_id: int, words: str | None) -> Message:
    """Edit (with words) or delete a message of Laura's, and let it leave; the message after."""
    with atomic():
        message = db.session.get_one(Message, message_id)
        author = db.session.get_one(User, message.user_id)
        if words is None:
            amending.delete_message(message, author=author, client_key=uuid4())
        else:
            amending.edit_message(message, words, author=author, client_key=uuid4())
    line.deliver()
    db.session.rollback()
    return db.session.get_one(Message, message_id, populate_existing=True)


def test_an_answer_is_edited_and_taken_back_at_the_customers_phone_too(line: Line) -> None:
    line.link()
    line.say("¿A qué hora?")
    line.wait(lambda: line.texts() == ["¿A qué hora?"])
    with atomic():
        laura = make_user()
        answer = queue_outbound(line.chat(), Text("A las 5"), author=laura).id
    line.deliver()
    line.wait(lambda: line.status_of(answer) == "delivered")

    message = change_of(line, answer, "A las 6")
    assert (message.content, message.meta["edited"]["original"]) == ("A las 6", "A las 5")
    phone = line.whatsapp.messages(ANA, line.line_id)[-1]
    assert (phone["content"]["body"], phone["edited"]) == ("A las 6", True)
    # The thread has one message, which says that it was edited; nothing counts twice.
    items = [item for item in inbox.load_thread(line.chat()).items if isinstance(item, Bubble)]
    assert [(item.text, "edited" in item.meta) for item in items][-1] == ("A las 6", True)
    assert len(items) == 2

    # What WhatsApp refuses is seen on the message, which stays as it is.
    line.whatsapp.set_fault("wpp_refuse", count=1)
    assert change_of(line, answer, None).deleted_at is None
    found = inbox.find_bubble(answer)
    assert found is not None
    assert found.amendment is not None
    assert (found.amendment.has_failed, found.amendment.error_code) == (True, "wpp_not_deleted")
    assert line.number.status is NumberStatus.ACTIVE

    # An answer that is lost on its way is no doubt: it is asked again.
    line.whatsapp.set_fault("cut_reply", count=1)
    change_of(line, answer, None)
    line.wait(lambda: bool(line.deliver() or inbox.find_bubble(answer).is_revoked))  # type: ignore[union-attr]
    assert line.whatsapp.messages(ANA, line.line_id)[-1]["revoked"] is True
    line.wait(lambda: all(m.status.value not in ("pending", "uncertain") for m in line.messages()))
    with pytest.raises(amending.TooLate):
        change_of(line, answer, "Otra vez")


def test_what_whatsapp_would_not_change_is_refused_with_the_reason(line: Line) -> None:
    line.link()
    line.say("Hola")
    line.wait(lambda: line.texts() == ["Hola"])
    with atomic():
        laura, jhon = make_user(), make_user()
        row = queue_outbound(line.chat(), Text("Buenas"), author=laura)
        answer = row.id
        with pytest.raises(amending.NotSentYet):
            amending.edit_message(row, "x", author=laura, client_key=uuid4())
    line.deliver()
    line.wait(lambda: line.status_of(answer) == "delivered")
    row = db.session.get_one(Message, answer)
    with pytest.raises(amending.NotEditable):
        amending.check_editable(row, author=jhon)
    asked = line.messages()[0]
    with pytest.raises(amending.NotEditable):
        amending.check_deletable(asked)
    row.sent_at = utcnow() - timedelta(minutes=16)
    with pytest.raises(amending.TooLate):
        amending.check_editable(row, author=laura)
    amending.check_deletable(row)
    row.sent_at = utcnow() - timedelta(days=3)
    with pytest.raises(amending.TooLate):
        amending.check_deletable(row)
    line.number.provider = Provider.META
    with pytest.raises(amending.CannotAmend):
        amending.check_deletable(row)
    db.session.rollback()
