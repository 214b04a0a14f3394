"""What the product receives: signed, escaped, at least once, and never lost."""

import json
from collections.abc import Callable

import pytest
import requests

from tests.simulator.conftest import ANA, wamid_of
from tests.simulator.receiver import Receiver
from tests.simulator.server import NUMBER, NUMBER_2, WABA, SimulatorServer

Send = Callable[..., requests.Response]


def test_a_customers_word_arrives_signed_over_the_raw_bytes(
    sim: SimulatorServer, crm: Receiver
) -> None:
    sim.say(wa_id=ANA, name="Ana Muñoz", text="¿Está en https://example.com/ñ? 😀")
    crm.wait_for(lambda: crm.posts)
    body, signature = crm.posts[0]
    assert crm.signed_right(body, signature)
    assert b"Mu\\u00f1oz" in body
    assert b"https:\\/\\/example.com\\/\\u00f1" in body
    assert body.isascii()
    # Who re-serialises before checking fails, as with Meta.
    assert not crm.signed_right(json.dumps(json.loads(body)).encode(), signature)


def test_an_inbound_text_has_metas_shape(sim: SimulatorServer, crm: Receiver) -> None:
    said = sim.say(wa_id=ANA, name="Ana", text="Hola", number_id=NUMBER_2, at=1_780_000_000)
    crm.wait_for(lambda: crm.posts)
    body = json.loads(crm.posts[0][0])
    user_id = body["entry"][0]["changes"][0]["value"]["contacts"][0]["user_id"]
    assert body == {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": WABA,
                "changes": [
                    {
                        "value": {
                            "messaging_product": "whatsapp",
                            "metadata": {
                                "display_phone_number": "576015550102",
                                "phone_number_id": NUMBER_2,
                            },
                            "contacts": [
                                {"profile": {"name": "Ana"}, "user_id": user_id, "wa_id": ANA}
                            ],
                            "messages": [
                                {
                                    "from": ANA,
                                    "from_user_id": user_id,
                                    "id": said["wamid"],
                                    "timestamp": "1780000000",
                                    "type": "text",
                                    "text": {"body": "Hola"},
                                }
                            ],
                        },
                        "field": "messages",
                    }
                ],
            }
        ],
    }
    assert user_id.startswith("CO.")


def test_a_hidden_number_is_told_to_nobody(sim: SimulatorServer, crm: Receiver) -> None:
    ana = sim.add_customer(ANA, "Ana", hidden=True, username="@ana")
    sim.say(wa_id=ANA, text="Hola")
    crm.wait_for(lambda: crm.posts)
    assert ANA.encode() not in crm.posts[0][0].replace(crm.messages[0]["id"].encode(), b"")
    assert crm.messages[0]["from_user_id"] == ana["user_id"]
    assert crm.values[0]["contacts"][0]["profile"] == {"name": "Ana", "username": "@ana"}


@pytest.mark.parametrize(
    ("sample", "kind", "part"),
    [
        ("photo", "image", {"mime_type": "image/jpeg"}),
        ("voice", "audio", {"mime_type": "audio/ogg; codecs=opus", "voice": True}),
        ("sticker", "sticker", {"mime_type": "image/webp", "animated": False}),
        ("document", "document", {"mime_type": "application/pdf", "filename": "pedido.pdf"}),
    ],
)
def test_a_file_arrives_with_an_id_that_can_be_fetched(
    sim: SimulatorServer,
    crm: Receiver,
    call: Callable[..., requests.Response],
    sample: str,
    kind: str,
    part: dict[str, object],
) -> None:
    sim.say(wa_id=ANA, name="Ana", sample=sample)
    crm.wait_for(lambda: crm.messages)
    content = crm.messages[0][kind]
    assert content | part == content
    row = call("GET", content["id"]).json()
    assert row["mime_type"] == part["mime_type"]
    # base64 of the digest here, hex there: as Meta does.
    assert len(content["sha256"]) == 44
    assert len(row["sha256"]) == 64


@pytest.mark.parametrize(
    ("sample", "kind"),
    [("location", "location"), ("contact", "contacts"), ("unsupported", "unsupported")],
)
def test_other_samples_arrive_as_their_kind(
    sim: SimulatorServer, crm: Receiver, sample: str, kind: str
) -> None:
    sim.say(wa_id=ANA, name="Ana", sample=sample)
    crm.wait_for(lambda: crm.messages)
    assert crm.messages[0]["type"] == kind
    assert kind in crm.messages[0]
    if kind == "unsupported":
        assert crm.messages[0]["errors"][0]["code"] == 131051


def test_a_quote_names_the_message_and_its_author(
    sim: SimulatorServer, crm: Receiver, send: Send
) -> None:
    sim.say(wa_id=ANA, name="Ana", text="Hola")
    wamid = wamid_of(send("Buenos días"))
    sim.say(wa_id=ANA, text="¿Cómo dice?", quote=wamid)
    crm.wait_for(lambda: len(crm.messages) == 2)
    context = next(row["context"] for row in crm.messages if "context" in row)
    assert context == {"from": "576015550101", "id": wamid}


