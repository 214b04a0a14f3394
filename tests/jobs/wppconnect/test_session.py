"""The life of a WPPConnect number's session: code, scan, loss, restart, wrong key."""

from sqlalchemy import select, text

from crm.db import db
from crm.lib.crypto import encrypt
from crm.models import (
    Alarm,
    AlarmKind,
    NumberStatus,
    SessionState,
)
from tests.gateway import ANA, Line


def open_alarms() -> set[AlarmKind]:
    db.session.rollback()
    return set(db.session.scalars(select(Alarm.kind).where(Alarm.ended_at.is_(None))))


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


def test_another_phone_than_the_numbers_own_is_refused_and_its_customers_stay_out(
    line: Line,
) -> None:
    line.connect()
    line.until("qr")
    line.order("scan", phone="573009998877")
    line.until("refused")
    assert line.number.status is NumberStatus.PENDING
    assert "not the one of this number" in (line.number.last_error or "")
    line.say("¿Es la panadería?")
    assert line.check() == "refused"
    assert line.messages() == []
    # Logged out and scanned with the right one, however WhatsApp writes it.
    line.order("unlink")
    line.connect()
    line.until("qr")
    line.order("scan", phone=line.number.phone_number)
    line.until("connected")
    line.say("Hola")
    line.wait(lambda: line.texts() == ["Hola"])
    assert line.events() == ["starting", "qr", "wrong_phone", "starting", "qr", "connected"]


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


def test_a_wrong_secret_opens_nothing(line: Line) -> None:
    line.connect()
    client = line.app.test_client()
    body = {"event": "onmessage", "id": f"false_{ANA}@c.us_3A1", "type": "chat", "body": "x"}
    for secret in ("", "x", "../meta", "a" * 5000):
        assert client.post(f"/webhooks/wppconnect/{secret}", json=body).status_code in {404, 405}
    assert line.messages() == []
    assert line.session.state is SessionState.STARTING
