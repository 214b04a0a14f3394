"""One simulator and one receiver for a module; each test starts with both empty."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.simulator.receiver import Receiver, receiver_server
from tests.simulator.server import NUMBER, SimulatorServer, simulator_server

ANA = "573001112233"


@pytest.fixture(scope="module")
def _receiver() -> Iterator[Receiver]:
    with receiver_server() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def _sim(_receiver: Receiver) -> Iterator[SimulatorServer]:
    with simulator_server(webhook_url=_receiver.url) as sim:
        yield sim


@pytest.fixture
def crm(_sim: SimulatorServer, _receiver: Receiver) -> Receiver:
    """The other end, empty."""
    _sim.reset()
    _receiver.clear()
    return _receiver


@pytest.fixture
def sim(crm: Receiver, _sim: SimulatorServer) -> SimulatorServer:
    """A simulator in which nothing has happened yet."""
    return _sim


@pytest.fixture
def call(sim: SimulatorServer) -> Callable[..., requests.Response]:
    """One Graph call: call("POST", "<id>/messages", {...})."""

    def run(
        method: str, path: str, body: Any = None, *, token: str = sim.token, **more: Any
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.request(
            method, f"{sim.graph_url}/{path}", json=body, headers=headers, timeout=20, **more
        )

    return run


@pytest.fixture
def send(sim: SimulatorServer, call: Callable[..., requests.Response]) -> Callable[..., Any]:
    """Send to Ana: send({"type": "text", ...}) or send("words")."""

    def run(content: Any, *, to: str = ANA, number_id: str = NUMBER) -> requests.Response:
        if isinstance(content, str):
            content = {"type": "text", "text": {"body": content}}
        body = {"messaging_product": "whatsapp", "to": to, **content}
        return call("POST", f"{number_id}/messages", body)

    return run


def wamid_of(answer: requests.Response) -> str:
    """The message id of a 200 answer."""
    assert answer.status_code == 200, answer.text
    wamid: str = answer.json()["messages"][0]["id"]
    return wamid
