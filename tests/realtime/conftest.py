"""A chat of Laura's, committed, and a server where pages connect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from flask import Flask

from crm.db import db
from crm.models import Chat
from tests import factories
from tests.cast import Cast, make_cast
from tests.realtime.pages import Server, threaded_server


@dataclass(frozen=True)
class Desk:
    """The cast at work: Laura has one chat, another waits."""

    cast: Cast
    chat: Chat
    waiting: Chat


@pytest.fixture
def desk(app: Flask) -> Desk:
    cast = make_cast()
    own = {"campaign": cast.sales, "number": cast.number}
    chat = factories.make_chat(agent=cast.laura, **own)
    waiting = factories.make_chat(status="queued", **own)
    factories.make_message(chat, content="Buenos días")
    db.session.commit()
    return Desk(cast, chat, waiting)


@pytest.fixture
def server(app: Flask) -> Iterator[Server]:
    """Rights are looked at every 0.2 s, so that no test waits for it."""
    with threaded_server(app, access_check_seconds=0.2) as running:
        yield running
