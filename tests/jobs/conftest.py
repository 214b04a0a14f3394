"""A number of a simulated WhatsApp, whose ledger is the judge."""

import dataclasses

import pytest

from tests.jobs.sending import number_at
from tests.simulator.server import NUMBER, simulator_server


@pytest.fixture(scope="package")
def simulator():
    with simulator_server() as server:
        yield server


@pytest.fixture
def whatsapp(simulator):
    """As it is when it starts: no faults, nobody's words, empty ledgers."""
    simulator.reset()
    return simulator


@pytest.fixture
def product(database, whatsapp):
    """The application, set to speak to the simulator, with short times."""
    before = database.config["CRM"]
    database.config["CRM"] = dataclasses.replace(
        before,
        meta_graph_url=whatsapp.graph_url,
        lease_seconds=5,
        uncertain_hold_seconds=0.5,
        retry_base_seconds=0.05,
        provider_seconds=1.5,
    )
    yield database
    database.config["CRM"] = before


@pytest.fixture
def number(product, whatsapp):
    return number_at(product, whatsapp, NUMBER)