def test_pressing_a_button_answers_with_its_id(
    sim: SimulatorServer, crm: Receiver, send: Send
) -> None:
    button = {"type": "reply", "reply": {"id": "si", "title": "Sí"}}
    content = {"type": "button", "body": {"text": "¿Sí?"}, "action": {"buttons": [button]}}
    wamid = wamid_of(send({"type": "interactive", "interactive": content}))
    sim.press(wa_id=ANA, wamid=wamid, choice="si")
    crm.wait_for(lambda: crm.messages)
    assert crm.messages[0]["type"] == "interactive"
    assert crm.messages[0]["interactive"] == {
        "type": "button_reply",
        "button_reply": {"id": "si", "title": "Sí"},
    }
    assert crm.messages[0]["context"]["id"] == wamid


def test_pressing_a_templates_quick_reply_is_a_button_message(
    sim: SimulatorServer, crm: Receiver, send: Send
) -> None:
    parameters = [{"type": "text", "text": word} for word in ("Ana", "lunes", "10:00")]
    content = {
        "name": "recordatorio_cita",
        "language": {"code": "es"},
        "components": [
            {"type": "body", "parameters": parameters},
            {
                "type": "button",
                "sub_type": "quick_reply",
                "index": "0",
                "parameters": [{"type": "payload", "payload": "CITA-OK"}],
            },
        ],
    }
    wamid = wamid_of(send({"type": "template", "template": content}))
    sim.press(wa_id=ANA, wamid=wamid, choice="CITA-OK")
    crm.wait_for(lambda: crm.messages)
    assert crm.messages[0]["type"] == "button"
    assert crm.messages[0]["button"] == {"payload": "CITA-OK", "text": "Confirmo"}


# -- ticks ---------------------------------------------------------------------------------------


def test_ticks_echo_our_own_id_and_the_price(
    sim: SimulatorServer, crm: Receiver, send: Send
) -> None:
    sim.say(wa_id=ANA, name="Ana", text="Hola")
    text = {"type": "text", "text": {"body": "Sí"}, "biz_opaque_callback_data": "clave.1"}
    wamid = wamid_of(send(text))
    crm.wait_for(lambda: sorted(crm.statuses_of(wamid)) == ["delivered", "sent"])
    sim.look(wa_id=ANA)
    crm.wait_for(lambda: "read" in crm.statuses_of(wamid))
    for row in crm.statuses:
        assert row["biz_opaque_callback_data"] == "clave.1"
        assert row["recipient_id"] == ANA
        assert row["timestamp"].isdigit()
        assert row["pricing"] == {
            "billable": False,
            "pricing_model": "PMP",
            "category": "service",
            "type": "free_customer_service",
        }


def test_a_voice_note_that_is_heard_is_played(
    sim: SimulatorServer, crm: Receiver, send: Send, call: Callable[..., requests.Response]
) -> None:
    sim.say(wa_id=ANA, name="Ana", text="Hola")
    media_id = call(
        "POST",
        f"{NUMBER}/media",
        data={"messaging_product": "whatsapp", "type": "audio/ogg"},
        files={"file": ("voz.ogg", b"OggS", "audio/ogg")},
    ).json()["id"]
    wamid = wamid_of(send({"type": "audio", "audio": {"id": media_id, "voice": True}}))
    crm.wait_for(lambda: "delivered" in crm.statuses_of(wamid))
    sim.play(wamid)
    crm.wait_for(lambda: "played" in crm.statuses_of(wamid))


def test_a_template_outside_the_window_is_billed(crm: Receiver, send: Send) -> None:
    content = {"name": "hello_world", "language": {"code": "en_US"}}
    wamid = wamid_of(send({"type": "template", "template": content}))
    crm.wait_for(lambda: crm.statuses_of(wamid))
    pricing = crm.statuses[0]["pricing"]
    assert (pricing["billable"], pricing["category"]) == (True, "utility")


def test_a_phone_that_is_off_leaves_one_tick_until_it_is_on(
    sim: SimulatorServer, crm: Receiver, send: Send
) -> None:
    sim.say(wa_id=ANA, name="Ana", text="Hola")
    sim.change_customer(ANA, online=False)
    wamid = wamid_of(send("¿Está?"))
    crm.wait_for(lambda: crm.statuses_of(wamid))
    sim.wait_until_quiet()
    assert crm.statuses_of(wamid) == ["sent"]
    sim.change_customer(ANA, online=True)
    crm.wait_for(lambda: "delivered" in crm.statuses_of(wamid))


