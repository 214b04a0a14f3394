"""The simulated WPPConnect server, and a line of the test behind it.

The application listens on a port of its own, so that the simulator's posts take the real way.
"""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.gateway import Line, listening
from tests.simulator.server import SimulatorServer, simulator_server


@pytest.fixture(scope="package")
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
