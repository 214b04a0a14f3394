"""What people do beside writing, as the product's own parser reads it."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from crm.providers.base import Event
from crm.providers.meta.webhook import parse
from tests.providers.describing import describe
from tests.simulator.conftest import ANA
from tests.simulator.receiver import Receiver
from tests.simulator.server import NUMBER, SimulatorServer


def events(crm: Receiver) -> list[Event]:
    return [event for raw, _ in crm.posts for event in parse(raw)]


def told(crm: Receiver, count: int) -> list[str]:
    """What the product has heard, once it is so much."""
    crm.wait_for(lambda: len(events(crm)) >= count)
    return [describe(event) for event in events(crm)]


def test_a_customer_edits_a_text_and_takes_it_back(sim: SimulatorServer, crm: Receiver) -> None:
    said = sim.say(wa_id=ANA, name="Ana", text="¿A qué hora abren?")
    sim.control("POST", "edit", {"wamid": said["wamid"], "text": "¿A qué hora cierran?"})
    sim.control("POST", "revoke", {"wamid": said["wamid"]})
    heard = told(crm, 3)
    # In no certain order, as with Meta.
    assert {line.split(" from ")[0] for line in heard} == {
        "message text '¿A qué hora abren?'",
        f"message system '¿A qué hora cierran?' ->{said['wamid']} {{edit}}",
        f"message system ->{said['wamid']} {{revoke}}",
    }
    [shown] = sim.messages(ANA)
    assert (shown["content"]["body"], shown["edited"], shown["revoked"]) == (
        "¿A qué hora cierran?", True, True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("edit", {"wamid": "wamid.unknown", "text": "x"}),
        ("revoke", {"wamid": "wamid.unknown"}),
        ("write", {"number_id": NUMBER, "wa_id": ANA, "text": " "}),
        ("call", {"number_id": "1", "wa_id": ANA}),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_word_why(
    sim: SimulatorServer, path: str, body: dict[str, Any]
) -> None:
    sim.add_customer(ANA, "Ana")
    answer = requests.post(f"{sim.url}/control/{path}", json=body, timeout=20)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_call_an_order_and_an_advertisement_reach_the_product(
    sim: SimulatorServer, crm: Receiver
) -> None:
    sim.say(wa_id=ANA, name="Ana", sample="order")
    sim.say(wa_id=ANA, sample="ad")
    sim.control("POST", "call", {"number_id": NUMBER, "wa_id": ANA})
    heard = "\n".join(told(crm, 4))
    assert "message order 'Para mañana, por favor' {order}" in heard
    assert "{referral}" in heard
    assert "call connect theirs" in heard
    assert "call terminate failed" in heard


def test_the_line_s_own_phone_writes_and_the_product_hears_an_echo(
    sim: SimulatorServer, crm: Receiver
) -> None:
    customer = sim.add_customer(ANA, "Ana")
    sim.control("POST", "write", {"number_id": NUMBER, "wa_id": ANA, "text": "Con gusto"})
    heard = told(crm, 1)
    assert heard == [f"echo text 'Con gusto' to {customer['user_id']}+{ANA}"]
    [shown] = sim.messages(ANA)
    assert (shown["direction"], shown["shown"]) == ("out", True)


def test_what_happens_beside_the_chat_reaches_the_product_as_what_it_is(
    sim: SimulatorServer, crm: Receiver
) -> None:
    sim.add_customer(ANA, "Ana")
    for kind in ("group", "history", "stop", "resume"):
        answer = sim.control("POST", "news", {"number_id": NUMBER, "wa_id": ANA, "kind": kind})
        assert answer["customer"]["wa_id"] == ANA
    for sample in ("form", "permission"):
        sim.say(wa_id=ANA, sample=sample)
    moved = sim.control("POST", "news", {"number_id": NUMBER, "wa_id": ANA, "kind": "number"})
    fresh = moved["customer"]["wa_id"]
    assert fresh != ANA
    heard = " | ".join(sorted(told(crm, 7)))
    for part in ("{group}", "{flow}", "{call_permission}", "stop", "resume", "{system}"):
        assert part in heard, heard
    wrong = {"number_id": NUMBER, "wa_id": ANA, "kind": "lottery"}
    refused = requests.post(f"{sim.url}/control/news", json=wrong, timeout=20)
    assert (refused.status_code, "kind must be one of" in refused.text) == (400, True)
