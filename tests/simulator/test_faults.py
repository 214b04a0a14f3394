"""Each fault does what its name says, and only as often as asked."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.simulator.conftest import ANA, wamid_of
from tests.simulator.receiver import Receiver
from tests.simulator.server import NUMBER, NUMBER_2, SimulatorServer

Send = Callable[..., requests.Response]


@pytest.fixture(autouse=True)
def _window(sim: SimulatorServer) -> None:
    sim.settings(enforce_window=False)


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("rate_limit", 400, 130429),
        ("pair_limit", 400, 131056),
        ("token_expired", 401, 190),
        ("window_closed_at_once", 400, 131047),
        ("server_error", 500, 131000),
    ],
)
def test_a_refusal_carries_metas_error_and_accepts_nothing(
    sim: SimulatorServer, send: Send, kind: str, status: int, code: int
) -> None:
    sim.set_fault(kind, count=1)
    answer = send("Hola")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert sim.accepted() == []
    assert send("Hola").status_code == 200


def test_any_code_can_be_answered(sim: SimulatorServer, send: Send) -> None:
    sim.set_fault("refuse", code=131031, count=1)
    answer = send("Hola")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, 131031)


def test_a_dead_service_says_nothing_of_use(sim: SimulatorServer, send: Send) -> None:
    sim.set_fault("unavailable", count=1)
    answer = send("Hola")
    assert answer.status_code == 503
    assert "json" not in answer.headers["Content-Type"]
    assert sim.accepted() == []


@pytest.mark.parametrize(("kind", "accepted"), [("cut_before", 0), ("cut_reply", 1)])
def test_a_cut_connection_hides_whether_it_was_accepted(
    sim: SimulatorServer, send: Send, crm: Receiver, kind: str, accepted: int
) -> None:
    sim.set_fault(kind, count=1)
    with pytest.raises(requests.ConnectionError):
        send({"type": "text", "text": {"body": "Hola"}, "biz_opaque_callback_data": "k.1"})
    assert len(sim.accepted()) == accepted
    if accepted:
        # The tick tells what the answer did not.
        crm.wait_for(lambda: crm.statuses)
        assert crm.statuses[0]["biz_opaque_callback_data"] == "k.1"


@pytest.mark.parametrize(("kind", "accepted"), [("timeout", 0), ("hang_after_accept", 1)])
def test_a_call_that_hangs_outlasts_the_callers_patience(
    sim: SimulatorServer, kind: str, accepted: int
) -> None:
    sim.set_fault(kind, count=1, seconds=60)
    body = {"messaging_product": "whatsapp", "to": ANA, "text": {"body": "Hola"}}
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            f"{sim.graph_url}/{NUMBER}/messages",
            json=body,
            headers={"Authorization": f"Bearer {sim.token}"},
            timeout=0.5,
        )
    assert len(sim.accepted()) == accepted


def test_a_timeout_ends_without_an_answer(sim: SimulatorServer, send: Send) -> None:
    sim.set_fault("timeout", count=1, seconds=0.2)
    with pytest.raises(requests.ConnectionError):
        send("Hola")
    assert sim.accepted() == []


def test_a_slow_call_comes_through(sim: SimulatorServer, send: Send) -> None:
    sim.set_fault("slow", count=1, seconds=0.3)
    started = time.monotonic()
    wamid_of(send("Hola"))
    assert time.monotonic() - started >= 0.3


def test_an_accepted_message_may_be_answered_with_an_error(
    sim: SimulatorServer, send: Send
) -> None:
    sim.set_fault("error_after_accept", count=1)
    answer = send("Hola")
    assert answer.status_code == 500
    assert len(sim.accepted()) == 1


def test_an_accepted_message_may_be_answered_unreadably(sim: SimulatorServer, send: Send) -> None:
    sim.set_fault("malformed_reply", count=1)
    answer = send("Hola")
    assert answer.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    assert len(sim.accepted()) == 1


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        ({"kind": "blocked"}, ["sent"]),
        ({"kind": "silent"}, []),
        ({"kind": "skip_delivered"}, ["read", "sent"]),
        ({"kind": "undeliverable"}, ["failed"]),
        ({"kind": "window_closed"}, ["failed"]),
        ({"kind": "fail", "code": 131049}, ["failed"]),
    ],
)
def test_an_accepted_message_may_end_otherwise(
    sim: SimulatorServer, send: Send, crm: Receiver, fault: dict[str, Any], statuses: list[str]
) -> None:
    sim.set_fault(**fault, count=1)
    wamid = wamid_of(send("Hola"))
    after = wamid_of(send("Después"))
    crm.wait_for(lambda: "delivered" in crm.statuses_of(after))
    crm.wait_for(lambda: len(crm.statuses_of(wamid)) >= len(statuses))
    sim.wait_until_quiet()
    assert sorted(crm.statuses_of(wamid)) == statuses


def test_a_fault_of_one_line_or_customer_leaves_the_others_alone(
    sim: SimulatorServer, send: Send
) -> None:
    sim.set_fault("rate_limit", number_id=NUMBER_2)
    sim.set_fault("pair_limit", wa_id="573009998877")
    assert send("Hola").status_code == 200
    assert send("Hola", number_id=NUMBER_2).json()["error"]["code"] == 130429
    assert send("Hola", to="+57 300 999 8877").json()["error"]["code"] == 131056
    sim.clear_faults("rate_limit")
    assert send("Hola", number_id=NUMBER_2).status_code == 200
    sim.clear_faults()
    assert send("Hola", to="+57 300 999 8877").status_code == 200


def test_a_fault_with_a_probability_strikes_some(sim: SimulatorServer, send: Send) -> None:
    sim.set_fault("rate_limit", probability=0.5)
    codes = {send("Hola").status_code for _ in range(60)}
    assert codes == {200, 400}


def test_a_counted_fault_goes_out_by_itself(sim: SimulatorServer, send: Send) -> None:
    sim.set_fault("server_error", count=2)
    assert [send("Hola").status_code for _ in range(3)] == [500, 500, 200]
    assert sim.state()["faults"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "earthquake"},
        {"kind": "rate_limit", "count": 0},
        {"kind": "rate_limit", "count": "many"},
        {"kind": "rate_limit", "probability": 2},
        {"kind": "timeout", "seconds": -1},
        {"kind": "refuse"},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(
    sim: SimulatorServer, wrong: dict[str, Any]
) -> None:
    with pytest.raises(RuntimeError, match="400"):
        sim.set_fault(**wrong)


def test_webhooks_may_come_twice(sim: SimulatorServer, crm: Receiver) -> None:
    sim.set_fault("webhook_twice")
    sim.say(wa_id=ANA, name="Ana", text="Hola")
    crm.wait_for(lambda: len(crm.posts) == 2)
    assert crm.posts[0] == crm.posts[1]
    crm.wait_for(lambda: len(sim.acknowledged()) == 2)
    assert [row["again"] for row in sim.acknowledged()] == [False, True]


def test_webhooks_may_carry_the_signature_of_another_app(
    sim: SimulatorServer, crm: Receiver
) -> None:
    sim.set_fault("webhook_bad_signature", count=1)
    sim.say(wa_id=ANA, name="Ana", text="Hola")
    crm.wait_for(lambda: crm.posts)
    assert not crm.signed_right(*crm.posts[0])


def test_webhooks_may_be_held_back_and_let_go(sim: SimulatorServer, crm: Receiver) -> None:
    sim.set_fault("webhook_held", number_id=NUMBER)
    sim.say(wa_id=ANA, name="Ana", text="uno")
    sim.say(wa_id=ANA, text="dos", number_id=NUMBER_2)
    crm.wait_for(lambda: crm.messages)
    assert [row["text"]["body"] for row in crm.messages] == ["dos"]
    sim.clear_faults()
    crm.wait_for(lambda: len(crm.messages) == 2)


def test_webhooks_may_come_out_of_order(sim: SimulatorServer, crm: Receiver) -> None:
    sim.set_fault("webhook_shuffled", seconds=0.5)
    words = [f"{index:02}" for index in range(30)]
    for word in words:
        sim.say(wa_id=ANA, name="Ana", text=word)
    crm.wait_for(lambda: len(crm.messages) == 30)
    came = [row["text"]["body"] for row in crm.messages]
    assert sorted(came) == words
    assert came != words


def test_metas_own_limits_hold_when_they_are_on(sim: SimulatorServer, send: Send) -> None:
    sim.settings(limits=True)
    codes = [send("Hola").status_code for _ in range(47)]
    assert codes.count(200) in (45, 46)
    assert send("Hola").json()["error"]["code"] == 131056
    assert send("Hola", to="573009998877").status_code == 200
    sim.settings(limits=False)
