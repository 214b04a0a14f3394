"""Sends and session calls against a server that answers what the real one was recorded to."""

import base64
import dataclasses
import json
import socket

import pytest

from crm.lib.addresses import PublicOnly
from crm.lib.timed_http import TimedHttp
from crm.providers.outbound import (
    Buttons,
    ContactCard,
    ContactPhone,
    Contacts,
    Effect,
    FilledTemplate,
    LinkButton,
    ListMenu,
    ListRow,
    ListSection,
    Location,
    Media,
    MediaKind,
    OutboundMessage,
    ProviderError,
    Reaction,
    Recipient,
    ReplyButton,
    SendResult,
    Text,
)
from crm.providers.wppconnect import codes
from crm.providers.wppconnect.client import WppConnectChannel, WppConnectClient
from crm.providers.wppconnect.gateway import GatewayError, Pair, WppConnectGateway
from tests.providers.deliveries import COLLECTED
from tests.providers.scripted_server import ScriptedServer, answer, hang, raw, serving

PHONE = "5511988880000"
SENT = {
    "status": "success",
    "response": [{"id": f"true_{PHONE}@c.us_3EB0C0FFEE0000000001_out", "body": "hi", "ack": 1}],
    "mapper": "return",
    "session": "sales",
}
RECORDED = COLLECTED.parent / "wppconnect-answers.txt"


def recorded(call: str) -> list[tuple[int, object]]:
    """The real server's answers to a call, in the order of the recording."""
    found = []
    for part in RECORDED.read_text("utf-8").split("### ")[1:]:
        head, body, status = part.strip().rsplit("\n", 2)
        if head.split(" ")[1] == call:
            found.append((int(status.strip("[]")), json.loads(body)))
    return found


def channel(server: ScriptedServer) -> WppConnectChannel:
    return WppConnectChannel(7, server.url, "sales", "a-token")


def send(server: ScriptedServer, content, *, to=None, reply_to=None) -> SendResult:
    client = WppConnectClient(TimedHttp(connect_seconds=2, total_seconds=3))
    recipient = to or Recipient(phone=PHONE)
    message = OutboundMessage(to=recipient, content=content, opaque_id="k.1", reply_to=reply_to)
    return client.send(channel(server), message)


def refused(*scripts, content=None) -> ProviderError:
    with serving(*scripts) as server, pytest.raises(ProviderError) as caught:
        send(server, content or Text("hola"))
    return caught.value


def test_a_text_goes_out_with_digits_only_and_comes_back_with_its_id() -> None:
    with serving(answer(201, SENT)) as server:
        result = send(server, Text("hola"), to=Recipient(phone="+55 (11) 98888-0000"))
    call = server.seen[0]
    assert call.head.startswith("POST /api/sales/send-message ")
    assert "Authorization: Bearer a-token" in call.head
    assert call.json == {"phone": PHONE, "isGroup": False, "message": "hola"}
    assert result == SendResult(
        "7:3EB0C0FFEE0000000001",
        wa_id=PHONE,
        serialized_id=f"true_{PHONE}@c.us_3EB0C0FFEE0000000001_out",
    )


def test_who_hides_the_number_is_written_to_by_lid() -> None:
    with serving(answer(201, SENT)) as server:
        send(server, Text("x"), to=Recipient(lid="276974622781686"), reply_to="false_a@lid_3A")
    assert server.seen[0].json == {
        "phone": "276974622781686", "isGroup": False, "isLid": True, "message": "x",
        "messageId": "false_a@lid_3A",
    }  # fmt: skip
    assert "/send-reply " in server.seen[0].head


MENU = ListMenu(
    "¿Qué plan?",
    "Planes",
    (ListSection((ListRow("a", "Básico", "5 GB"), ListRow("b", "Pro"))),),
    header="Planes 2026",
    footer="Charla",
)


@pytest.mark.parametrize(
    ("content", "path", "body"),
    [
        (Location(4.5, -74.1, "Aquí", "Cra 7"), "send-location",
         {"lat": "4.5", "lng": "-74.1", "title": "Aquí", "address": "Cra 7"}),
        (Buttons("¿Va?", (ReplyButton("s", "Sí"), ReplyButton("n", "No"))), "send-message",
         {"message": "¿Va?\n\n1. Sí\n2. No"}),
        (MENU, "send-message",
         {"message": "*Planes 2026*\n\n¿Qué plan?\n\n1. Básico: 5 GB\n2. Pro\n\n_Charla_"}),
        (LinkButton("Pague aquí", "Pagar", "https://x.co/p"), "send-message",
         {"message": "Pague aquí\n\nPagar: https://x.co/p"}),
        (Contacts((ContactCard("Ana", "Ana", phones=(ContactPhone("+57 1", "571"),)),)),
         "contact-vcard", {"contactsId": ["571@c.us"], "name": "Ana"}),
        (Contacts((ContactCard("Ana", "Ana", phones=(ContactPhone("+57 1"),)),)),
         "send-message", {"message": "Ana\n+57 1"}),
    ],
)  # fmt: skip
def test_each_kind_becomes_its_call(content, path: str, body: dict) -> None:
    with serving(answer(201, SENT)) as server:
        send(server, content)
    assert f"/api/sales/{path} " in server.seen[0].head
    assert {key: server.seen[0].json[key] for key in body} == body


