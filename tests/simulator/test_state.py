"""Memory is a function of the journal: what a restart must find again."""

import json
import threading
import time
from pathlib import Path

import pytest
import requests

from crm.simulator import world
from tests.simulator.conftest import ANA
from tests.simulator.receiver import Receiver
from tests.simulator.server import (
    NUMBER,
    NUMBER_2,
    WPP_NUMBER,
    SimulatorServer,
    simulator_server,
)


def test_a_restart_finds_customers_chats_templates_and_files(tmp_path: Path) -> None:
    with simulator_server(data_dir=tmp_path) as sim:
        sim.add_number("100000000000009", "+57 604 555 0109", verified_name="Línea Nueva")
        ana = sim.add_customer(ANA, "Ana", username="@ana", receipts=False)
        said = sim.say(wa_id=ANA, sample="photo")
        sim.settings(enforce_window=False)
        before = sim.state()
        sim.restart()
        after = sim.state()
        assert after["numbers"] == before["numbers"]
        assert after["customers"] == before["customers"]
        assert after["settings"] == before["settings"]
        assert ana in after["customers"]
        (kept,) = sim.messages(ANA)
        assert kept["wamid"] == said["wamid"]
        photo = requests.get(f"{sim.url}/media/{kept['content']['id']}", timeout=9)
        assert photo.headers["Content-Type"] == "image/jpeg"
        assert [row["wamid"] for row in sim.waiting()] == [said["wamid"]]


def test_a_torn_last_line_is_no_reason_not_to_start(tmp_path: Path) -> None:
    with simulator_server(data_dir=tmp_path) as sim:
        sim.say(wa_id=ANA, name="Ana", text="Hola")
        sim.kill()
        with (tmp_path / "journal.jsonl").open("ab") as journal:
            journal.write(b'{"e":"message","mess')
        with (tmp_path / "accepted.jsonl").open("ab") as ledger:
            ledger.write(b'{"at":17')
        sim.start()
        assert [row["content"]["body"] for row in sim.messages(ANA)] == ["Hola"]
        assert sim.accepted() == []


def test_a_send_that_only_the_journal_knows_is_put_into_the_ledger(tmp_path: Path) -> None:
    with simulator_server(data_dir=tmp_path) as sim:
        body = {"messaging_product": "whatsapp", "to": ANA, "text": {"body": "Hola"}}
        url = f"{sim.graph_url}/{NUMBER}/messages"
        for _ in range(2):
            requests.post(
                url, json=body, headers={"Authorization": f"Bearer {sim.token}"}, timeout=9
            )
        first, second = sim.accepted()
        sim.kill()
        # As a kill between the two writes leaves it.
        (tmp_path / "accepted.jsonl").write_text(json.dumps(first) + "\n")
        sim.start()
        assert [row["wamid"] for row in sim.accepted()] == [first["wamid"], second["wamid"]]
        assert sim.accepted()[1]["healed"]


def test_a_long_journal_is_rewritten_without_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "COMPACT_BYTES", 20_000)
    before = world.World(tmp_path)
    ana = {"wa_id": ANA, "name": "Ana", "user_id": "CO.1"}
    before.record({"e": "customer", "customer": ana})
    out = {"id": before.next_out_id(), "number_id": NUMBER, "field": "messages", "part": {}}
    before.record({"e": "out", "out": out})
    for index in range(2000):
        message = {
            "wamid": f"wamid.{index % 50}",
            "number_id": NUMBER,
            "wa_id": ANA,
            "direction": "in",
            "type": "text",
            "at": float(index),
            "status": "sending",
            "content": {"body": "x"},
        }
        before.record({"e": "message", "message": message})
    assert before.journal.path.stat().st_size < 300_000
    after = world.World(tmp_path)
    assert after.snapshot() == before.snapshot()
    assert after.outbox == {out["id"]: out}
    assert after.next_out_id() == out["id"] + 1


