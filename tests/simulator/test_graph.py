"""The Graph API look-alike over real HTTP: shapes of answers and refusals."""

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.simulator.calls import template
from tests.simulator.conftest import ANA, wamid_of
from tests.simulator.receiver import Receiver
from tests.simulator.server import NUMBER, NUMBER_2, WABA, SimulatorServer

Call = Callable[..., requests.Response]
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def error_of(answer: requests.Response) -> dict[str, Any]:
    assert set(answer.json()) == {"error"}
    error: dict[str, Any] = answer.json()["error"]
    assert error["message"]
    assert error["type"]
    assert error["fbtrace_id"]
    return error


def test_a_send_is_answered_as_meta_does(send: Call) -> None:
    answer = send("Hola", to="+57 300 111 2233")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    body = answer.json()
    assert body == {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "+57 300 111 2233", "wa_id": ANA}],
        "messages": [{"id": body["messages"][0]["id"]}],
    }
    raw = base64.b64decode(body["messages"][0]["id"].removeprefix("wamid."))
    assert ANA.encode() in raw


def test_no_two_messages_share_an_id(send: Call) -> None:
    assert len({wamid_of(send("Hola")) for _ in range(30)}) == 30


@pytest.mark.parametrize("version", ["v17.0", "v23.0", "v99.0"])
def test_any_version_is_understood(sim: SimulatorServer, version: str) -> None:
    answer = requests.get(
        f"{sim.url}/{version}/{NUMBER}", headers={"Authorization": f"Bearer {sim.token}"}, timeout=9
    )
    assert answer.json()["id"] == NUMBER


@pytest.mark.parametrize("token", ["", "another"])
def test_a_wrong_token_is_error_190(call: Call, token: str) -> None:
    answer = call("POST", f"{NUMBER}/messages", {}, token=token)
    assert answer.status_code == 401
    assert error_of(answer)["code"] == 190


def test_an_unknown_number_is_error_100_33(call: Call, send: Call) -> None:
    answer = send("Hola", number_id="999")
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["error_subcode"]) == (400, 100, 33)
    assert error["type"] == "GraphMethodException"
    assert "999" in error["message"]
    assert call("GET", "999").status_code == 400


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(sim: SimulatorServer, raw: bytes) -> None:
    answer = requests.post(
        f"{sim.graph_url}/{NUMBER}/messages",
        data=raw,
        headers={"Authorization": f"Bearer {sim.token}", "Content-Type": "application/json"},
        timeout=9,
    )
    assert answer.status_code == 400
    assert error_of(answer)["code"] == 100


def test_a_path_that_is_nobodys_is_an_error_of_the_same_shape(sim: SimulatorServer) -> None:
    answer = requests.get(f"{sim.url}/v23.0/me/friends", timeout=9)
    assert (answer.status_code, error_of(answer)["code"]) == (400, 2500)


def test_a_refused_call_is_not_in_the_ledger(sim: SimulatorServer, send: Call) -> None:
    assert send({"type": "text", "text": {"body": ""}}).status_code == 400
    assert sim.accepted() == []


def test_the_ledger_holds_what_was_accepted(sim: SimulatorServer, send: Call) -> None:
    wamid = wamid_of(
        send({"type": "text", "text": {"body": "Uno"}, "biz_opaque_callback_data": "k.1"})
    )
    (row,) = sim.accepted()
    assert row["wamid"] == wamid
    assert row["number_id"] == NUMBER
    assert (row["to"], row["wa_id"]) == (ANA, ANA)
    assert row["biz_opaque_callback_data"] == "k.1"
    assert row["text"] == "Uno"
    assert len(row["body_sha256"]) == 64
    assert row["at"] > 1_700_000_000


def test_nobody_writes_to_himself(send: Call) -> None:
    assert error_of(send("Hola", to="+57 601 555 0101"))["code"] == 131021


@pytest.mark.parametrize("to", ["abc", "123", "1" * 16, "call 573001112233"])
def test_a_number_that_is_none_is_refused(send: Call, to: str) -> None:
    assert error_of(send("Hola", to=to))["code"] == 131009


def test_a_user_id_reaches_the_customer(sim: SimulatorServer, call: Call) -> None:
    ana = sim.add_customer(ANA, "Ana", hidden=True)
    body = {"messaging_product": "whatsapp", "recipient": ana["user_id"], "text": {"body": "Hola"}}
    answer = call("POST", f"{NUMBER}/messages", body)
    contact = {"input": ana["user_id"], "user_id": ana["user_id"]}
    assert answer.json()["contacts"] == [contact]
    assert sim.accepted()[0]["wa_id"] == ANA