@pytest.mark.parametrize(
    ("media", "path", "field", "prefix"),
    [
        (Media(MediaKind.IMAGE, mime_type="image/png"), "send-image", "base64", "image/png"),
        (Media(MediaKind.DOCUMENT, mime_type="application/pdf", filename="a.pdf"),
         "send-file-base64", "base64", "application/pdf"),
        (Media(MediaKind.AUDIO, mime_type="audio/ogg; codecs=opus", voice=True),
         "send-voice-base64", "base64Ptt", "audio/ogg"),
        (Media(MediaKind.STICKER, mime_type="image/webp"), "send-sticker", "path", "image/webp"),
    ],
)  # fmt: skip
def test_a_file_travels_as_base64(tmp_path, media: Media, path: str, field: str, prefix: str):
    content = bytes(range(256)) * 5001  # over several blocks, and no multiple of three
    (tmp_path / "f").write_bytes(content)
    whole = dataclasses.replace(media, caption="mire", path=str(tmp_path / "f"))
    with serving(answer(201, SENT)) as server:
        send(server, whole)
    assert f"/api/sales/{path} " in server.seen[0].head
    head, _, data = server.seen[0].json[field].partition(";base64,")
    assert head == f"data:{prefix}"
    assert base64.b64decode(data) == content


def test_a_reaction_has_an_id_of_ours() -> None:
    yes = {"status": "success", "response": {"message": "Reaction sended"}, "session": "sales"}
    with serving(answer(200, yes)) as server:
        result = send(server, Reaction("false_x@c.us_3A01", "👍"))
    assert server.seen[0].json == {"msgId": "false_x@c.us_3A01", "reaction": "👍"}
    assert result.whatsapp_message_id == "7:reaction_k.1"


AWAY = {"response": None, "status": "Disconnected", "message": "A sessão não está ativa."}
NOBODY = {"response": None, "status": "Connected", "message": "O número 1 não existe."}
BROKEN = {"status": "Error", "message": "Erro ao enviar a mensagem.", "error": {"level": "error"}}
NOTHING = {"status": "success", "response": [], "mapper": "return", "session": "sales"}


@pytest.mark.parametrize(
    ("script", "code", "effect"),
    [
        (answer(201, NOTHING), "wpp_empty", Effect.PERMANENT),
        (answer(201, NOTHING | {"response": [None]}), "wpp_empty", Effect.PERMANENT),
        (answer(201, NOTHING | {"response": [{"ack": 1}]}), "wpp_empty", Effect.PERMANENT),
        (answer(201, b"{"), "wpp_bad_answer", Effect.UNKNOWN),
        (answer(201, {"status": "weird"}), "wpp_bad_answer", Effect.UNKNOWN),
        (answer(400, NOBODY), "wpp_no_whatsapp", Effect.UNKNOWN),
        (answer(400, b"<pre>SyntaxError</pre>"), "wpp_refused", Effect.PERMANENT),
        (answer(401, {"error": "Check that the Session and Token are correct"}), "wpp_token",
         Effect.CHANNEL),
        (answer(401, {"message": "Sending the file is mandatory"}), "wpp_file_missing",
         Effect.PERMANENT),
        (answer(404, AWAY), "wpp_disconnected", Effect.CHANNEL),
        (answer(404, b"<html>"), "wpp_not_there", Effect.CHANNEL),
        (answer(413, b""), "wpp_too_large", Effect.PERMANENT),
        (answer(429, b""), "wpp_busy", Effect.RATE),
        (answer(500, BROKEN), "wpp_error", Effect.UNKNOWN),
        (answer(502, b"<html>"), "wpp_no_answer", Effect.UNKNOWN),
        (raw(b"HTTP/1.1 201 X\r\nContent-Length: 99\r\n\r\n{"), "wpp_no_answer", Effect.UNKNOWN),
        (hang(), "wpp_no_answer", Effect.UNKNOWN),
    ],
)  # fmt: skip
def test_each_refusal_has_its_effect(script, code: str, effect: Effect) -> None:
    error = refused(script)
    assert (error.code, error.effect) == (code, effect)