def test_what_was_answered_is_in_the_ledger_whenever_it_is_killed(
    sim: SimulatorServer, crm: Receiver
) -> None:
    """The judge of the fault tests must itself stand up to kill -9."""
    sim.settings(enforce_window=False)
    answered: list[str] = []
    stop = threading.Event()

    def sends(name: int) -> None:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {sim.token}"
        while not stop.is_set():
            body = {"messaging_product": "whatsapp", "to": f"57300{name:07}", "text": {"body": "x"}}
            try:
                answer = session.post(f"{sim.graph_url}/{NUMBER}/messages", json=body, timeout=9)
                answered.append(answer.json()["messages"][0]["id"])
            except requests.RequestException:
                stop.wait(0.05)

    threads = [threading.Thread(target=sends, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        so_far = len(answered)
        crm.wait_for(lambda so_far=so_far: len(answered) > so_far + 20)
        sim.restart()
    stop.set()
    for thread in threads:
        thread.join()
    ledger = [row["wamid"] for row in sim.accepted()]
    assert len(ledger) == len(set(ledger))
    assert set(answered) <= set(ledger)
    crm.wait_for(lambda: set(ledger) <= {r["id"] for r in crm.statuses if r["status"] == "sent"})
    crm.wait_for(
        lambda: set(ledger) <= {r["id"] for r in crm.statuses if r["status"] == "delivered"}
    )


def test_a_chat_keeps_its_end_and_the_ledger_all(sim: SimulatorServer) -> None:
    sim.settings(enforce_window=False)
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {sim.token}"
    for index in range(370):
        body = {"messaging_product": "whatsapp", "to": ANA, "text": {"body": str(index)}}
        session.post(f"{sim.graph_url}/{NUMBER}/messages", json=body, timeout=9)
    kept = [row["content"]["body"] for row in sim.messages(ANA)]
    assert 300 <= len(kept) <= 350
    assert kept[-1] == "369"
    assert len(sim.accepted()) == 370


def test_a_reset_forgets_everything_but_the_lines(sim: SimulatorServer) -> None:
    sim.say(wa_id=ANA, name="Ana", text="Hola")
    sim.set_fault("rate_limit")
    sim.settings(delay_scale=3)
    sim.reset()
    state = sim.state()
    assert ANA not in [row["wa_id"] for row in state["customers"]]
    assert len(state["customers"]) == 3
    assert (state["faults"], state["waiting_webhooks"]) == ([], 0)
    assert state["settings"]["delay_scale"] == 0
    assert [row["id"] for row in state["numbers"]] == [NUMBER, NUMBER_2, WPP_NUMBER]
    with pytest.raises(RuntimeError, match="no customer"):
        sim.phone(ANA)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "say", {"wa_id": "1", "text": "x"}),
        ("POST", "say", {"wa_id": ANA, "text": "  "}),
        ("POST", "say", {"wa_id": ANA, "text": "x" * 4097}),
        ("POST", "say", {"wa_id": ANA, "kind": "smoke", "content": {}}),
        ("POST", "say", {"wa_id": ANA, "sample": "gold"}),
        ("POST", "say", {"wa_id": ANA, "file": {"base64": "?"}}),
        ("POST", "say", {"wa_id": ANA, "file": "x"}),
        ("POST", "say", {"wa_id": ANA, "text": "x", "number_id": "9"}),
        ("POST", "say", {"wa_id": ANA, "text": "x", "quote": "wamid.none"}),
        ("POST", "press", {"wa_id": ANA, "number_id": NUMBER, "wamid": "none", "choice": "a"}),
        ("POST", "customers", {"wa_id": "x"}),
        ("POST", "numbers", {"id": "x"}),
        ("POST", "settings", {"gravity": 1}),
        ("POST", "settings", {"delay_scale": "slow"}),
        ("POST", "window", {"wa_id": "nobody", "number_id": NUMBER}),
        ("POST", "window", {"wa_id": "573015550142", "number_id": "9"}),
        ("POST", "webhook", {"value": []}),
        ("PATCH", "customers/573015550142", {"online": "yes"}),
        ("PATCH", "customers/573015550142", {"shoe_size": 42}),
        ("PATCH", "customers/573015550142", {"name": " "}),
        ("PATCH", "customers/1", {"name": "x"}),
        ("POST", "templates/1/status", {}),
    ],
)
def test_a_wrong_order_is_refused_with_a_reason(
    sim: SimulatorServer, method: str, path: str, body: dict[str, object]
) -> None:
    answer = requests.request(method, f"{sim.url}/control/{path}", json=body, timeout=9)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_orders_come_from_this_machine_in_json_only(sim: SimulatorServer) -> None:
    url = f"{sim.url}/control/reset"
    plain = requests.post(url, data="{}", headers={"Content-Type": "text/plain"}, timeout=9)
    foreign = requests.post(url, json={}, headers={"Origin": "https://evil.example"}, timeout=9)
    renamed = requests.post(url, json={}, headers={"Host": "evil.example"}, timeout=9)
    listed = requests.post(url, json=["x"], timeout=9)
    statuses = [answer.status_code for answer in (plain, foreign, renamed, listed)]
    assert statuses == [415, 403, 421, 400]


def test_phones_that_start_with_a_history_show_it_and_have_open_windows(tmp_path: Path) -> None:
    row = {"number_id": NUMBER, "wa_id": ANA, "type": "text", "at": time.time() - 60}
    row["status"] = "read"
    asked = {**row, "wamid": "wamid.A", "direction": "in", "content": {"body": "Hola"}}
    told = {**row, "wamid": "wamid.B", "direction": "out", "content": {"body": "Buenas"}}
    history = {"customers": [{"wa_id": ANA, "name": "Ana"}], "messages": [asked, told]}
    (tmp_path / "phones.json").write_text(json.dumps(history))
    with simulator_server(history=tmp_path / "phones.json") as sim:
        assert [row["name"] for row in sim.state()["customers"]] == ["Ana"]
        body = {"messaging_product": "whatsapp", "to": ANA, "text": {"body": "¿Sigue ahí?"}}
        requests.post(
            f"{sim.graph_url}/{NUMBER}/messages",
            json=body,
            headers={"Authorization": f"Bearer {sim.token}"},
            timeout=9,
        ).raise_for_status()
        sim.restart()
        # What lay in the phones before was never sent through here.
        assert len(sim.accepted()) == 1
        words = [row["content"]["body"] for row in sim.messages(ANA)]
        assert words == ["Hola", "Buenas", "¿Sigue ahí?"]
        assert sim.messages(ANA)[-1]["status"] != "failed"


def test_a_history_that_cannot_be_read_is_no_reason_not_to_start(tmp_path: Path) -> None:
    (tmp_path / "phones.json").write_text('{"customers": [')
    with simulator_server(history=tmp_path / "phones.json") as sim:
        assert "Carolina Restrepo" in [row["name"] for row in sim.state()["customers"]]