@pytest.mark.parametrize(
    ("known", "dialled"),
    [("5215512345678", "+525512345678"), ("5491123456789", "541123456789"),
     ("551187654321", "+5511987654321")],
)  # fmt: skip
def test_an_old_form_of_a_number_finds_its_customer(
    sim: SimulatorServer, send: Call, known: str, dialled: str
) -> None:
    sim.add_customer(known, "Ana")
    answer = send("Hola", to=dialled).json()
    assert answer["contacts"] == [{"input": dialled, "wa_id": known}]


def test_reading_marks_the_customers_messages_up_to_there(sim: SimulatorServer, call: Call) -> None:
    first, second, third = (sim.say(wa_id=ANA, name="Ana", text=word) for word in "abc")
    body = {
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": second["wamid"],
        "typing_indicator": {"type": "text"},
    }
    assert call("POST", f"{NUMBER}/messages", body).json() == {"success": True}
    chat = sim.phone(ANA, NUMBER)["chat"]
    assert chat["typing"]
    shown = {row["wamid"]: row["status"] for row in chat["messages"]}
    assert shown[first["wamid"]] == shown[second["wamid"]] == "read"
    assert shown[third["wamid"]] != "read"
    assert sim.accepted() == []


def test_reading_what_was_never_written_is_refused(sim: SimulatorServer, call: Call) -> None:
    own = sim.say(wa_id=ANA, name="Ana", text="Hola")["wamid"]
    body = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.none"}
    assert error_of(call("POST", f"{NUMBER}/messages", body))["code"] == 131009
    body["message_id"] = own
    assert error_of(call("POST", f"{NUMBER_2}/messages", body))["code"] == 131009


# -- media ---------------------------------------------------------------------------------------


def upload(call: Call, content: bytes, mime_type: str, name: str = "a.bin") -> requests.Response:
    return call(
        "POST",
        f"{NUMBER}/media",
        data={"messaging_product": "whatsapp", "type": mime_type},
        files={"file": (name, content, mime_type)},
    )


def test_a_file_goes_up_is_described_comes_down_and_goes_away(
    sim: SimulatorServer, call: Call
) -> None:
    media_id = upload(call, PNG, "image/png").json()["id"]
    row = call("GET", media_id).json()
    assert row["messaging_product"] == "whatsapp"
    assert row["id"] == media_id
    assert (row["mime_type"], row["file_size"]) == ("image/png", len(PNG))
    assert row["sha256"] == hashlib.sha256(PNG).hexdigest()
    bearer = {"Authorization": f"Bearer {sim.token}"}
    assert requests.get(row["url"], headers=bearer, timeout=9).content == PNG
    assert requests.get(row["url"], timeout=9).status_code == 401
    stale = row["url"][:-3] + "xyz"
    assert requests.get(stale, headers=bearer, timeout=9).status_code == 404
    assert call("DELETE", media_id).json() == {"success": True}
    assert error_of(call("GET", media_id))["code"] == 100


def test_a_sent_file_is_seen_on_the_phone(sim: SimulatorServer, call: Call, send: Call) -> None:
    media_id = upload(call, PNG, "image/png").json()["id"]
    wamid_of(send({"type": "image", "image": {"id": media_id, "caption": "Mire"}}))
    content = sim.messages(ANA)[0]["content"]
    assert requests.get(f"{sim.url}/media/{content['id']}", timeout=9).content == PNG


@pytest.mark.parametrize(
    ("mime_type", "size", "code"),
    [
        ("application/x-msdownload", 10, 100),
        ("image/png", 0, 100),
        ("image/png", 5 * 1024 * 1024 + 1, 131053),
        ("image/webp", 500 * 1024 + 1, 131053),
    ],
)
def test_files_that_whatsapp_does_not_take(
    call: Call, mime_type: str, size: int, code: int
) -> None:
    assert error_of(upload(call, b"x" * size, mime_type))["code"] == code


def test_a_file_of_another_kind_or_nobodys_cannot_be_sent(call: Call, send: Call) -> None:
    media_id = upload(call, PNG, "image/png").json()["id"]
    assert error_of(send({"type": "audio", "audio": {"id": media_id}}))["code"] == 131053
    error = error_of(send({"type": "image", "image": {"id": "123"}}))
    assert error["code"] == 100
    assert "image['id'] is not a valid" in error["message"]


def test_an_upload_without_its_parts_is_refused(call: Call) -> None:
    answer = call("POST", f"{NUMBER}/media", data={"type": "image/png"}, files={"file": ("a", PNG)})
    assert "messaging_product" in error_of(answer)["message"]
    answer = call("POST", f"{NUMBER}/media", data={"messaging_product": "whatsapp"})
    assert "file" in error_of(answer)["message"]


# -- numbers, accounts, templates ----------------------------------------------------------------


def test_a_number_describes_itself(call: Call) -> None:
    row = call("GET", f"{NUMBER}?fields=verified_name,display_phone_number,quality_rating").json()
    assert row == {
        "id": NUMBER,
        "verified_name": "Línea Ventas",
        "display_phone_number": "+57 601 555 0101",
        "quality_rating": "GREEN",
    }
    rows = call("GET", f"{WABA}/phone_numbers").json()["data"]
    assert [row["id"] for row in rows] == [NUMBER, NUMBER_2]


