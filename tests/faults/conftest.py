"""A whole product with small recovery times, to be killed in parts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.simulator.server import SimulatorServer
from tests.stack import RunningStack, running_stack

SETTINGS = {
    "CRM_SWEEP_SECONDS": "0.5",
    "CRM_LEASE_SECONDS": "4",
    "CRM_PROVIDER_SECONDS": "3",
    "CRM_RETRY_BASE_SECONDS": "0.2",
    "CRM_UNCERTAIN_HOLD_SECONDS": "1",
    "SIMULATOR_DELAY_SCALE": "0.1",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    folder = tmp_path_factory.mktemp("faults")
    with running_stack(folder, **SETTINGS) as running:
        yield running


@pytest.fixture
def whatsapp(stack: RunningStack) -> Iterator[SimulatorServer]:
    """The other side of the wire: its orders and its ledgers."""
    server = SimulatorServer(
        port=int(stack.settings["SIMULATOR_PORT"]),
        data_dir=Path(stack.settings["SIMULATOR_DATA_DIR"]),
        environment=stack.settings,
    )
    wait_until_it_answers(f"{server.url}/healthz")
    server.clear_faults()
    yield server
    server.clear_faults()


def wait_until_it_answers(url: str, *, seconds: float = 30) -> None:
    """The stack is called up as soon as its web is; the simulator may take a moment longer."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            requests.get(url, timeout=2).raise_for_status()
            return
        except requests.RequestException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
