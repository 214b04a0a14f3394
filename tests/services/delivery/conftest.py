"""A number without a pace, a chat of it, and what the delivery knows of the configuration."""

import pytest

from crm.db import db
from crm.services.messages.claims import Settings
from tests.factories import make_chat, make_number


@pytest.fixture
def settings(database):
    config = database.config["CRM"]
    return Settings(graph_url="http://127.0.0.1:9", encryption_keys=config.encryption_keys)


@pytest.fixture
def number(database):
    number = make_number(rate_limit_per_minute=0)
    db.session.commit()
    return number


@pytest.fixture
def chat(number):
    chat = make_chat(number=number)
    db.session.commit()
    return chat