def test_what_cannot_be_sent_never_leaves() -> None:
    with serving(answer(201, SENT)) as server:
        for content in (FilledTemplate("hola", "es"), Media(MediaKind.IMAGE, path="/nowhere/x")):
            with pytest.raises(ProviderError) as caught:
                send(server, content)
            assert caught.value.effect is Effect.PERMANENT
    assert not server.seen


def test_a_server_that_is_not_there_is_tried_again() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        far = WppConnectChannel(7, f"http://127.0.0.1:{nobody.getsockname()[1]}", "s", "t")
        message = OutboundMessage(to=Recipient(phone="1"), content=Text("x"), opaque_id="k.1")
        with pytest.raises(ProviderError) as caught:
            WppConnectClient().send(far, message)
    error = caught.value
    assert (error.code, error.effect) == ("wpp_unreachable", Effect.RETRY)


def test_an_inner_address_is_not_even_called() -> None:
    with serving(answer(201, SENT)) as server:
        for host in ("127.0.0.1", "localhost", "0x7f000001", "2130706433", "127.1"):
            port = server.url.rpartition(":")[2]
            guarded = WppConnectClient(TimedHttp(guard=PublicOnly(())))
            far = WppConnectChannel(7, f"http://{host}:{port}", "s", "t")
            message = OutboundMessage(to=Recipient(phone="1"), content=Text("x"), opaque_id="k.1")
            with pytest.raises(ProviderError) as caught:
                guarded.send(far, message)
            assert caught.value.code in {"wpp_inner_address", "wpp_unreachable"}
        assert server.connections == 0
        trusting = WppConnectClient(TimedHttp(guard=PublicOnly(("127.0.0.1",))))
        assert trusting.send(channel(server), message).whatsapp_message_id


def test_a_name_that_also_leads_inside_is_refused() -> None:
    rule = PublicOnly((), resolver=lambda host, port: ["93.184.216.34", "10.0.0.7"])
    with pytest.raises(OSError, match="inside"):
        rule.find("wpp.example.com", 443)


def test_the_recorded_answers_are_understood() -> None:
    if not RECORDED.exists():
        pytest.fail(f"the recorded answers are not at {RECORDED}")
    good = {
        "send-message": [True, True, True, False, True, True, True, False, False, True],
        "send-reply": [True],
        "send-file-base64": [True],
        "send-image": [True],
        "send-voice-base64": [True],
        "send-location": [True],
        "contact-vcard": [True],
    }
    for call, expected in good.items():
        for (status, body), is_good in zip(recorded(call), expected, strict=True):
            with serving(answer(status, body)) as server:
                if is_good:
                    assert send(server, Text("x")).whatsapp_message_id.startswith("7:3EB0")
                else:
                    with pytest.raises(ProviderError):
                        send(server, Text("x"))


def test_the_session_calls_read_the_recorded_answers() -> None:
    gateway = WppConnectGateway(TimedHttp(total_seconds=3))
    words = []
    for status, body in recorded("status-session"):
        with serving(answer(status, body)) as server:
            words.append(gateway.find_state(channel(server)).word)
    assert words == ["CONNECTED", "CLOSED"]
    status, body = recorded("contact/pn-lid/276974622781686@lid")[0]
    with serving(answer(status, body)) as server:
        pair = gateway.find_pair(channel(server), "276974622781686@lid")
    assert pair == Pair(phone=PHONE, lid="276974622781686")


def test_a_start_always_carries_the_whole_body_and_never_waits() -> None:
    with serving(answer(200, {"status": "CLOSED", "qrcode": None})) as server:
        WppConnectGateway().start(channel(server), webhook="http://crm/x")
    assert server.seen[0].json == {"webhook": "http://crm/x", "waitQrCode": False}


def test_the_key_is_quoted_in_the_address() -> None:
    yes = {"status": "success", "session": "sales", "token": "$2b$10$abc", "full": "x"}
    with serving(answer(201, yes)) as server:
        token = WppConnectGateway().generate_token(server.url, "sales", "a/b c?")
    assert token == "$2b$10$abc"
    assert server.seen[0].head.startswith("POST /api/sales/a%2Fb%20c%3F/generate-token ")
    no = {"response": False, "message": "The SECRET_KEY is incorrect"}
    with serving(answer(400, no)) as server, pytest.raises(GatewayError) as caught:
        WppConnectGateway().generate_token(server.url, "sales", "x")
    assert caught.value.reason == "wrong_key"


def test_closing_what_never_started_is_as_good_as_closed() -> None:
    with serving(answer(500, {"status": False})) as server:
        WppConnectGateway().close(channel(server))


def test_every_code_has_its_words() -> None:
    assert all(reason.endswith(".") for reason in codes.all_reasons())
    assert codes.reason_for("wpp_empty") == codes.CODES["wpp_empty"].reason
    assert codes.reason_for("190") is None