def test_without_read_receipts_nothing_is_read(
    sim: SimulatorServer, crm: Receiver, send: Send
) -> None:
    sim.say(wa_id=ANA, name="Ana", text="Hola")
    sim.change_customer(ANA, receipts=False)
    sim.look(wa_id=ANA)
    wamid = wamid_of(send("Hola"))
    crm.wait_for(lambda: "delivered" in crm.statuses_of(wamid))
    sim.wait_until_quiet()
    assert "read" not in crm.statuses_of(wamid)


def test_who_blocked_the_line_stays_at_one_tick(
    sim: SimulatorServer, crm: Receiver, send: Send
) -> None:
    sim.say(wa_id=ANA, name="Ana", text="Hola")
    sim.change_customer(ANA, blocked=[NUMBER])
    wamid = wamid_of(send("Hola"))
    crm.wait_for(lambda: crm.statuses_of(wamid))
    sim.wait_until_quiet()
    assert crm.statuses_of(wamid) == ["sent"]


def test_outside_the_window_a_message_is_accepted_and_fails_later(
    sim: SimulatorServer, crm: Receiver, send: Send
) -> None:
    sim.say(wa_id=ANA, name="Ana", text="Hola")
    sim.move_window(wa_id=ANA)
    wamid = wamid_of(send("¿Sigue ahí?"))
    crm.wait_for(lambda: crm.statuses_of(wamid))
    (row,) = crm.statuses
    assert row["status"] == "failed"
    assert row["errors"][0]["code"] == 131047
    assert row["errors"][0]["error_data"]["details"]
    assert "pricing" not in row
    sim.say(wa_id=ANA, text="Sí")
    wamid = wamid_of(send("¡Qué bien!"))
    crm.wait_for(lambda: "sent" in crm.statuses_of(wamid))


def test_the_window_can_be_refused_at_once(sim: SimulatorServer, send: Send) -> None:
    sim.settings(window_refused_at_once=True)
    answer = send("Hola")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 131047)
    assert sim.accepted() == []


# -- at least once -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 503, 401, 404, 204, 0])
def test_what_is_not_answered_with_200_comes_again(
    sim: SimulatorServer, crm: Receiver, status: int
) -> None:
    crm.status = status
    said = sim.say(wa_id=ANA, name="Ana", text="Hola")
    crm.wait_for(lambda: any(row["tries"] >= 2 for row in sim.calls()))
    assert sim.messages(ANA)[0]["status"] == "sending"
    assert sim.acknowledged() == []
    crm.status = 200
    crm.wait_for(lambda: crm.messages)
    sim.wait_until_quiet()
    assert [row["id"] for row in crm.messages] == [said["wamid"]]
    assert sim.messages(ANA)[0]["status"] == "delivered"
    assert sim.acknowledged()[0]["messages"] == [said["wamid"]]


def test_kill_9_loses_no_webhook_and_no_tick(
    sim: SimulatorServer, crm: Receiver, send: Send
) -> None:
    crm.status = 503
    said = [sim.say(wa_id=ANA, name="Ana", text=f"n.º {index}")["wamid"] for index in range(20)]
    wamid = wamid_of(send("Hola"))
    sim.restart()
    assert [row["wamid"] for row in sim.accepted()] == [wamid]
    crm.status = 200
    crm.wait_for(lambda: {row["id"] for row in crm.messages} == set(said))
    crm.wait_for(lambda: {"sent", "delivered"} <= set(crm.statuses_of(wamid)))
    sim.wait_until_quiet()
    acknowledged = [row for rows in sim.acknowledged() for row in rows["messages"]]
    assert set(acknowledged) == set(said)


def test_many_updates_share_a_post_and_none_is_lost(
    sim: SimulatorServer, crm: Receiver, send: Send
) -> None:
    sim.set_fault("webhook_held")
    wamids = [wamid_of(send("x", to=f"5730011122{index:02}")) for index in range(60)]
    sim.clear_faults()
    crm.wait_for(lambda: len(crm.statuses) >= 60)
    sim.wait_until_quiet()
    # Nobody wrote before, so each fails; that is one status each.
    assert sorted(row["id"] for row in crm.statuses) == sorted(wamids)
    assert all(crm.signed_right(*post) for post in crm.posts)


def test_any_update_can_be_posted_for_a_test(sim: SimulatorServer, crm: Receiver) -> None:
    sim.webhook({"event": "ACCOUNT_DELETED"}, field="account_update")
    crm.wait_for(lambda: crm.posts)
    entry = json.loads(crm.posts[0][0])["entry"][0]
    assert entry["changes"] == [{"value": {"event": "ACCOUNT_DELETED"}, "field": "account_update"}]
    assert isinstance(entry["time"], int)


def test_the_handshake_is_done_on_demand(sim: SimulatorServer) -> None:
    assert sim.verify()["ok"]
    refused = sim.verify(verify_token="another")
    assert (refused["ok"], refused["status"]) == (False, 403)
