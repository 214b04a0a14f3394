"""A line of the test behind the simulated WPPConnect server.

The application listens on a port of its own, so that the simulator's posts take the real way.
"""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.gateway import Line, listening
from tests.simulator.server import SimulatorServer


@pytest.fixture
def line(app: Flask, whatsapp: SimulatorServer, request: pytest.FixtureRequest) -> Iterator[Line]:
    with listening(app):
        # A session of its own for each test: what the simulator knows of others stays away.
        yield Line(app, whatsapp, request.node.name[:60].replace("[", "-").replace("]", ""))