def test_an_app_that_is_not_subscribed_hears_nothing(
    sim: SimulatorServer, call: Call, crm: Receiver
) -> None:
    assert len(call("GET", f"{WABA}/subscribed_apps").json()["data"]) == 1
    assert call("DELETE", f"{WABA}/subscribed_apps").json() == {"success": True}
    assert call("GET", f"{WABA}/subscribed_apps").json() == {"data": []}
    sim.say(wa_id=ANA, name="Ana", text="en vano")
    assert call("POST", f"{WABA}/subscribed_apps").json() == {"success": True}
    sim.say(wa_id=ANA, name="Ana", text="ahora sí")
    crm.wait_for(lambda: crm.messages)
    assert [row["text"]["body"] for row in crm.messages] == ["ahora sí"]


def definition(
    name: str, text: str = "Hola {{1}}, su pedido llegó.", **more: Any
) -> dict[str, Any]:
    component = {"type": "BODY", "text": text, "example": {"body_text": [["Ana"]]}}
    return {
        "name": name, "language": "es", "category": "UTILITY", "components": [component], **more
    }  # fmt: skip


def test_a_template_is_created_reviewed_sent_and_deleted(
    sim: SimulatorServer, call: Call, send: Call, crm: Receiver
) -> None:
    made = call("POST", f"{WABA}/message_templates", definition("llegada")).json()
    assert (made["status"], made["category"]) == ("PENDING", "UTILITY")
    review = crm.wait_for(
        lambda: [value for value in crm.values if value.get("event") == "APPROVED"]
    )[0]
    assert review["message_template_id"] == int(made["id"])
    assert review["message_template_name"] == "llegada"
    listed = call("GET", f"{WABA}/message_templates?name=llegada").json()["data"]
    assert [(row["id"], row["status"]) for row in listed] == [(made["id"], "APPROVED")]
    answer = send(template("llegada", "Ana"))
    assert answer.json()["messages"][0]["message_status"] == "accepted"
    assert sim.messages(ANA)[0]["rendered"] == "Hola Ana, su pedido llegó."
    assert call("DELETE", f"{WABA}/message_templates?name=llegada").json() == {"success": True}
    assert error_of(send(template("llegada", "Ana")))["code"] == 132001


def test_a_template_may_be_turned_down(call: Call, crm: Receiver) -> None:
    call("POST", f"{WABA}/message_templates", definition("rechazar_esta"))
    crm.wait_for(lambda: [value for value in crm.values if value.get("event") == "REJECTED"])
    row = call("GET", f"{WABA}/message_templates?name=rechazar_esta").json()["data"][0]
    assert row["status"] == "REJECTED"


@pytest.mark.parametrize(
    "wrong",
    [
        definition("Con Mayúsculas"),
        definition("x", text=""),
        definition("x", text="x" * 1025),
        definition("x", text="{{1}} al borde"),
        definition("x", category="PROMO"),
        definition("x", language="castellano"),
        {**definition("x"), "components": []},
        {**definition("x"), "components": [{"type": "FOOTER", "text": "x"}]},
        {**definition("x"), "components": [{"type": "BODY", "text": "a {{1}} b"}]},
        {**definition("x"), "components": [*definition("x")["components"],
                                           {"type": "FOOTER", "text": "x" * 61}]},
        {**definition("x"), "components": [*definition("x")["components"],
                                           {"type": "BUTTONS", "buttons": []}]},
        definition("hello_world", language="en_US"),
    ],
)  # fmt: skip
def test_meta_refuses_a_wrong_template(call: Call, wrong: dict[str, Any]) -> None:
    answer = call("POST", f"{WABA}/message_templates", wrong)
    assert answer.status_code == 400
    error_of(answer)


def test_templates_come_in_pages(call: Call) -> None:
    first = call("GET", f"{WABA}/message_templates?limit=2").json()
    assert len(first["data"]) == 2
    after = first["paging"]["cursors"]["after"]
    second = call("GET", f"{WABA}/message_templates?limit=2&after={after}").json()
    names = {row["name"] for row in (*first["data"], *second["data"])}
    assert len(names) == 4
    assert "next" in first["paging"]


def test_a_template_that_does_not_fit_is_refused_by_code(send: Call) -> None:
    assert error_of(send(template("seguimiento_pedido", "Ana")))["code"] == 132000
    assert error_of(send(template("oferta_pausada")))["code"] == 132015
    answer = send(template("seguimiento_pedido", "Ana", "A-1", language="en_US"))
    assert error_of(answer)["code"] == 132001
    assert "does not exist in en_US" in error_of(answer)["error_data"]["details"]
